//! What the project's page and its figures tell beside the watch: what is live, the run that goes on, backups and history.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::run_view::State;

/// What is known of a project; nothing of it is trusted to be free of markup.
#[derive(Debug, Clone, Default)]
pub struct Overview {
    /// What stands by now, a sentence; empty where no run has ended.
    pub live: String,
    /// The run that goes on, or was cut off.
    pub running: Option<RunningRun>,
    /// The backups, the newest first.
    pub backups: Vec<BackupRow>,
    /// The runs, the newest first.
    pub runs: Vec<RunRow>,
    /// What is worth doing: what is so, and what to type.
    pub advice: Vec<(String, String)>,
    /// What the runs come to.
    pub counts: Counts,
    /// When the newest known-good backup was taken.
    pub known_good: Option<DateTime<Utc>>,
}

/// A run that has not ended.
#[derive(Debug, Clone)]
pub struct RunningRun {
    /// Its name.
    pub name: String,
    /// Whether somebody works on it now; else it was cut off and waits for `guard resume`.
    pub is_held: bool,
    /// Its phases, as far as they have begun.
    pub phases: Vec<Phase>,
    /// The last lines of what its deploy command wrote, redacted when they were written.
    pub tail: Vec<String>,
}

/// A stage of a run.
#[derive(Debug, Clone)]
pub struct Phase {
    /// `Step 3: put databases and volumes back`.
    pub title: String,
    /// Whether it belongs to the way back.
    pub is_back: bool,
    /// Where it stands.
    pub state: State,
    /// How long it took; `None`: it has not ended.
    pub took: Option<Duration>,
}

/// A backup.
#[derive(Debug, Clone)]
pub struct BackupRow {
    /// Its timestamp.
    pub name: String,
    /// Known good, tainted, or not known.
    pub state: String,
    /// What was live then.
    pub live_then: String,
    /// The resources that it holds.
    pub holds: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// A run that has ended, or was cut off.
#[derive(Debug, Clone)]
pub struct RunRow {
    /// Its name.
    pub name: String,
    /// How it ended, in words.
    pub ended: String,
    /// Its exit code; `None`: it has not ended.
    pub exit_code: Option<u8>,
    /// How long it took.
    pub took: Duration,
    /// When its last record was written.
    pub at: DateTime<Utc>,
}

/// What the runs that are kept come to, 200 at most.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Deployments that came as far as their deploy command and ended.
    pub deployments: u64,
    /// Those of them whose release stayed and was verified.
    pub successful: u64,
    /// Rollbacks by their cause, in the words of the journal: `watch-failed`.
    pub rollbacks: BTreeMap<String, u64>,
    /// Runs that are going back now, or stopped on the way.
    pub active_rollbacks: u64,
}
