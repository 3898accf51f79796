//! A run with a watcher, seen from outside: who watches, and how the run ended with nobody typing anything.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use super::embedded::{Embedded, until};

/// A run that guard has begun, and its watcher.
pub struct Watched {
    /// The run's directory.
    pub run: PathBuf,
    /// The process that stands by.
    pub watcher: u32,
}

/// What a file of JSON holds.
#[track_caller]
pub fn json(path: &Path) -> serde_json::Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// Whether a process is there and has not ended.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, fields)| !fields.trim_start().starts_with(['Z', 'X']))
}

impl Watched {
    /// Waits until somebody watches over the newest run of a project; `None` where guard ended before.
    pub fn of(project: &Embedded, guard: &mut Child) -> Option<Self> {
        let find = || {
            let run = project.runs().pop()?;
            let text = std::fs::read_to_string(run.join("watcher.json")).ok()?;
            let watcher = serde_json::from_str::<serde_json::Value>(&text).ok()?["pid"].as_u64()?;
            Some(Self {
                run,
                watcher: u32::try_from(watcher).unwrap(),
            })
        };
        let mut found = None;
        until(|| {
            found = find();
            found.is_some() || guard.try_wait().unwrap().is_some()
        });
        found
    }

    /// What the journal says.
    pub fn journal(&self) -> String {
        std::fs::read_to_string(self.run.join("journal.jsonl")).unwrap_or_default()
    }

    /// Kills guard, and waits until its watcher has ended; returns how long it took the watcher to hold the lock.
    #[track_caller]
    pub fn kill(&self, guard: &mut Child) -> Option<Duration> {
        let begun = Instant::now();
        let _gone = guard.kill();
        guard.wait().unwrap();
        let mut reaction = None;
        until(|| {
            if self.log().contains("its watcher goes on") {
                reaction = Some(begun.elapsed());
            }
            reaction.is_some() || !is_alive(self.watcher)
        });
        self.until_ended();
        reaction
    }

    /// Waits until the watcher has ended.
    #[track_caller]
    pub fn until_ended(&self) {
        until(|| !is_alive(self.watcher));
    }

    /// The exit code that the run's result tells.
    #[track_caller]
    pub fn exit_code(&self) -> i64 {
        let result = self.run.join("result.json");
        assert!(result.exists(), "{}\n{}", self.log(), self.journal());
        json(&result)["exit_code"].as_i64().unwrap()
    }

    /// What the watcher said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.run.join("watcher.log")).unwrap_or_default()
    }
}
