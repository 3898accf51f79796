//! What the project's page tells beside the watch, read from the state and the backups every few seconds.

use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::commands::record::{Standing, Totals, advice};
use crate::commands::status::outcome;
use crate::commands::watch::shared::{Shared, locked};
use guard_engine::steps::DEPLOY_LOG;
use guard_journal::{Run, Runs, State};
use guard_model::exit::ExitCode;
use guard_model::name::RunId;
use guard_model::text;
use guard_report::overview::{BackupRow, Counts, Overview, Phase, RunRow, RunningRun};
use guard_report::result::word;
use guard_report::run_view::{self, RunView};
use guard_run::backup_words::{holds, knowledge, live_then};
use guard_run::drill::book;
use guard_run::outcome::Refusal;
use guard_run::project::Project;
use guard_store::{Backup, Listed, Scope, Store, candidates};
use guard_system::clock::Clock;
use guard_system::lock::Lock;

/// How often it is looked. A run that goes on changes its journal many times in between; nobody reads faster.
const RHYTHM: Duration = Duration::from_secs(3);
/// So many runs are read, the newest first.
const RUNS: usize = 12;
/// So many lines of the deploy command's log are shown.
const TAIL: usize = 12;
/// So many bytes are read of its end.
const TAIL_BYTES: u64 = 8 * 1024;

/// What is looked at, each time anew.
struct Look {
    state: std::path::PathBuf,
    runs: Runs,
    store: Store,
    scope: Scope,
    standing: Standing,
    program: String,
    clock: Arc<dyn Clock>,
    /// The newest run, and whether it had ended, when the totals and backups were read: up to two hundred journals.
    seen: Option<(RunId, bool)>,
    totals: Totals,
    backups: Vec<BackupRow>,
    known_good: Option<DateTime<Utc>>,
}

/// Keeps the board's overview fresh, beside the watch.
pub(super) fn follow(project: &Project, board: &Shared, program: &str) -> Result<(), Refusal> {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::REFUSED, error);
    let settings = &project.settings;
    let store = Store::open(&settings.backup_dir, &settings.state_dir).map_err(|error| refused(&error))?;
    let mut look = Look {
        state: project.state.clone(),
        runs: project.runs.clone(),
        store,
        scope: project.own_scope(),
        standing: Standing {
            known_good: None,
            has_resources: !settings.resources.is_empty(),
            has_probes: !settings.probes.is_empty(),
            copies: settings.copy.url.is_some() || !settings.copy.commands.is_empty(),
            watcher: settings.watcher,
            is_well: None,
            drills: settings.drill,
            drilled: None,
        },
        program: program.to_owned(),
        clock: Arc::clone(&project.cx.clock),
        seen: None,
        totals: Totals::default(),
        backups: Vec::new(),
        known_good: None,
    };
    look.put_on(board);
    let board = Arc::clone(board);
    project.runtime.spawn(async move {
        loop {
            tokio::time::sleep(RHYTHM).await;
            let there = Arc::clone(&board);
            // Files are read: not on a thread that probes wait for.
            let looked = tokio::task::spawn_blocking(move || {
                look.put_on(&there);
                look
            });
            match looked.await {
                Ok(again) => look = again,
                Err(_) => return,
            }
        }
    });
    Ok(())
}

impl Look {
    /// Looks, and leaves what was seen on the board. What cannot be read now is left as it was.
    fn put_on(&mut self, board: &Shared) {
        let Ok(runs) = self.runs.list() else { return };
        let seen = runs
            .first()
            .map(|run| (run.id.clone(), matches!(run.state(), Ok(State::Closed(_)))));
        if seen.is_none() || seen != self.seen {
            self.totals = Totals::of(&runs);
            self.list_backups();
            self.seen = seen;
        }
        self.standing.known_good = self.known_good;
        self.standing.is_well = self.totals.health.as_ref().map(|health| health.is_well);
        // A book that cannot be read has no figures.
        let drills = book::all(&self.state).unwrap_or_default();
        self.standing.drilled = book::newest(&drills).map(|drill| drill.at);
        let advice = advice(&self.standing, self.clock.now(), &self.program);
        let ended = runs.iter().find(|run| matches!(run.state(), Ok(State::Closed(_))));
        let open = runs
            .iter()
            .find(|run| !matches!(run.state(), Ok(State::Empty | State::Closed(_))));
        let overview = Overview {
            live: ended
                .and_then(|run| Some(format!("{}: {}", run.id, outcome(run)?)))
                .unwrap_or_default(),
            running: open.and_then(|run| self.running(run)),
            backups: self.backups.clone(),
            runs: runs.iter().take(RUNS).filter_map(row).collect(),
            advice: advice.into_iter().map(|one| (one.what, one.todo)).collect(),
            counts: counts(&self.totals),
            known_good: self.known_good,
        };
        let mut board = locked(board);
        board.overview = overview;
        board.drills = drills;
    }

    fn list_backups(&mut self) {
        let Ok(listed) = self.store.list() else { return };
        let good = candidates(&listed, &self.scope, &[]).first().copied();
        self.known_good = good
            .filter(|backup| backup.is_known_good())
            .map(|backup| backup.manifest.begun);
        let own = listed.iter().filter_map(|entry| match entry {
            Listed::Backup(backup) if self.scope.objection(backup).is_none() => Some(backup),
            _ => None,
        });
        self.backups = own.map(of_backup).collect();
    }

    fn running(&self, run: &Run) -> Option<RunningRun> {
        let view = RunView::of(&run.read().ok()?);
        let begun = view
            .stages
            .iter()
            .filter(|stage| stage.state() != run_view::State::Waiting);
        Some(RunningRun {
            name: run.id.to_string(),
            is_held: matches!(Lock::holder(&self.state.join("lock")), Ok(Some(_))),
            phases: begun
                .map(|stage| Phase {
                    title: stage.title(),
                    is_back: stage.is_back,
                    state: stage.state(),
                    took: stage.took(),
                })
                .collect(),
            tail: tail(run),
        })
    }
}

fn of_backup(backup: &Backup) -> BackupRow {
    BackupRow {
        name: backup.timestamp().to_string(),
        state: knowledge(backup.knowledge()),
        live_then: live_then(&backup.manifest),
        holds: holds(&backup.manifest),
        bytes: backup.manifest.bytes(),
    }
}

/// A run as a row; `None`: its journal cannot be read, or tells nothing yet.
fn row(run: &Run) -> Option<RunRow> {
    let records = run.read().ok()?;
    let (first, last) = (records.first()?, records.last()?);
    let view = RunView::of(&records);
    let ending = view.ended.map(|(ending, _)| ending);
    Some(RunRow {
        name: run.id.to_string(),
        ended: ending.map_or("not finished", word).to_owned(),
        exit_code: ending.map(|ending| ending.exit_code().number()),
        took: (last.at - first.at).to_std().unwrap_or_default(),
        at: last.at,
    })
}

fn counts(totals: &Totals) -> Counts {
    Counts {
        deployments: totals.deployments as u64,
        successful: totals.successful as u64,
        rollbacks: totals.causes.clone(),
        active_rollbacks: totals.active_rollbacks as u64,
    }
}

/// The last lines of the deploy command's log; none where it has not begun.
fn tail(run: &Run) -> Vec<String> {
    let path = run.directory.join(DEPLOY_LOG);
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(&path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let said = String::from_utf8_lossy(&bytes);
    let lines: Vec<String> = said.lines().map(text::sanitised).collect();
    lines
        .get(lines.len().saturating_sub(TAIL)..)
        .unwrap_or_default()
        .to_vec()
}
