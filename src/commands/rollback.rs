//! `guard rollback`: by hand, to a backup; and `--undo`, back to the state before the last rollback.

use std::time::Duration;

use super::adopting::{self, Adoption};
use super::choosing::choose;
use super::deploy::chosen;
use super::drift;
use super::journey::{Departure, depart};
use super::locks;
use super::plan;
use super::prompt::confirm;
use super::refusal::{Outcome, Refusal};
use super::request::{Rollback, Selection};
use super::sealing;
use super::session;
use super::setup::Desk;
use super::workbench::{Bench, Owned, compose_of, places};
use crate::config::{Declared, Document, Settings};
use crate::engine::crew::SETTINGS;
use crate::model::artifact::{Artifact, Displaced, Live};
use crate::model::event::Level;
use crate::model::exit::ExitCode;
use crate::model::name::{ResourceName, RunKind};
use crate::model::plan::Plan;
use crate::model::setting::Source;
use crate::report::tables::Table;
use crate::store::Backup;
use crate::system::disk;

/// The setting that says what a rollback takes along.
const CARRY_OVER: &str = "carry_over";

/// Rolls back to a backup.
///
/// # Errors
/// Refused before anything was done.
pub(super) fn rollback(asked: &Rollback, bench: &Bench, desk: &Desk) -> Outcome {
    let _lock = session::begin(bench, "guard rollback")?;
    session::refuse_open(bench, desk)?;
    bench.probes()?;
    let mut named = asked.backup_timestamp.clone();
    if let Some(foreign) = adopting::foreign(named.as_deref(), bench)? {
        let resources = asked_for(bench.resources()?, asked)?;
        let adoption = Adoption::of(foreign, &resources)?;
        desk.reporter.data(adoption.outlook(desk)?);
        if asked.dry_run {
            return Ok(ExitCode::DONE);
        }
        match adoption.carry_out(resources, asked.trust_foreign, bench, desk)? {
            Ok(timestamp) => named = Some(timestamp.to_string()),
            Err(exit) => return Ok(exit),
        }
        session::refuse_open(bench, desk)?;
    }
    let backup = choose(named.as_deref(), bench, desk)?;
    let resources = asked_for(resources_of(&backup, bench)?, asked)?;
    let copied = |owned: &Owned| backup.manifest.artifact(owned.resource.name()).is_some();
    let resources: Vec<Owned> = resources.into_iter().filter(copied).collect();
    if resources.is_empty() {
        return Err(Refusal::new(
            ExitCode::USAGE,
            format!("backup {} holds nothing of what was asked for", backup.timestamp()),
        )
        .next(
            "to see what it holds",
            format!("{} show {}", desk.style.program, backup.timestamp()),
        ));
    }
    desk.reporter.data(outlook(&backup, &resources, bench));
    if asked.dry_run {
        return Ok(ExitCode::DONE);
    }
    sealing::refuse_shut(&backup, bench, &desk.style.program)?;
    let command = format!("rollback --backup-timestamp={}", backup.timestamp());
    drift::tell(asked.force, &format!("{command} --yes"), &resources, bench, desk)?;
    confirm(
        &format!("Put production back to backup {}?", backup.timestamp()),
        &command,
        bench,
        desk,
    )?;
    let plan = plan::rollback(
        backup.timestamp().clone(),
        &places(&resources),
        bench.settings.policy.clone(),
    );
    go_back(plan, asked, resources, Vec::new(), bench, desk)
}

/// Begins a run of its own that goes back, without a copy before it.
///
/// # Errors
/// It could not be begun: nothing was done.
pub(super) fn go_back(
    plan: Plan,
    asked: &Rollback,
    resources: Vec<Owned>,
    undoing: Vec<Displaced>,
    bench: &Bench,
    desk: &Desk,
) -> Outcome {
    let _databases = locks::databases(bench, &resources, Duration::ZERO)?;
    let run = claim(plan.kind, bench)?;
    let departure = Departure {
        plan,
        reason: asked.reason.clone(),
        description: None,
        resources,
        undoing,
        adopting: std::collections::BTreeMap::new(),
    };
    depart(departure, &run, bench, desk)
}

pub(super) fn claim(kind: RunKind, bench: &Bench) -> Result<crate::journal::Run, Refusal> {
    bench
        .runs
        .claim(bench.cx.clock.now(), kind)
        .map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))
}

/// The resources that `--only` and `--service` leave.
fn asked_for(resources: Vec<Owned>, asked: &Rollback) -> Result<Vec<Owned>, Refusal> {
    let selection = Selection {
        only: asked.only.clone(),
        skip: Vec::new(),
    };
    of_services(chosen(resources, &selection)?, &asked.service)
}

