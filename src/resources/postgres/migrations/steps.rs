//! The way back, one migration after the other: each in a transaction of its own with its entry in the books, so that a
//! repeated restore goes on where the last one ended.

use serde::{Deserialize, Serialize};

use super::acts::{Going, by_command, by_scripts, lost, snapshot};
use super::books::Books;
use super::copy::books_of;
use super::scripts::{between, find};
use super::wish::Migrations;
use crate::abilities::Group;
use crate::error::{ResourceError, Result};
use crate::postgres::carry::wish::CarryOver;
use crate::postgres::catalog::look;
use crate::postgres::database::Postgres;
use crate::postgres::reach::Reach;
use crate::postgres::staging::Staging;
use crate::postgres::{prepare as staged, swap};
use crate::slot::Slot;
use crate::sql::rows;
use guard_model::artifact::{Artifact, CarriedOver, Displaced, Prepared, Work};
use guard_model::event::Level;
use guard_model::fingerprint::Fingerprint;
use guard_model::policy::DataRestore;
use guard_model::text::{plural, sanitised};
use guard_system::context::Context;

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Gone {
    /// What the database is like now.
    migrated_to: Fingerprint,
    sentences: Vec<String>,
}

/// Whether a displaced state is one of this way.
pub(crate) fn is(displaced: &Displaced) -> bool {
    displaced.details.get("migrated_to").is_some()
}

/// The same database, as it goes back where its migrations cannot: whole, with the rows that were written since.
fn whole(of: &Postgres) -> Postgres {
    Postgres {
        migrations: None,
        carry_over: CarryOver::Inserts,
        ..of.clone()
    }
}

/// Whether a copy holds rows, so that the database can go back whole.
fn has_rows(artifact: &Artifact) -> bool {
    artifact.file(super::copy::SCHEMA).is_none()
}

pub(crate) fn prepare(
    of: &Postgres,
    wish: &Migrations,
    artifact: &Artifact,
    slot: &Slot,
    data: DataRestore,
    cx: &Context,
) -> Result<Prepared> {
    match plan(of, wish, artifact, data, cx) {
        Err(error) if has_rows(artifact) => {
            cx.note(
                Level::Warn,
                format!(
                    "{}: the migrations cannot be taken back, so the database goes back whole: {error}",
                    of.name
                ),
            );
            // What did not reach the server does not reach it now either, and that error is the one that counts.
            staged::prepare(&whole(of), artifact, slot, data, cx)
        }
        planned => planned,
    }
}

/// What going back would cost now.
pub(crate) fn outlook(
    of: &Postgres,
    wish: &Migrations,
    artifact: &Artifact,
    data: DataRestore,
    cx: &Context,
) -> Result<Vec<String>> {
    match plan(of, wish, artifact, data, cx) {
        Err(error) if has_rows(artifact) => {
            let first = format!("the migrations cannot be taken back, so the database goes back whole: {error}");
            let rest = staged::outlook(&whole(of), artifact, data, cx)?;
            Ok(std::iter::once(first).chain(rest).collect())
        }
        planned => Ok(planned?.price),
    }
}

fn plan(of: &Postgres, wish: &Migrations, artifact: &Artifact, data: DataRestore, cx: &Context) -> Result<Prepared> {
    let before = books_of(artifact)?;
    let reach = Reach::open(of, cx)?;
    let now = Books::read(&reach, wish, cx)?;
    if now.dirty {
        let what = format!(
            "{} says that the migration {} did not come to its end",
            now.table,
            now.newest().map_or("", String::as_str)
        );
        return Err(ResourceError::new(what).with_hint("correct it by hand, then run `guard rollback` again"));
    }
    let versions = newer(&before, &now, wish, cx)?;
    let live = look(&reach, &reach.database, cx)?.fingerprint();
    let differs: Vec<String> = live.differences(&artifact.fingerprint);
    let is_shape = |part: &&String| matches!(part.as_str(), "schema" | "extensions" | "database");
    let shape: Vec<&String> = differs.iter().filter(is_shape).collect();
    let work = match (versions.is_empty(), shape.first()) {
        _ if differs.is_empty() => Work::Unchanged,
        (true, None) => Work::Left(
            "rows were written but the schema is as before; `rollback = \"migrations\"` keeps rows".to_owned(),
        ),
        (true, Some(part)) => {
            let what = format!(
                "{} differs in its {part}, and no migration in {} says why",
                reach.database, now.table
            );
            return Err(
                ResourceError::new(what).with_hint("set `rollback = \"swap\"`, which puts back the whole database")
            );
        }
        (false, _) if data == DataRestore::Never => Work::Withheld(
            "`data_restore = \"never\"` forbids to take migrations back; the old code may not live with them"
                .to_owned(),
        ),
        (false, _) => Work::Changed(versions.iter().map(|version| format!("migration {version}")).collect()),
    };
    let mut downs = Vec::new();
    if work.is_needed() && wish.command.is_none() {
        for version in &versions {
            downs.push(find(&cx.resolve(&wish.directory), version)?);
        }
    }
    let price = match &work {
        Work::Changed(_) if wish.command.is_some() => vec![format!(
            "takes {} back by `down_command`; rows stay",
            plural(versions.len() as u64, "migration")
        )],
        Work::Changed(_) => downs
            .iter()
            .map(|down| {
                format!(
                    "takes the migration {} back by {}; what that drops is lost",
                    down.version,
                    sanitised(&down.file)
                )
            })
            .collect(),
        Work::Left(why) | Work::Withheld(why) | Work::Gone(why) => rows::staying(&artifact.fingerprint, &live, why),
        Work::Unchanged => Vec::new(),
    };
    Ok(Prepared {
        resource: of.name.clone(),
        work,
        details: serde_json::to_value(Going { versions, downs })
            .map_err(|error| ResourceError::because("could not describe the migrations", error))?,
        price,
    })
}

