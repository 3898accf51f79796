//! A person's decision about a release that is watched: left for the guard that watches, and waited for.

use std::time::Duration;

use crate::keys::person;
use crate::outcome::{Outcome, Refusal};
use crate::project::Project;
use crate::unfinished::open_run;
use guard_engine::history::{History, Progress};
use guard_engine::steps::{INTERVENTION, leave};
use guard_journal::Run;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::fact::{Ending, StepOutput};
use guard_model::intervention::{Choice, Intervention, Via};
use guard_model::plan::{Action, Step};
use guard_system::disk;
use guard_system::lock::Lock;

/// How long the watch may take to take the decision up: it looks several times a second.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often is looked whether it has.
const TICK: Duration = Duration::from_millis(50);

/// Leaves the decision, and waits until the watch has taken it up.
///
/// # Errors
/// Nothing is watched, or the watch ended by itself before.
pub fn decide(choice: Choice, reason: Option<&str>, project: &Project, program: &str) -> Outcome {
    let nothing = |why: String| Refusal::new(ExitCode::REFUSED, "there is nothing to decide").because(why);
    let Some(run) = open_run(&project.runs)? else {
        return Err(nothing("no run is going on".to_owned()).next(
            "to go back to the state before the last deployment",
            format!("{program} rollback"),
        ));
    };
    let lock = project.state.join("lock");
    let holder = Lock::holder(&lock).map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))?;
    if holder.is_none() {
        let refusal = Refusal::new(ExitCode::UNFINISHED, format!("nobody is at work on the run {}", run.id));
        return Err(refusal.next("to finish it", format!("{program} resume")));
    }
    let history = history(&run)?;
    if !is_watched(&history) {
        let why = format!(
            "the run {} is not waiting for its release, nor watching it, at the moment",
            run.id
        );
        return Err(nothing(why).next("to see where it is", format!("{program} status")));
    }
    if choice == Choice::Accept && is_begun(&history, Action::Gate) {
        return Err(nothing(
            "the release has not come up yet, so it cannot be accepted".to_owned(),
        ));
    }
    let intervention = Intervention {
        choice,
        by: person(&project.actor),
        at: project.cx.clock.now(),
        via: Via::Command,
        reason: reason.map(|reason| project.cx.redaction.clean(reason)),
    };
    leave(&intervention, &run.directory).map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))?;
    let begun = project.cx.clock.steady();
    while project.cx.clock.steady().saturating_sub(begun) < PATIENCE {
        let history = self::history(&run)?;
        if taken_up(&history) {
            let what = match choice {
                Choice::Rollback => "goes back",
                Choice::Accept => "keeps the release",
                Choice::Hold => "leaves the release as it is",
            };
            project.cx.note(Level::Info, format!("the run {} {what}", run.id));
            return Ok(ExitCode::DONE);
        }
        if history.turned().is_some() || history.closed().is_some() {
            break;
        }
        project.cx.clock.sleep(TICK);
    }
    // A run that comes back to this file later would be surprised.
    let _optional = disk::remove_file(&run.directory.join(INTERVENTION));
    Err(
        nothing("the watch ended, or stood still, before it heard of this".to_owned())
            .next("to see what came of it", format!("{program} status")),
    )
}

fn is_begun(history: &History, action: Action) -> bool {
    matches!(
        history.step(&Step::of(action).id).map(|step| &step.progress),
        Some(Progress::Begun)
    )
}

/// Whether the run waits for its release or watches it.
fn is_watched(history: &History) -> bool {
    history.turned().is_none() && (is_begun(history, Action::Gate) || is_begun(history, Action::Watch))
}

/// The run whose release somebody is waiting for or watching at this moment.
///
/// # Errors
/// The runs cannot be read.
pub fn watched(project: &Project) -> Result<Option<(Run, History)>, Refusal> {
    let holder = Lock::holder(&project.state.join("lock"));
    if holder
        .map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))?
        .is_none()
    {
        return Ok(None);
    }
    let Some(run) = open_run(&project.runs)? else {
        return Ok(None);
    };
    let history = history(&run)?;
    Ok(is_watched(&history).then_some((run, history)))
}

/// Waits until a run is over; how it ended. `None`: whoever worked on it is gone, and it is not over.
///
/// # Errors
/// Its journal cannot be read.
pub fn ended(run: &Run, project: &Project) -> Result<Option<Ending>, Refusal> {
    loop {
        // Asked before the journal is read, so that its last record cannot come in between.
        let is_held = Lock::holder(&project.state.join("lock")).is_ok_and(|holder| holder.is_some());
        if let Some(ending) = history(run)?.closed() {
            return Ok(Some(ending));
        }
        if !is_held || project.cx.stop.is_asked() {
            return Ok(None);
        }
        project.cx.clock.sleep(TICK * 4);
    }
}

/// Whether a step of the run has ended by a person's decision.
fn taken_up(history: &History) -> bool {
    [Action::Gate, Action::Watch].into_iter().any(|action| {
        match history.step(&Step::of(action).id).map(|step| &step.progress) {
            Some(Progress::Done(StepOutput::Watched { person, .. })) => person.is_some(),
            Some(Progress::Failed(failure)) => failure.person.is_some(),
            _ => false,
        }
    })
}

fn history(run: &Run) -> Result<History, Refusal> {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::REFUSED, error);
    let records = run.read().map_err(|error| refused(&error))?;
    History::of(&records).map_err(|error| refused(&error))
}
