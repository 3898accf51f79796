//! `guard backup`: copies what is declared, and nothing else.

use std::time::Duration;

use guard_model::exit::ExitCode;
use guard_model::name::RunKind;
use guard_run::assembly::places;
use guard_run::lifecycle::{NewRun, claim_backup, start};
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Project;
use guard_run::request::Backup;
use guard_run::selection::chosen;
use guard_run::session::Session;
use guard_run::{inspection, locks, plan, preconditions};

/// Takes a backup.
///
/// # Errors
/// Refused before anything was done.
pub(super) fn backup(asked: &Backup, project: &Project, session: &Session) -> Outcome {
    let _lock = locks::begin(project, "guard backup")?;
    preconditions::refuse_unfinished(project, &session.style.program)?;
    project.sound()?;
    let resources = chosen(project.resources()?, &asked.selection)?;
    if resources.is_empty() {
        return Err(
            Refusal::new(ExitCode::REFUSED, "there is nothing to copy: no resource is declared").next(
                "to find what there is",
                format!("{} init --print", session.style.program),
            ),
        );
    }
    inspection::refuse_obstacles(project, &resources, None)?;
    let _held = locks::resources(project, &resources, Duration::ZERO)?;
    let (timestamp, run) = claim_backup(RunKind::Backup, project)?;
    let plan = plan::backup(timestamp, &places(&resources), project.settings.policy.clone());
    let description = asked.description.clone();
    start(
        NewRun {
            plan,
            reason: None,
            description,
            resources,
            undoing: Vec::new(),
            adopting: std::collections::BTreeMap::new(),
        },
        &run,
        project,
        session,
    )
}
