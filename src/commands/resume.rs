//! `guard resume`: finishes a run that was cut off, as it was begun, whatever the settings say by now.

use guard_engine::history::History;
use guard_journal::{Run, State};
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::name::ResourceName;
use guard_model::setting::nearest_or_all;
use guard_run::locks;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Project;
use guard_run::request::Resume;
use guard_run::results::is_told;
use guard_run::session::Session;
use guard_run::takeover::{self, Remaining, as_begun, take_over};
use guard_run::unfinished::{has_lost_journal, open_run, state_of};

/// Finishes what was cut off.
///
/// # Errors
/// Another run holds the lock, or the run cannot be understood or continued.
pub(super) fn resume(asked: &Resume, project: Project, session: &Session) -> Outcome {
    let lock = locks::begin(&project, "guard resume")?;
    let Some(run) = open_run(&project.runs)? else {
        if let Some(run) = untold(&project)? {
            return take_over(&run, Remaining::Report, &as_begun(project, &run, session)?, session);
        }
        drop(lock);
        // A release that gives the project another name has another state.
        if let Some(outcome) = takeover::resume_of(&project.settings.directory, &project.wish.flags, session) {
            return outcome;
        }
        refuse_lost_journal(&project, &session.style.program)?;
        project.cx.note(Level::Info, "nothing is unfinished");
        return Ok(ExitCode::DONE);
    };
    let project = as_begun(project, &run, session)?;
    let skip = known(&asked.skip, &run)?;
    take_over(&run, Remaining::Steps(&skip), &project, session)
}

/// The resources of a run by these names.
///
/// # Errors
/// The run has none of that name.
fn known(names: &[String], run: &Run) -> Result<Vec<ResourceName>, Refusal> {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::CUT_OFF, error);
    let records = run.read().map_err(|error| refused(&error))?;
    let history = History::of(&records).map_err(|error| refused(&error))?;
    let there: Vec<&ResourceName> = history.plan().swapped().collect();
    let find = |name: &String| {
        let found = there.iter().find(|one| one.as_str() == name);
        found.map(|one| (*one).clone()).ok_or_else(|| {
            let all: Vec<&str> = there.iter().map(|one| one.as_str()).collect();
            let why = nearest_or_all(name, &all);
            Refusal::new(
                ExitCode::USAGE,
                format!("the run {} puts back nothing called {name:?}", run.id),
            )
            .because(why)
        })
    };
    names.iter().map(find).collect()
}

/// Says so where the newest run may be unfinished, and nobody can tell: the backup that it made is still the way back.
fn refuse_lost_journal(project: &Project, program: &str) -> Result<(), Refusal> {
    let newest = project
        .runs
        .newest()
        .map_err(|error| Refusal::of_error(ExitCode::UNFINISHED, &error))?;
    let Some(run) = newest.filter(has_lost_journal) else {
        return Ok(());
    };
    let refusal = Refusal::new(
        ExitCode::UNFINISHED,
        format!("the run {} began its deploy command, and its journal is gone", run.id),
    );
    let backup = run.id.timestamp();
    Err(refusal
        .because("how far it came is not known, so nobody can go on with it; its backup does not depend on the journal")
        .next(
            "to go back to the state before it",
            format!("{program} rollback --backup-timestamp={backup}"),
        ))
}

/// The newest run, where it is over and was cut off before it had said so.
fn untold(project: &Project) -> Result<Option<Run>, Refusal> {
    let newest = project
        .runs
        .newest()
        .map_err(|error| Refusal::of_error(ExitCode::CUT_OFF, &error))?;
    let Some(run) = newest else { return Ok(None) };
    Ok((matches!(state_of(&run)?, State::Closed(_)) && !is_told(&run)?).then_some(run))
}
