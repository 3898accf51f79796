//! `guard rollback --undo`: what the last rollback displaced comes back.

use std::cmp::Reverse;

use guard_engine::history::History;
use guard_model::artifact::Displaced;
use guard_model::exit::ExitCode;
use guard_model::name::{ResourceName, RunKind};
use guard_report::tables::Table;
use guard_run::assembly::{Owned, places};
use guard_run::confirmation::confirm;
use guard_run::kept::displaced_before;
use guard_run::lifecycle::go_back;
use guard_run::outcome::Outcome;
use guard_run::plan::{self, Place};
use guard_run::project::Project;
use guard_run::request::Rollback;
use guard_run::session::{Session, width_of_stdout};
use guard_run::{drift, locks, preconditions};

/// Puts back what the last rollback displaced.
///
/// # Errors
/// Refused before anything was done; there may have been no rollback.
pub(super) fn undo(asked: &Rollback, project: &Project, session: &Session) -> Outcome {
    let _lock = locks::begin(project, "guard rollback --undo")?;
    preconditions::refuse_open(project, &session.style.program)?;
    project.sound()?;
    let (before, displaced) = displaced_before(None, &project.runs)?;
    let names: Vec<_> = displaced.iter().map(|displaced| displaced.resource.clone()).collect();
    let all = project.resources()?;
    let resources: Vec<Owned> = all
        .into_iter()
        .filter(|owned| names.contains(owned.resource.name()))
        .collect();
    let mut table = Table::new(["resource", "will be put back from"]);
    for displaced in &displaced {
        table = table.row([displaced.resource.to_string(), displaced.kept_as.join(", ")]);
    }
    session.reporter.data(format!(
        "Undo of {}\n{}",
        before.run(),
        table.render(Some(width_of_stdout()))
    ));
    let prices = prices(&before, &displaced, &resources, project);
    if !prices.is_empty() {
        session.reporter.data(format!("The price:\n{}\n", prices.join("\n")));
    }
    if asked.dry_run {
        return Ok(ExitCode::DONE);
    }
    drift::tell(
        asked.force,
        "rollback --undo --yes",
        &resources,
        project,
        &session.style.program,
    )?;
    confirm(
        &format!("Put production back to the state before {}?", before.run()),
        "rollback --undo",
        project.settings.confirmed,
        session,
    )?;
    let mut places: Vec<Place> = places(&resources);
    // Where two of them hold the same file, the first to be displaced has the state to go back to.
    let order: Vec<&ResourceName> = before.plan().swapped().collect();
    places.sort_by_key(|place| Reverse(order.iter().position(|name| *name == &place.name)));
    let plan = plan::undo(before.plan().backup.clone(), &places, project.settings.policy.clone());
    go_back(plan, asked.reason.clone(), resources, displaced, project, session)
}

/// What an undo costs: what came since the rollback goes with the state that it displaces.
fn prices(before: &History, displaced: &[Displaced], resources: &[Owned], project: &Project) -> Vec<String> {
    let mut prices = Vec::new();
    // What an undo has put in place is in no backup.
    let backup = (before.plan().kind != RunKind::Undo).then(|| project.store.get(&before.plan().backup));
    let backup = backup.and_then(Result::ok);
    for displaced in displaced {
        let Some(owned) = resources
            .iter()
            .find(|owned| owned.resource.name() == &displaced.resource)
        else {
            continue;
        };
        let (resource, cx) = owned.resource.at(&project.cx);
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
