//! The way back, one migration after the other: each in a transaction of its own with its entry in the books, so that a
//! repeated restore goes on where the last one ended.

use serde::{Deserialize, Serialize};

use super::acts::{Going, by_command, by_scripts, snapshot};
use super::books::Books;
use super::scripts::{between, find};
use super::{Migrations, books_of};
use crate::model::artifact::{Artifact, CarriedOver, Displaced, Prepared, Work};
use crate::model::fingerprint::Fingerprint;
use crate::model::policy::DataRestore;
use crate::model::text::{plural, sanitised};
use crate::resources::postgres::Postgres;
use crate::resources::postgres::prepare::look;
use crate::resources::postgres::reach::Reach;
use crate::resources::{ResourceError, Result};
use crate::system::context::Context;

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Gone {
    /// What the database is like now.
    migrated_to: Fingerprint,
    sentences: Vec<String>,
}

/// Whether a displaced state is one of this way.
pub(in super::super) fn is(displaced: &Displaced) -> bool {
    displaced.details.get("migrated_to").is_some()
}

pub(in super::super) fn prepare(
    of: &Postgres,
    wish: &Migrations,
    artifact: &Artifact,
    data: DataRestore,
    cx: &Context,
) -> Result<Prepared> {
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
    let versions = newer(&before, &now, &cx.resolve(&wish.directory))?;
    let differs: Vec<String> = look(&reach, &reach.database, cx)?
        .fingerprint()
        .differences(&artifact.fingerprint);
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
    let price = match work.is_needed() {
        true if wish.command.is_some() => vec![format!(
            "takes {} back by `down_command`; rows stay",
            plural(versions.len() as u64, "migration")
        )],
        true => downs
            .iter()
            .map(|down| {
                format!(
                    "takes the migration {} back by {}; what that drops is lost",
                    down.version,
                    sanitised(&down.file)
                )
            })
            .collect(),
        false => Vec::new(),
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
fn newer(before: &Books, now: &Books, directory: &std::path::Path) -> Result<Vec<String>> {
    if now.newest_only {
        let same = now.newest() == before.newest();
        return match now.newest() {
            Some(newest) if !same => {
                between(directory, before.newest().map(String::as_str), newest).and_then(|versions| {
                    let told = versions.first().is_some_and(|first| first == newest);
                    let why = || {
                        ResourceError::new(format!(
                            "the migration {newest} has no down script in {}",
                            directory.display()
                        ))
                        .with_hint("write it, or set `rollback = \"swap\"`, which needs none")
                    };
                    if told { Ok(versions) } else { Err(why()) }
                })
            }
            _ => Ok(Vec::new()),
        };
    }
    if let Some(gone) = before.versions.iter().find(|version| !now.versions.contains(version)) {
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

pub(in super::super) fn restore(
    of: &Postgres,
    wish: &Migrations,
    prepared: &Prepared,
    artifact: &Artifact,
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
    let going: Going = serde_json::from_value(prepared.details.clone())
        .map_err(|error| ResourceError::because("could not read what was prepared", error))?;
    let reach = Reach::open(of, cx)?;
    if !wish.snapshot.is_empty() {
        displaced.kept_as.push(snapshot(of, &reach, wish, cx)?);
    }
    let before = books_of(artifact)?;
    match &wish.command {
        Some(command) => by_command(command, &before, &going, &reach, wish, cx)?,
        None => by_scripts(&going, &before, &reach, wish, cx)?,
    }
    let left = Books::read(&reach, wish, cx)?;
    if left.versions != before.versions {
        let what = format!(
            "{} still tells of other migrations than at the backup: {}",
            left.table,
            left.versions.join(", ")
        );
        return Err(ResourceError::new(what)
            .with_hint("look at what `down_command` or the scripts do, then run `guard resume`"));
    }
    let now = look(&reach, &reach.database, cx)?.fingerprint();
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
    let gone = Gone {
        migrated_to: now,
        sentences: vec![format!(
            "took {} back: {versions}; rows stayed",
            plural(going.versions.len() as u64, "migration")
        )],
    };
    displaced.details = serde_json::to_value(&gone)
        .map_err(|error| ResourceError::because("could not describe the migrations", error))?;
    Ok(displaced)
}

/// What the database is meant to be like: the rows that are there, in the schema of the backup.
pub(in super::super) fn carried(displaced: &Displaced) -> Option<CarriedOver> {
    let gone: Gone = serde_json::from_value(displaced.details.clone()).ok()?;
    Some(CarriedOver {
        becomes: gone.migrated_to,
        sentences: gone.sentences,
    })
}

pub(in super::super) fn undo() -> ResourceError {
    ResourceError::new("migrations that were taken back by their own scripts are not put forward again by guard")
        .with_hint("deploy the release again: its migrations run as they did the first time")
}
