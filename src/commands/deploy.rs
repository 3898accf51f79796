//! `guard deploy`: check, back up, run the command, verify, watch; keep the release or walk back.

use std::time::Duration;

use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::name::RunKind;
use guard_model::text;
use guard_run::assembly::places;
use guard_run::lifecycle::{NewRun, claim_backup, start};
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Project;
use guard_run::request::Deploy;
use guard_run::selection::chosen;
use guard_run::session::Session;
use guard_run::{failed_release, freeze, inspection, job_time, locks, plan, preconditions};

/// Deploys.
///
/// # Errors
/// Refused before anything was done.
pub(super) fn deploy(asked: &Deploy, project: &Project, session: &Session) -> Outcome {
    freeze::refuse_frozen(&project.state)?;
    let _lock = locks::begin(project, "guard deploy")?;
    preconditions::refuse_unfinished(project, &session.style.program)?;
    project.sound()?;
    let resources = chosen(project.resources()?, &asked.selection)?;
    if resources.is_empty() {
        let refusal = Refusal::new(
            ExitCode::REFUSED,
            "there is nothing to go back to: no resource is declared",
        );
        return Err(refusal.next(
            "to find what there is",
            format!("{} init --print", session.style.program),
        ));
    }
    inspection::refuse_obstacles(project, &resources, Some(&asked.command))?;
    failed_release::refuse_failed(asked, &resources, project, session)?;
    if let Some(limit) = project.settings.policy.rollback_timeout {
        let limit = text::duration(limit);
        project.cx.note(
            Level::Info,
            format!("a way back may take {limit}: then nothing more of it is begun, what ran is started, and `{} resume` goes on", session.style.program),
        );
    }
    if !project.settings.probes.is_empty() {
        project.cx.note(Level::Info, guard_watch::words(&project.rule()));
    }
    for rule in project.rules()? {
        project.cx.note(Level::Info, format!("{}: {}", rule.name, rule.words()));
    }
    for warning in guard_watch::warnings(&project.rule()) {
        project.cx.note(Level::Warn, warning);
    }
    job_time::warn(project);
    let _held = locks::resources(project, &resources, Duration::ZERO)?;
    let (timestamp, run) = claim_backup(RunKind::Deploy, project)?;
    let plan = plan::deploy(
        timestamp,
        &places(&resources),
        !project.settings.verify.commands.is_empty(),
        project.strategy()?.moves_traffic(),
        project.settings.policy.clone(),
        asked.command.clone(),
    );
    let description = asked.description.clone();
    start(
        NewRun {
            plan,
            reason: description.clone(),
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
