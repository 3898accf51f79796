//! The trial of a way back before there is one: what is live is copied and loaded beside itself, and goes again.
//!
//! `guard check` makes it where no backup proves yet that a copy of this shape loads. A small database is tried with its rows;
//! of a large one the schema, which takes about a second, and its rows wait for the backup.

use std::io::Write;

use super::agree::agree;
use super::capture::copy;
use super::database::Postgres;
use super::details::Details;
use super::pace::Load;
use super::reach::Reach;
use super::sql::ident;
use super::staging::{Loadable, drop_own, load, stage};
use super::standby::unloadable;
use super::{catalog, stall};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::sql::side_names::Aside;
use crate::survey::Survey;
use guard_model::artifact::Artifact;
use guard_model::text::{bytes, sanitised, shortened};
use guard_system::context::Context;

/// The largest database, in bytes on the server, whose rows are tried too; an empty one has 7 MiB.
const SMALL: u64 = 32 * 1024 * 1024;
/// The longest account of a failure.
const LONGEST: usize = 600;

/// What a trial has found.
enum Found {
    /// A backup proves that a copy of this shape loads, since then.
    Proven(String),
    /// All of it came up.
    CameUp,
    /// The schema came up; the rows were not tried.
    Shape(String),
}

/// Tries, and says what came of it.
pub(super) fn try_back(of: &Postgres, newest: Option<&Artifact>, cx: &Context, survey: &mut Survey) {
    if of.in_place {
        survey.untried =
            Some("what is restored in place cannot be tried beside; `guard rollback` in staging tries it".to_owned());
        return;
    }
    if of.migrations.is_some() {
        return;
    }
    match trial(of, newest, cx) {
        Ok(Found::Proven(at)) => survey.fact(format!("a copy of this schema was restored as a proof on {at}")),
        Ok(Found::CameUp) => survey.fact("a copy was made and came up beside it"),
        Ok(Found::Shape(untried)) => {
            survey.fact("a copy of the schema came up beside it");
            survey.untried = Some(untried);
        }
        Err(error) => {
            let error = unloadable(error);
            let advice = error.hint.clone();
            survey.refuse(
                sanitised(&shortened(&error.what, LONGEST)),
                advice.unwrap_or_else(|| "mend that, then run `guard check` again".to_owned()),
            );
        }
    }
}

fn trial(of: &Postgres, newest: Option<&Artifact>, cx: &Context) -> Result<Found> {
    let mut reach = Reach::open(of, cx)?;
    let catalog = catalog::shape(&reach, &reach.database, cx)?;
    let held = catalog.server.size;
    let print = catalog.fingerprint();
    let dump_version = reach.version("pg_dump", cx)?;
    let now = Details::from_catalog(catalog, &reach.database, &dump_version, cx.clock.now());
    let before = newest.and_then(|newest| Details::of(newest).ok());
    let loaded = before.and_then(|before| before.loaded);
    if let Some(loaded) = loaded.filter(|loaded| loaded.shape == now.shape(&print)) {
        return Ok(Found::Proven(loaded.at.format("%Y-%m-%d").to_string()));
    }
    let maintenance = reach.maintenance(cx)?;
    agree(&reach, maintenance, &now, cx)?;
    reach.load = Load {
        share: of.standby_load,
        ..Load::full(1)
    };
    let place = cx.momentary(".guard-")?;
    let slot = Slot::new(place.path(), &of.name);
    // Two that look at the same time must not meet.
    let token = format!("check_{}", std::process::id());
    let side = Aside::Side.name(&reach.database, &token);
    let is_small = held <= SMALL;
    let came = if is_small {
        let one_job = Postgres {
            jobs: Some(1),
            ..of.clone()
        };
        copy(&one_job, &reach, &reach.database, None, &slot, cx).and_then(|artifact| {
            let details = Details::of(&artifact)?;
            stage(
                &reach,
                maintenance,
                &side,
                &Loadable::new(&artifact, &slot, &details),
                cx,
            )
            .map(|_| ())
        })
    } else {
        let artifact = Artifact {
            resource: of.name.clone(),
            project: None,
            kind: "postgres".to_owned(),
            summary: String::new(),
            fingerprint: print,
            files: vec![dump_schema(&reach, &slot, cx)?],
            details: now.written()?,
            not_kept: Vec::new(),
            tools: Vec::new(),
        };
        load(&reach, maintenance, &side, &Loadable::new(&artifact, &slot, &now), cx).map(|_| ())
    };
    let came = came.and_then(|()| take_place(&reach, maintenance, &side, cx));
    let dropped = drop_own(&reach, maintenance, &side, Aside::Side, &cx.unstoppable());
    came.and(dropped)?;
    Ok(if is_small {
        Found::CameUp
    } else {
        Found::Shape(format!("{} of rows were never restored yet", bytes(held)))
    })
}

/// Renames the database as a swap would: aside, and back.
fn take_place(reach: &Reach, maintenance: &str, side: &str, cx: &Context) -> Result<()> {
    let aside = Aside::Failed.name(&reach.database, &format!("check_{}", std::process::id()));
    let script = format!(
        "BEGIN; ALTER DATABASE {0} RENAME TO {1}; ALTER DATABASE {1} RENAME TO {0}; COMMIT;",
        ident(side),
        ident(&aside)
    );
    reach
        .run(maintenance, &script, cx)
        .map(|_| ())
        .map_err(|error| ResourceError {
            what: format!(
                "a copy came up, and could not take the live database's place: {}",
                error.what
            ),
            ..error
        })
}

fn dump_schema(reach: &Reach, slot: &Slot, cx: &Context) -> Result<guard_model::artifact::FileEntry> {
    let connection = reach.connection(&reach.database);
    let wait = reach.wait_flag();
    let args = ["-Fc", "--schema-only", "--no-password", &wait, "-d", &connection];
    let call = reach.program("pg_dump", false, &args);
    let mut staged = slot.stage("schema.pgc")?;
    stall::pull(&call, &reach.database, reach.stall, cx, &mut |bytes: &[u8]| {
        staged.write_all(bytes)
    })?;
    slot.keep(staged, "schema.pgc")
}