/// The versions that have run since, newest first.
fn newer(before: &Books, now: &Books, wish: &Migrations, cx: &Context) -> Result<Vec<String>> {
    let directory = &cx.resolve(&wish.directory);
    if now.tells_the_same(before) {
        return Ok(Vec::new());
    }
    if wish.command.is_none() && is_program(now) {
        let what = format!(
            "the migrations in {} are programs of their tool, and guard runs SQL scripts only",
            now.table
        );
        return Err(ResourceError::new(what).with_hint("set `down_command`, so that the tool itself goes back"));
    }
    if now.heads || (now.newest_only && wish.command.is_some()) {
        let known = |version: &&String| before.versions.contains(version);
        let newer: Vec<String> = now.versions.iter().filter(|version| !known(version)).cloned().collect();
        // Several heads that became one again are told by what there was.
        return Ok(if newer.is_empty() { now.versions.clone() } else { newer });
    }
    if now.newest_only {
        return match now.newest() {
            Some(newest) => between(directory, before.newest().map(String::as_str), newest).and_then(|versions| {
                let told = versions.first().is_some_and(|first| first == newest);
                let why = || {
                    ResourceError::new(format!(
                        "the migration {newest} has no down script in {}",
                        directory.display()
                    ))
                    .with_hint("write it, or set `rollback = \"swap\"`, which needs none")
                };
                if told { Ok(versions) } else { Err(why()) }
            }),
            None => Ok(Vec::new()),
        };
    }
    if let Some(gone) = lost(before, now) {
        let what = format!(
            "the migration {gone} had run when the backup was made, and has not now: taking others back does not bring it"
        );
        return Err(ResourceError::new(what).with_hint("set `rollback = \"swap\"`, which puts back the whole database"));
    }
    let newer = now
        .versions
        .iter()
        .rev()
        .filter(|version| !before.versions.contains(version));
    Ok(newer.cloned().collect())
}

/// Whether a tool's migrations are programs, which only it can run.
pub(super) fn is_program(books: &Books) -> bool {
    ["alembic_version", "django_migrations"]
        .iter()
        .any(|name| books.table.trim_matches('"').ends_with(name))
}

