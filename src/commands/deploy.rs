//! `guard deploy`: check, back up, run the command, verify, watch; keep the release or walk back.

use std::time::Duration;

use super::check;
use super::freeze;
use super::jobtime;
use super::journey::{Departure, depart};
use super::locks;
use super::plan;
use super::refusal::{Outcome, Refusal};
use super::remembered;
use super::request::{Deploy, Selection};
use super::session;
use super::setup::Desk;
use super::workbench::{Bench, Owned, places};
use guard_journal::Run;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::name::{RunId, RunKind, Timestamp};
use guard_model::setting::nearest_or_all;
use guard_model::text;

/// Deploys.
///
/// # Errors
/// Refused before anything was done.
pub(super) fn deploy(asked: &Deploy, bench: &Bench, desk: &Desk) -> Outcome {
    freeze::refuse_frozen(&bench.state)?;
    let _lock = session::begin(bench, "guard deploy")?;
    session::refuse_unfinished(bench, desk)?;
    bench.sound()?;
    let resources = chosen(bench.resources()?, &asked.selection)?;
    if resources.is_empty() {
        let refusal = Refusal::new(
            ExitCode::REFUSED,
            "there is nothing to go back to: no resource is declared",
        );
        return Err(refusal.next("to find what there is", format!("{} init --print", desk.style.program)));
    }
    check::refuse_obstacles(bench, desk, &resources, Some(&asked.command))?;
    remembered::refuse_failed(asked, &resources, bench, desk)?;
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
    jobtime::warn(bench);
    let _held = locks::resources(bench, &resources, Duration::ZERO)?;
    let (timestamp, run) = claim(RunKind::Deploy, bench)?;
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

/// Makes the directories of a backup and of the run that fills it; both have the same timestamp.
///
/// # Errors
/// One of them cannot be made.
pub(super) fn claim(kind: RunKind, bench: &Bench) -> Result<(Timestamp, Run), Refusal> {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::BACKUP_FAILED, error);
    loop {
        let draft = bench
            .store
            .begin(bench.cx.clock.now())
            .map_err(|error| refused(&error))?;
        let id = RunId::new(draft.timestamp(), kind);
        // The backup of a run may be gone, so that its name is free again; the run's is not. The draft, which nothing is in
        // yet, is swept with all that is no backup.
        if let Some(run) = bench.runs.claim_named(&id).map_err(|error| refused(&error))? {
            return Ok((draft.timestamp().clone(), run));
        }
    }
}

/// The resources that `--only` and `--skip` leave.
///
/// # Errors
/// A name that no resource has.
pub(super) fn chosen(resources: Vec<Owned>, selection: &Selection) -> Result<Vec<Owned>, Refusal> {
    let names: Vec<String> = resources
        .iter()
        .map(|owned| owned.resource.name().to_string())
        .collect();
    for asked in selection.only.iter().chain(&selection.skip) {
        if !names.contains(asked) {
            let all: Vec<&str> = names.iter().map(String::as_str).collect();
            let hint = nearest_or_all(asked, &all);
            return Err(Refusal::new(ExitCode::USAGE, format!("no resource is called {asked:?}")).because(hint));
        }
    }
    let is_chosen = |owned: &Owned| {
        let name = owned.resource.name().to_string();
        (selection.only.is_empty() || selection.only.contains(&name)) && !selection.skip.contains(&name)
    };
    Ok(resources.into_iter().filter(is_chosen).collect())
}
