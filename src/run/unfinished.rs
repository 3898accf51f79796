//! Which run is unfinished, by which one production stands, and which backups they need.

use std::collections::BTreeSet;

use crate::outcome::Refusal;
use crate::project::Project;
use crate::unfinished;
use guard_engine::history::History;
use guard_engine::steps::DEPLOY_LOG;
use guard_journal::{JournalError, Run, Runs, State};
use guard_model::exit::ExitCode;
use guard_model::fact::Ending;
use guard_model::name::{ResourceName, RunKind, Timestamp};
use guard_model::plan::Action;
use guard_system::disk;

fn is_newest(run: &Run, list: &[Run]) -> bool {
    list.iter()
        .find(|other| other.id.kind() != RunKind::Backup)
        .is_some_and(|newest| newest.id == run.id)
}

/// The run by which production stands: the newest that did anything to it. One that only looked, or was turned away, changes
/// nothing of that, whatever it ended with.
///
/// # Errors
/// A journal is damaged, or of a newer guard.
pub fn standing(list: &[Run]) -> Result<Option<&Run>, Refusal> {
    for run in list {
        let touches = match state_of(run)? {
            State::Empty | State::Closed(Ending::Captured | Ending::Untouched(_) | Ending::Unprepared(_)) => false,
            State::Open | State::Closed(_) => run.id.kind() != RunKind::Backup,
        };
        if touches {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

/// The run that stopped half-way, and that nothing since has put right: a later rollback counts where it was proven, and for
/// what it put back.
///
/// # Errors
/// A journal is damaged, or of a newer guard.
pub fn stuck(list: &[Run]) -> Result<Option<&Run>, Refusal> {
    let mut proven = BTreeSet::new();
    let mut left = list;
    while let Some(run) = standing(left)? {
        let history = || {
            let records = run.read().map_err(|error| unreadable(run, &error))?;
            History::of(&records).map_err(|error| Refusal::of_error(ExitCode::UNFINISHED, &error))
        };
        match state_of(run)? {
            State::Closed(Ending::Stuck(_) | Ending::Unready(_)) => {
                let open = not_back(&history()?);
                let is_right = !proven.is_empty() && open.is_subset(&proven);
                return Ok((!is_right).then_some(run));
            }
            State::Closed(Ending::RolledBack(_)) if run.id.kind() == RunKind::Rollback => {
                proven.extend(history()?.plan().swapped().cloned());
            }
            _ => return Ok(None),
        }
        left = list
            .iter()
            .position(|other| other.id == run.id)
            .and_then(|at| list.get(at + 1..))
            .unwrap_or_default();
    }
    Ok(None)
}

/// What a run was to put back and did not.
#[must_use]
pub fn not_back(history: &History) -> BTreeSet<ResourceName> {
    let is_done = |name: &ResourceName| {
        let acts = [Action::Restore(name.clone()), Action::Undo(name.clone())];
        acts.iter().any(|act| history.yielded(act).is_some())
    };
    history
        .plan()
        .swapped()
        .filter(|name| !is_done(name))
        .cloned()
        .collect()
}

/// How far a run has come.
///
/// # Errors
/// Its journal is damaged, or of a newer guard.
pub fn state_of(run: &Run) -> Result<State, Refusal> {
    run.state().map_err(|error| unreadable(run, &error))
}

/// Why a run whose journal cannot be read keeps everything else from beginning.
#[must_use]
pub fn unreadable(run: &Run, error: &JournalError) -> Refusal {
    let exit = if matches!(error, JournalError::Newer { .. }) {
        ExitCode::NEWER
    } else {
        ExitCode::UNFINISHED
    };
    Refusal::of_error(exit, error)
        .because(format!(
            "the run {} may be unfinished, and nobody can tell how far it came",
            run.id
        ))
        .next(
            "when production is looked at and put right by hand",
            format!("mv {0} {0}.damaged", run.directory.display()),
        )
}

/// The backups that must not go: those of runs that are open or stuck.
///
/// # Errors
/// The runs cannot be listed.
pub fn pinned(project: &Project) -> Result<Vec<Timestamp>, Refusal> {
    let list = project
        .runs
        .list()
        .map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))?;
    let is_open = |run: &&Run| {
        !matches!(run.state(), Ok(State::Empty | State::Closed(_)))
            || matches!(run.state(), Ok(State::Closed(Ending::Stuck(_) | Ending::Unready(_))))
            // A person has ended it half-way: the state before it may still be wanted, until something else is done.
            || (matches!(run.state(), Ok(State::Closed(Ending::Abandoned))) && is_newest(run, &list))
    };
    let backup_of = |run: &Run| {
        History::of(&run.read().ok()?)
            .ok()
            .map(|history| history.plan().backup.clone())
    };
    Ok(list.iter().filter(is_open).filter_map(backup_of).collect())
}

/// Whether the run went as far as its deploy command, and somebody has removed its journal since.
#[must_use]
pub fn has_lost_journal(run: &Run) -> bool {
    matches!(run.state(), Ok(State::Empty)) && disk::exists(&run.directory.join(DEPLOY_LOG)).unwrap_or(false)
}

/// The run that has to be finished: the newest that is open, or else the one that is stuck, where nothing since has put that
/// right.
///
/// # Errors
/// The runs cannot be listed, or a journal cannot be read.
pub fn open_run(runs: &Runs) -> Result<Option<Run>, Refusal> {
    let list = runs
        .list()
        .map_err(|error| Refusal::of_error(ExitCode::CUT_OFF, &error))?;
    for run in &list {
        if state_of(run)? == State::Open {
            return Ok(Some(run.clone()));
        }
    }
    Ok(unfinished::stuck(&list)?.cloned())
}
