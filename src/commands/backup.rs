//! `guard backup`: copies what is declared, and nothing else.

use std::time::Duration;

use guard_model::exit::ExitCode;
use guard_model::name::RunKind;
use guard_run::assembly::places;
use guard_run::lifecycle::{Departure, claim_backup, depart};
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Bench;
use guard_run::request::Backup;
use guard_run::selection::chosen;
use guard_run::session::Desk;
use guard_run::{inspection, locks, plan, preconditions};

/// Takes a backup.
///
/// # Errors
/// Refused before anything was done.
pub(super) fn backup(asked: &Backup, bench: &Bench, desk: &Desk) -> Outcome {
    let _lock = locks::begin(bench, "guard backup")?;
    preconditions::refuse_unfinished(bench, desk)?;
    bench.sound()?;
    let resources = chosen(bench.resources()?, &asked.selection)?;
    if resources.is_empty() {
        return Err(
            Refusal::new(ExitCode::REFUSED, "there is nothing to copy: no resource is declared")
                .next("to find what there is", format!("{} init --print", desk.style.program)),
        );
    }
    inspection::refuse_obstacles(bench, &resources, None)?;
    let _held = locks::resources(bench, &resources, Duration::ZERO)?;
    let (timestamp, run) = claim_backup(RunKind::Backup, bench)?;
    let plan = plan::backup(timestamp, &places(&resources), bench.settings.policy.clone());
    let description = asked.description.clone();
    depart(
        Departure {
            plan,
            reason: None,
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
