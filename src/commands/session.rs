//! What has to hold before anything is done: not inside another guard, the lock taken, no run unfinished.

use std::collections::BTreeSet;

pub(super) use super::locks::begin;
use super::refusal::Refusal;
use super::setup::Desk;
use super::workbench::Bench;
use guard_engine::history::History;
use guard_engine::ledger::Ledger;
use guard_journal::{Journal, JournalError, Run, State};
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::fact::{Ending, Fact, Turn};
use guard_model::name::{ResourceName, RunKind, Timestamp};
use guard_model::plan::Action;

/// Closes runs that were cut off before they could touch anything, and refuses for one that has to be finished.
///
/// # Errors
/// An unfinished run is there, or a journal cannot be read.
pub(super) fn refuse_unfinished(bench: &Bench, desk: &Desk) -> Result<(), Refusal> {
    settle(bench, desk, true)
}

/// As [`refuse_unfinished`], but a run that is stuck does not refuse: a rollback by hand is the other way out of it.
///
/// # Errors
/// A run is open, or a journal cannot be read.
pub(super) fn refuse_open(bench: &Bench, desk: &Desk) -> Result<(), Refusal> {
    settle(bench, desk, false)
}

fn settle(bench: &Bench, desk: &Desk, refuses_stuck: bool) -> Result<(), Refusal> {
    let list = bench
        .runs
        .list()
        .map_err(|error| Refusal::of_error(ExitCode::UNFINISHED, &error))?;
    for run in &list {
        match state_of(run)? {
            State::Open => {}
            _ => continue,
        }
        let records = run.read().map_err(|error| unreadable(run, &error))?;
        let history = History::of(&records).map_err(|error| Refusal::of_error(ExitCode::UNFINISHED, &error))?;
        if !is_harmless(&history) {
            return Err(unfinished(run, desk));
        }
        close_harmless(run, bench)?;
    }
    // One that put nothing back has left production as the release made it, which the next release may mend.
    if refuses_stuck
        && let Some(run) = stuck(&list)?
        && matches!(state_of(run)?, State::Closed(Ending::Stuck(_)))
    {
        return Err(unfinished(run, desk));
    }
    super::sealing::forget(bench);
    let pinned = pinned(bench)?;
    let swept = bench.store.sweep(bench.cx.clock.now(), &pinned);
    for timestamp in swept.map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))? {
        bench.cx.note(
            Level::Info,
            format!("removed {timestamp}, which was never a complete backup"),
        );
    }
    Ok(())
}

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
pub(super) fn standing(list: &[Run]) -> Result<Option<&Run>, Refusal> {
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
pub(super) fn stuck(list: &[Run]) -> Result<Option<&Run>, Refusal> {
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
pub(super) fn not_back(history: &History) -> BTreeSet<ResourceName> {
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
pub(super) fn state_of(run: &Run) -> Result<State, Refusal> {
    run.state().map_err(|error| unreadable(run, &error))
}

fn unreadable(run: &Run, error: &JournalError) -> Refusal {
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

fn unfinished(run: &Run, desk: &Desk) -> Refusal {
    Refusal::new(ExitCode::UNFINISHED, format!("the run {} is not finished", run.id))
        .because("it touched production, and has to be finished before anything else begins")
        .next("to finish it", format!("{} resume", desk.style.program))
}

/// Whether the run has only read production so far.
#[must_use]
pub(super) fn is_harmless(history: &History) -> bool {
    let kind = history.plan().kind;
    kind == RunKind::Backup || (kind == RunKind::Deploy && !history.has_deploy_begun())
}

/// Closes a run that was cut off while it only read production.
///
/// # Errors
/// What it left held cannot be let go, or the journal cannot be written.
pub(super) fn close_harmless(run: &Run, bench: &Bench) -> Result<(), Refusal> {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::UNFINISHED, error);
    settle_resources(run, bench)?;
    let (journal, records) = Journal::open(&run.directory).map_err(|error| refused(&error))?;
    let ledger = Ledger::reopen(
        Box::new(journal),
        &records,
        guard_model::event::Voice::silent(),
        bench.cx.clock.clone(),
    );
    let mut ledger = ledger.map_err(|error| refused(&error))?;
    let turned = ledger.history().turned();
    let why = turned.unwrap_or(Turn::Interrupted);
    let mut facts = vec![Fact::Reopened {
        actor: bench.actor.clone(),
    }];
    facts.extend(turned.is_none().then_some(Fact::Turned { why, then: None }));
    facts.push(Fact::Closed {
        ending: Ending::Untouched(why),
        now: None,
    });
    for fact in &facts {
        ledger.append(fact).map_err(|error| refused(&error))?;
    }
    bench.cx.note(
        Level::Info,
        format!(
            "the run {} was cut off before it touched anything; it is closed",
            run.id
        ),
    );
    Ok(())
}

/// Undoes what a killed run left held, as a paused container.
///
/// # Errors
/// It cannot be undone.
pub(super) fn settle_resources(run: &Run, bench: &Bench) -> Result<(), Refusal> {
    let mut cx = bench.cx.clone();
    cx.run = Some(run.id.clone());
    cx.scratch.clone_from(&run.directory);
    for owned in bench.resources()? {
        owned
            .resource
            .settle(&cx)
            .map_err(|error| Refusal::of_error(ExitCode::UNFINISHED, &error))?;
    }
    Ok(())
}

/// The backups that must not go: those of runs that are open or stuck.
///
/// # Errors
/// The runs cannot be listed.
pub(super) fn pinned(bench: &Bench) -> Result<Vec<Timestamp>, Refusal> {
    let list = bench
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
