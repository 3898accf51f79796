//! `guard backup`: copies what is declared, and nothing else.

use std::time::Duration;

use crate::commands::bench::Bench;
use crate::commands::journey::{Departure, claim_backup, depart};
use crate::commands::refusal::{Outcome, Refusal};
use crate::commands::request::Backup;
use crate::commands::selection::chosen;
use crate::commands::setup::Desk;
use crate::commands::tables::places;
use crate::commands::{inspection, locks, plan, session};
use guard_model::exit::ExitCode;
use guard_model::name::RunKind;

/// Takes a backup.
///
/// # Errors
/// Refused before anything was done.
pub(super) fn backup(asked: &Backup, bench: &Bench, desk: &Desk) -> Outcome {
    let _lock = locks::begin(bench, "guard backup")?;
    session::refuse_unfinished(bench, desk)?;
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
