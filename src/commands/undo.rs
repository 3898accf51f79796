//! `guard rollback --undo`: what the last rollback displaced comes back.

use std::cmp::Reverse;

use super::drift;
use super::plan::{self, Place};
use super::prompt::confirm;
use super::refusal::{Outcome, Refusal};
use super::request::Rollback;
use super::rollback::go_back;
use super::session;
use super::setup::{Desk, width_of_stdout};
use super::workbench::{Bench, Owned, places};
use guard_engine::history::History;
use guard_journal::State;
use guard_model::artifact::Displaced;
use guard_model::exit::ExitCode;
use guard_model::fact::Ending;
use guard_model::name::{ResourceName, RunId, RunKind};
use guard_report::tables::Table;

/// Puts back what the last rollback displaced.
///
/// # Errors
/// Refused before anything was done; there may have been no rollback.
pub(super) fn undo(asked: &Rollback, bench: &Bench, desk: &Desk) -> Outcome {
    let _lock = session::begin(bench, "guard rollback --undo")?;
    session::refuse_open(bench, desk)?;
    bench.sound()?;
    let (before, displaced) = displaced_before(None, bench)?;
    let names: Vec<_> = displaced.iter().map(|displaced| displaced.resource.clone()).collect();
    let all = bench.resources()?;
    let resources: Vec<Owned> = all
        .into_iter()
        .filter(|owned| names.contains(owned.resource.name()))
        .collect();
    let mut table = Table::new(["resource", "will be put back from"]);
    for displaced in &displaced {
        table = table.row([displaced.resource.to_string(), displaced.kept_as.join(", ")]);
    }
    desk.reporter.data(format!(
        "Undo of {}\n{}",
        before.run(),
        table.render(Some(width_of_stdout()))
    ));
    let prices = prices(&before, &displaced, &resources, bench);
    if !prices.is_empty() {
        desk.reporter.data(format!("The price:\n{}\n", prices.join("\n")));
    }
    if asked.dry_run {
        return Ok(ExitCode::DONE);
    }
    drift::tell(asked.force, "rollback --undo --yes", &resources, bench, desk)?;
    confirm(
        &format!("Put production back to the state before {}?", before.run()),
        "rollback --undo",
        bench,
        desk,
    )?;
    let mut places: Vec<Place> = places(&resources);
    // Where two of them hold the same file, the first to be displaced has the state to go back to.
    let order: Vec<&ResourceName> = before.plan().swapped().collect();
    places.sort_by_key(|place| Reverse(order.iter().position(|name| *name == &place.name)));
    let plan = plan::undo(before.plan().backup.clone(), &places, bench.settings.policy.clone());
    go_back(plan, asked, resources, displaced, bench, desk)
}

/// What an undo costs: what came since the rollback goes with the state that it displaces.
fn prices(before: &History, displaced: &[Displaced], resources: &[Owned], bench: &Bench) -> Vec<String> {
    let mut prices = Vec::new();
    // What an undo has put in place is in no backup.
    let backup = (before.plan().kind != RunKind::Undo).then(|| bench.store.get(&before.plan().backup));
    let backup = backup.and_then(Result::ok);
    for displaced in displaced {
        let Some(owned) = resources
            .iter()
            .find(|owned| owned.resource.name() == &displaced.resource)
        else {
            continue;
        };
        let (resource, cx) = owned.resource.at(&bench.cx);
        let mut told = resource.undo_price(displaced, &cx);
        let put_back = backup
            .as_ref()
            .and_then(|backup| backup.manifest.artifact(&displaced.resource));
        if let (Ok(told), Some(put_back)) = (&mut told, put_back) {
            match resource.written_since(displaced, put_back, &cx) {
                Ok(written) => told.extend(written),
                Err(error) => told.push(format!("what was written since cannot be told: {error}")),
            }
        }
        let told = told.unwrap_or_else(|error| vec![format!("its price cannot be told: {error}")]);
        prices.extend(
            told.into_iter()
                .map(|price| format!("  {}: {price}", displaced.resource)),
        );
    }
    prices
}

/// The newest run (before the given one) that did anything to production, and what it displaced.
///
/// Only that one can be undone: what an older one displaced is the state before things that happened since.
///
/// # Errors
/// There is none, or it displaced nothing.
pub(super) fn displaced_before(run: Option<&RunId>, bench: &Bench) -> Result<(History, Vec<Displaced>), Refusal> {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::REFUSED, error);
    let list = bench.runs.list().map_err(|error| refused(&error))?;
    let mut candidates = list
        .iter()
        .skip_while(|earlier| run.is_some_and(|run| &earlier.id != run));
    let newest = loop {
        let Some(earlier) = candidates.next() else {
            return Err(Refusal::new(
                ExitCode::NO_BACKUP,
                "there was no rollback, so there is nothing to undo",
            )
            .next("to see what happened", "guard history"));
        };
        if Some(&earlier.id) == run || matches!(session::state_of(earlier)?, State::Empty) {
            continue;
        }
        let history =
            History::of(&earlier.read().map_err(|error| refused(&error))?).map_err(|error| refused(&error))?;
        let is_harmless = matches!(
            history.closed(),
            Some(Ending::Untouched(_) | Ending::Unprepared(_) | Ending::NothingToUndo(_))
        );
        if history.plan().kind != RunKind::Backup && !is_harmless {
            break history;
        }
    };
    let displaced: Vec<Displaced> = newest
        .displaced()
        .filter(|displaced| !displaced.details.is_null())
        .cloned()
        .collect();
    if displaced.is_empty() {
        let line = format!(
            "the last run, {}, displaced nothing, so there is nothing to undo",
            newest.run()
        );
        let command = format!("guard rollback --backup-timestamp={}", newest.plan().backup);
        return Err(Refusal::new(ExitCode::NO_BACKUP, line).next("to go back to the state before it", command));
    }
    Ok((newest, displaced))
}