pub(crate) fn restore(
    of: &Postgres,
    wish: &Migrations,
    (prepared, group): (&Prepared, &Group<'_, Prepared>),
    (artifact, slot): (&Artifact, &Slot),
    cx: &Context,
) -> Result<Displaced> {
    let mut displaced = Displaced {
        resource: of.name.clone(),
        details: serde_json::Value::Null,
        kept_as: Vec::new(),
    };
    if !prepared.work.is_needed() {
        return Ok(displaced);
    }
    if serde_json::from_value::<Staging>(prepared.details.clone()).is_ok() {
        return swap::restore(&whole(of), prepared, artifact, group, cx);
    }
    let going: Going = serde_json::from_value(prepared.details.clone())
        .map_err(|error| ResourceError::because("could not read what was prepared", error))?;
    let reach = Reach::open(of, cx)?;
    if has_rows(artifact)
        && let Some(done) = fallen_before(of, artifact, slot, &reach, cx)?
    {
        return Ok(done);
    }
    if !wish.snapshot.is_empty() {
        displaced.kept_as.push(snapshot(of, &reach, wish, cx)?);
    }
    match take_back(wish, &going, artifact, &reach, cx) {
        Ok(gone) => {
            displaced.details = serde_json::to_value(&gone)
                .map_err(|error| ResourceError::because("could not describe the migrations", error))?;
            Ok(displaced)
        }
        Err(error) if has_rows(artifact) => {
            let cause = error
                .source
                .as_ref()
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            let what = "the migrations could not be taken back, so the database goes back whole, with the rows that were written since";
            cx.note(
                Level::Warn,
                cx.redaction.clean(&format!("{}: {what}: {error}{cause}", of.name)),
            );
            let mut whole = fall_back(of, artifact, slot, cx)?;
            whole.kept_as.append(&mut displaced.kept_as);
            Ok(whole)
        }
        Err(error) => Err(error),
    }
}

/// Puts the whole database back instead. The failed one is as the last step left it, and its rows are taken along.
fn fall_back(of: &Postgres, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Displaced> {
    let of = whole(of);
    let prepared = staged::prepare(&of, artifact, slot, DataRestore::Always, cx)?;
    if !prepared.work.is_needed() {
        return Ok(Displaced {
            resource: of.name.clone(),
            details: serde_json::Value::Null,
            kept_as: Vec::new(),
        });
    }
    swap::restore_alone(&of, &prepared, artifact, cx)
}

/// What came of an earlier try of this run that had to put the whole database back: it is ended, or done again from the
/// beginning.
fn fallen_before(
    of: &Postgres,
    artifact: &Artifact,
    slot: &Slot,
    reach: &Reach,
    cx: &Context,
) -> Result<Option<Displaced>> {
    let staging = Staging::of(&reach.database, cx);
    let names = reach.databases(reach.maintenance(cx)?, cx)?;
    let there = |name: &String| names.contains(name);
    if there(&staging.failed) && !there(&staging.side) {
        let prepared = Prepared {
            resource: of.name.clone(),
            work: Work::Changed(Vec::new()),
            details: serde_json::to_value(&staging)
                .map_err(|error| ResourceError::because("could not describe the side database", error))?,
            price: Vec::new(),
        };
        return swap::restore_alone(&whole(of), &prepared, artifact, cx).map(Some);
    }
    if there(&staging.side) {
        return fall_back(of, artifact, slot, cx).map(Some);
    }
    Ok(None)
}

/// Takes the migrations back, and looks whether that has brought the schema of the backup.
fn take_back(wish: &Migrations, going: &Going, artifact: &Artifact, reach: &Reach, cx: &Context) -> Result<Gone> {
    let before = books_of(artifact)?;
    match &wish.command {
        Some(command) => by_command(command, &before, going, reach, wish, cx)?,
        None => by_scripts(going, &before, reach, wish, cx)?,
    }
    let left = Books::read(reach, wish, cx)?;
    if !left.tells_the_same(&before) {
        let what = format!(
            "{} still tells of other migrations than at the backup: {}",
            left.table,
            left.versions.join(", ")
        );
        return Err(ResourceError::new(what)
            .with_hint("look at what `down_command` or the scripts do, then run `guard resume`"));
    }
    let now = look(reach, &reach.database, cx)?.fingerprint();
    let differs: Vec<String> = now.differences(&artifact.fingerprint);
    let shape = differs
        .iter()
        .find(|part| matches!(part.as_str(), "schema" | "extensions" | "database"));
    if let Some(part) = shape {
        let what = format!(
            "the migrations were taken back, and the {part} of {} is not the backup's: the scripts do not undo all that they should",
            reach.database
        );
        let hint = "compare with `pg_dump --schema-only`; with `rollback = \"swap\"`, `guard rollback` puts back the whole database";
        return Err(ResourceError::new(what).with_hint(hint));
    }
    let versions = going.versions.join(", ");
    Ok(Gone {
        migrated_to: now,
        sentences: vec![format!(
            "took {} back: {versions}; rows stayed",
            plural(going.versions.len() as u64, "migration")
        )],
    })
}

/// What the database is meant to be like: the rows that are there, in the schema of the backup.
pub(crate) fn carried(displaced: &Displaced) -> Option<CarriedOver> {
    let gone: Gone = serde_json::from_value(displaced.details.clone()).ok()?;
    Some(CarriedOver {
        becomes: gone.migrated_to,
        sentences: gone.sentences,
    })
}

pub(crate) fn undo() -> ResourceError {
    ResourceError::new("migrations that were taken back by their own scripts are not put forward again by guard")
        .with_hint("deploy the release again: its migrations run as they did the first time")
}