/// The resources as the settings in the backup declare them: the failed release may have changed the ones in force.
fn resources_of(backup: &Backup, bench: &Bench) -> Result<Vec<Owned>, Refusal> {
    let path = backup.directory.join(SETTINGS);
    let text = disk::read_text_optional(&path).map_err(|error| Refusal::of_error(ExitCode::NO_BACKUP, &error))?;
    let Some(text) = text else { return bench.resources() };
    let recorded = backup.manifest.settings.as_ref().map(|entry| entry.sha256.as_str());
    if recorded != Some(disk::sha256_hex(text.as_bytes()).as_str()) {
        return Err(Refusal::new(
            ExitCode::NO_BACKUP,
            format!("{} is not what the manifest lists", path.display()),
        ));
    }
    let mut wish = bench.wish.clone();
    wish.judges = false;
    let document = Document {
        source: Source {
            name: path.display().to_string(),
            text,
        },
        mode: None,
    };
    let mut settings = Settings::of_document(&wish, &bench.settings.directory, &document)
        .map_err(|problems| Refusal::of_problems(&problems))?;
    for declared in &mut settings.resources {
        take_along(declared, bench);
    }
    let compose = compose_of(&settings, &bench.cx)?;
    bench.resources_of(&settings, compose.as_ref())
}

/// What a rollback takes along is said by the settings in force: whoever has read the price and set it means this rollback.
fn take_along(declared: &mut Declared<ResourceName>, bench: &Bench) {
    let is_same = |now: &&Declared<ResourceName>| now.name == declared.name && now.kind == declared.kind;
    let Some(now) = bench.settings.resources.iter().find(is_same) else {
        return;
    };
    if declared.adopt(CARRY_OVER, now) {
        let what = format!(
            "{}: `{CARRY_OVER}` is another one in guard.toml than in the backup; that of guard.toml counts",
            declared.name
        );
        bench.cx.note(Level::Info, what);
    }
}

/// The resources of some services, `--service`.
fn of_services(resources: Vec<Owned>, services: &[String]) -> Result<Vec<Owned>, Refusal> {
    if services.is_empty() {
        return Ok(resources);
    }
    let is_of = |owned: &Owned, service: &String| {
        owned.resource.name().as_str() == service || owned.resource.needs_running().contains(service)
    };
    for service in services {
        if !resources.iter().any(|owned| is_of(owned, service)) {
            let names: Vec<String> = resources
                .iter()
                .map(|owned| owned.resource.name().to_string())
                .collect();
            return Err(
                Refusal::new(ExitCode::USAGE, format!("no resource belongs to a service {service:?}"))
                    .because(format!("the backup holds: {}", names.join(", "))),
            );
        }
    }
    Ok(resources
        .into_iter()
        .filter(|owned| services.iter().any(|service| is_of(owned, service)))
        .collect())
}

/// What a rollback would do, resource by resource, and what it would cost.
fn outlook(backup: &Backup, resources: &[Owned], bench: &Bench) -> String {
    let mut table = Table::new(["resource", "now", "in the backup"]);
    let mut prices = Vec::new();
    for owned in resources {
        let name = owned.resource.name();
        let Some(artifact) = backup.manifest.artifact(name) else {
            continue;
        };
        table = table.row([name.to_string(), now(owned, artifact, bench), artifact.summary.clone()]);
        prices.extend(
            owned
                .resource
                .outlook(artifact, bench.settings.policy.data_restore, &bench.cx)
                .unwrap_or_else(|error| vec![format!("its price cannot be told: {error}")])
                .into_iter()
                .map(|price| format!("  {name}: {price}")),
        );
    }
    let price = if prices.is_empty() {
        String::new()
    } else {
        format!("The price:\n{}\n", prices.join("\n"))
    };
    format!("Rollback to {}\n{}{price}", backup.timestamp(), table.render(None))
}

/// How a resource is now, beside its copy, in words.
#[must_use]
pub(super) fn now(owned: &Owned, artifact: &Artifact, bench: &Bench) -> String {
    match owned.resource.check(artifact, &bench.cx) {
        Ok(Live::Matches) => "as in the backup: nothing to do".to_owned(),
        Ok(Live::Differs(parts)) => crate::model::text::shortened(&format!("differs: {}", parts.join(", ")), 120),
        Ok(Live::Unknown(why)) => format!("cannot be compared: {why}"),
        Err(error) => format!("cannot be compared: {error}"),
    }
}
