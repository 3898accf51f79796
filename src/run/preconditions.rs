//! What has to hold before anything is done: not inside another guard, the lock taken, no run unfinished.

use crate::encryption;
use crate::outcome::Refusal;
use crate::project::Project;
use crate::unfinished::{pinned, state_of, stuck, unreadable};
use guard_engine::history::History;
use guard_engine::ledger::Ledger;
use guard_journal::{Journal, Run, State};
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::fact::{Ending, Fact, RollbackCause};
use guard_model::name::RunKind;
use guard_model::text::chain;

/// Closes runs that were cut off before they could touch anything, and refuses for one that has to be finished.
///
/// # Errors
/// An unfinished run is there, or a journal cannot be read.
pub fn refuse_unfinished(project: &Project, program: &str) -> Result<(), Refusal> {
    close_leftovers(project, program, true)
}

/// As [`refuse_unfinished`], but a run that is stuck does not refuse: a rollback by hand is the other way out of it.
///
/// # Errors
/// A run is open, or a journal cannot be read.
pub fn refuse_open(project: &Project, program: &str) -> Result<(), Refusal> {
    close_leftovers(project, program, false)
}

fn close_leftovers(project: &Project, program: &str, refuses_stuck: bool) -> Result<(), Refusal> {
    let list = project
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
            return Err(unfinished(run, program));
        }
        close_harmless(run, project)?;
    }
    // One that put nothing back has left production as the release made it, which the next release may mend.
    if refuses_stuck
        && let Some(run) = stuck(&list)?
        && matches!(state_of(run)?, State::Closed(Ending::Stuck(_)))
    {
        return Err(unfinished(run, program));
    }
    encryption::forget(project);
    let pinned = pinned(project)?;
    let swept = project.store.sweep(project.cx.clock.now(), &pinned);
    for timestamp in swept.map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))? {
        project.cx.note(
            Level::Info,
            format!("removed {timestamp}, which was never a complete backup"),
        );
    }
    Ok(())
}

fn unfinished(run: &Run, program: &str) -> Refusal {
    Refusal::new(ExitCode::UNFINISHED, format!("the run {} is not finished", run.id))
        .because("it touched production, and has to be finished before anything else begins")
        .next("to finish it", format!("{program} resume"))
}

/// Whether the run has only read production so far.
#[must_use]
pub fn is_harmless(history: &History) -> bool {
    let kind = history.plan().kind;
    kind == RunKind::Backup || (kind == RunKind::Deploy && !history.has_deploy_begun())
}

/// Closes a run that was cut off while it only read production.
///
/// # Errors
/// What it left held cannot be let go, or the journal cannot be written.
pub fn close_harmless(run: &Run, project: &Project) -> Result<(), Refusal> {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::UNFINISHED, error);
    recover_resources(run, project)?;
    let (journal, records) = Journal::open(&run.directory).map_err(|error| refused(&error))?;
    let ledger = Ledger::reopen(
        Box::new(journal),
        &records,
        guard_model::event::Voice::silent(),
        project.cx.clock.clone(),
    );
    let mut ledger = ledger.map_err(|error| refused(&error))?;
    let turned = ledger.history().turned();
    let why = turned.unwrap_or(RollbackCause::Interrupted);
    let mut facts = vec![Fact::Reopened {
        actor: project.actor.clone(),
    }];
    facts.extend(turned.is_none().then_some(Fact::RollbackBegan { why, then: None }));
    facts.push(Fact::Closed {
        ending: Ending::Untouched(why),
        now: None,
    });
    for fact in &facts {
        ledger.append(fact).map_err(|error| refused(&error))?;
    }
    for sentence in stand_down(run, project)? {
        project.cx.note(Level::Warn, sentence);
    }
    project.cx.note(
        Level::Info,
        format!(
            "the run {} was cut off before it touched anything; it is closed",
            run.id
        ),
    );
    Ok(())
}

/// Removes what a run that ends here has made beside what is live. Returns what is still there, each a sentence.
///
/// # Errors
/// The settings cannot be read.
pub fn stand_down(run: &Run, project: &Project) -> Result<Vec<String>, Refusal> {
    let mut cx = project.cx.unstoppable();
    cx.run = Some(run.id.clone());
    cx.scratch.clone_from(&run.directory);
    let mut left = Vec::new();
    for owned in project.resources()? {
        let (resource, there) = owned.resource.at(&cx);
        if let Err(error) = resource.stand_down(&there) {
            let name = owned.resource.name();
            left.push(format!("what stood by for {name} is still there: {}", chain(&error)));
        }
    }
    Ok(left)
}

/// Undoes what a killed run left held, as a paused container.
///
/// # Errors
/// It cannot be undone.
pub fn recover_resources(run: &Run, project: &Project) -> Result<(), Refusal> {
    let mut cx = project.cx.clone();
    cx.run = Some(run.id.clone());
    cx.scratch.clone_from(&run.directory);
    project.services().end_copy(&cx);
    for owned in project.resources()? {
        let (resource, there) = owned.resource.at(&cx);
        resource
            .settle(&there)
            .map_err(|error| Refusal::of_error(ExitCode::UNFINISHED, &error))?;
    }
    Ok(())
}
