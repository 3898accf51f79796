//! `guard deploy`: check, back up, run the command, verify, watch; keep the release or walk back.

use std::time::Duration;

use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::name::RunKind;
use guard_model::text;
use guard_run::assembly::places;
use guard_run::lifecycle::{Departure, claim_backup, depart};
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Bench;
use guard_run::request::Deploy;
use guard_run::selection::chosen;
use guard_run::session::Desk;
use guard_run::{failed_release, freeze, inspection, job_time, locks, plan, preconditions};

/// Deploys.
///
/// # Errors
/// Refused before anything was done.
pub(super) fn deploy(asked: &Deploy, bench: &Bench, desk: &Desk) -> Outcome {
    freeze::refuse_frozen(&bench.state)?;
    let _lock = locks::begin(bench, "guard deploy")?;
    preconditions::refuse_unfinished(bench, desk)?;
    bench.sound()?;
    let resources = chosen(bench.resources()?, &asked.selection)?;
    if resources.is_empty() {
        let refusal = Refusal::new(
            ExitCode::REFUSED,
            "there is nothing to go back to: no resource is declared",
        );
        return Err(refusal.next("to find what there is", format!("{} init --print", desk.style.program)));
    }
    inspection::refuse_obstacles(bench, &resources, Some(&asked.command))?;
    failed_release::refuse_failed(asked, &resources, bench, desk)?;
    if let Some(limit) = bench.settings.policy.rollback_timeout {
        let limit = text::duration(limit);
        bench.cx.note(
            Level::Info,
            format!("a way back may take {limit}: then nothing more of it is begun, what ran is started, and `{} resume` goes on", desk.style.program),
        );
    }
    if !bench.settings.probes.is_empty() {
        bench.cx.note(Level::Info, guard_watch::words(&bench.rule()));
    }
    for rule in bench.rules()? {
        bench.cx.note(Level::Info, format!("{}: {}", rule.name, rule.words()));
    }
    for warning in guard_watch::warnings(&bench.rule()) {
        bench.cx.note(Level::Warn, warning);
    }
    job_time::warn(bench);
    let _held = locks::resources(bench, &resources, Duration::ZERO)?;
    let (timestamp, run) = claim_backup(RunKind::Deploy, bench)?;
    let plan = plan::deploy(
        timestamp,
        &places(&resources),
        !bench.settings.verify.commands.is_empty(),
        bench.settings.policy.clone(),
        asked.command.clone(),
    );
    let description = asked.description.clone();
    depart(
        Departure {
            plan,
            reason: description.clone(),
            description,
            resources,
            undoing: Vec::new(),
            adopting: std::collections::BTreeMap::new(),
        },
        &run,
        bench,
        desk,
    )
}
