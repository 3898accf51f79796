//! `guard backup`: copies what is declared, and nothing else.

use std::time::Duration;

use super::check;
use super::deploy::{chosen, claim};
use super::journey::{Departure, depart};
use super::locks;
use super::plan;
use super::refusal::{Outcome, Refusal};
use super::request::Backup;
use super::session;
use super::setup::Desk;
use super::workbench::{Bench, places};
use guard_model::exit::ExitCode;
use guard_model::name::RunKind;

/// Takes a backup.
///
/// # Errors
/// Refused before anything was done.
pub(super) fn backup(asked: &Backup, bench: &Bench, desk: &Desk) -> Outcome {
    let _lock = session::begin(bench, "guard backup")?;
    session::refuse_unfinished(bench, desk)?;
    bench.sound()?;
    let resources = chosen(bench.resources()?, &asked.selection)?;
    if resources.is_empty() {
        return Err(
            Refusal::new(ExitCode::REFUSED, "there is nothing to copy: no resource is declared")
                .next("to find what there is", format!("{} init --print", desk.style.program)),
        );
    }
    check::refuse_obstacles(bench, desk, &resources, None)?;
    let _held = locks::resources(bench, &resources, Duration::ZERO)?;
    let (timestamp, run) = claim(RunKind::Backup, bench)?;
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
