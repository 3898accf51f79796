//! `guard attach`: hears a run that somebody else has begun, to its end, and ends with its code.

use guard_journal::Run;
use guard_model::exit::ExitCode;
use guard_model::name::RunKind;
use guard_run::follow::{From, follow};
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Project;
use guard_run::request::Attach;
use guard_run::session::Session;

/// Hears the run.
///
/// # Errors
/// There is no such run, or nobody finishes it.
pub(super) fn attach(asked: &Attach, project: &Project, session: &Session) -> Outcome {
    let run = chosen(asked.run.as_deref(), project, session)?;
    follow(&run, From::Beginning, project, session)
}

/// The run that is named; without a name the one that goes on, which is the newest.
fn chosen(name: Option<&str>, project: &Project, session: &Session) -> Result<Run, Refusal> {
    let runs = project.runs.list();
    let runs = runs.map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))?;
    let found = match name.filter(|name| *name != "latest") {
        Some(name) => runs.iter().find(|run| run.id.as_str() == name),
        // A backup is heard where nothing else has run.
        None => runs
            .iter()
            .find(|run| run.id.kind() != RunKind::Backup)
            .or(runs.first()),
    };
    found.cloned().ok_or_else(|| {
        let what = match name {
            Some(name) => format!("there is no run {name:?}"),
            None => "nothing has run yet".to_owned(),
        };
        Refusal::new(ExitCode::USAGE, what).next("to see the runs", format!("{} history", session.style.program))
    })
}
