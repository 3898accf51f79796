//! The rehearsal of a restore: the copy loaded into a side database and compared, which proves it; and that database kept
//! beside the live one while the release is watched, so that a rollback has nothing to load.

use std::time::Duration;

use super::agree::agree;
use super::database::{Postgres, Standby};
use super::details::Details;
use super::pace::Load;
use super::reach::Reach;
use super::space;
use super::sql::{ident, literal};
use super::staging::{Loadable, drop_own, stage};
use super::trouble::said;
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::sql::proof::{self, Loaded, Proof};
use crate::sql::side_names::Aside;
use guard_model::artifact::Artifact;
use guard_model::event::Level;
use guard_model::name::RunKind;
use guard_model::text::{bytes, duration};
use guard_system::context::Context;

/// The largest database that `auto` keeps a standby of. A guess.
const MOST: u64 = 1_000_000_000;
/// How much longer than the dump the load is taken to be: it is done in one job, and builds the indexes anew.
const LOAD: u32 = 3;
/// What a load may cost under `auto`: the deployment waits for it, and the server works beside its own.
const PATIENCE: Duration = Duration::from_mins(1);

fn mark(cx: &Context, artifact: &Artifact) -> String {
    let digest = artifact
        .files
        .first()
        .map(|file| file.sha256.as_str())
        .unwrap_or_default();
    format!(
        "[guard {}: {} stands by] ",
        cx.token(),
        digest.get(..16).unwrap_or(digest)
    )
}

fn comment(reach: &Reach, maintenance: &str, database: &str, cx: &Context) -> Result<Option<String>> {
    let script = format!(
        "SELECT to_jsonb(coalesce(shobj_description(oid, 'pg_database'), '')) FROM pg_database WHERE datname = {};",
        literal(database)
    );
    Ok(reach.rows(maintenance, &script, cx)?.into_iter().next())
}

/// After a copy was made: rehearses where that was asked for, and leaves the result standing by in a deployment.
pub(super) fn after_capture(
    of: &Postgres,
    reach: &Reach,
    artifact: &mut Artifact,
    slot: &Slot,
    cx: &Context,
) -> Result<()> {
    if of.in_place {
        // Nothing is made beside the live database then.
        return Ok(());
    }
    let mut details = Details::of(artifact)?;
    let shape = details.shape(&artifact.fingerprint);
    let now = cx.clock.now();
    let before = slot.earlier().and_then(|(_, earlier)| Details::of(earlier).ok());
    let before = before.filter(|before| before.loaded.as_ref().is_some_and(|loaded| loaded.shape == shape));
    let is_due = match of.proof {
        Proof::Read => false,
        Proof::Restore => true,
        Proof::Auto => of.migrations.is_none() && !before.as_ref().is_some_and(|before| is_fresh(of, before, cx)),
    };
    if let Some(before) = before {
        details.manner = before.manner;
        details.loaded = before.loaded;
        artifact.details = details.written()?;
    }
    let is_deployment = cx.run.as_ref().is_some_and(|run| run.kind() == RunKind::Deploy);
    let stays = is_deployment && stays(of, reach, artifact, cx)?;
    if !stays && !is_due {
        return Ok(());
    }
    let maintenance = reach.maintenance(cx)?;
    let side = Aside::Side.name(&reach.database, &cx.token());
    if is_deployment {
        drop_older(reach, maintenance, &side, cx)?;
    }
    agree(reach, maintenance, &details, cx)?;
    cx.note(Level::Detail, format!("{}: rehearsing the restore", of.name));
    // The server has others to serve: one job, and not all the time where that was asked for.
    let mut reach = reach.clone();
    reach.load = Load {
        jobs: 1,
        share: of.standby_load,
    };
    let reach = &reach;
    let staged = stage(reach, maintenance, &side, &Loadable::new(artifact, slot, &details), cx).map_err(unloadable)?;
    details.manner = staged.manner;
    details.loaded = Some(Loaded { shape, at: now });
    artifact.details = details.written()?;
    if !stays || !staged.is_exact {
        return drop_own(reach, maintenance, &side, Aside::Side, cx);
    }
    let marked = format!(
        "{}{}",
        mark(cx, artifact),
        comment(reach, maintenance, &side, cx)?.unwrap_or_default()
    );
    let script = format!(
        "BEGIN; COMMENT ON DATABASE {0} IS {1}; ALTER DATABASE {0} ALLOW_CONNECTIONS false; COMMIT;",
        ident(&side),
        literal(&marked)
    );
    reach.run(maintenance, &script, cx)?;
    cx.note(
        Level::Info,
        format!("{}: a restored copy stands by as database {side}", of.name),
    );
    Ok(())
}

/// Whether what was proven by a load is young enough to count.
pub(super) fn is_fresh(of: &Postgres, details: &Details, cx: &Context) -> bool {
    let loaded = details.loaded.as_ref();
    loaded.is_some_and(|loaded| proof::is_fresh(loaded, of.proof_interval, cx.clock.now()))
}

/// What a load that failed says of the copy: that it would be no way back, and the server's own words why.
pub(super) fn unloadable(error: ResourceError) -> ResourceError {
    let said: Vec<&str> = said(&error)
        .lines()
        .filter_map(|line| line.split_once("ERROR:").or_else(|| line.split_once("DETAIL:")))
        .map(|(_, words)| words.trim())
        .collect();
    let words = if said.is_empty() {
        String::new()
    } else {
        format!(" ({})", said.join(" "))
    };
    let error = proof::unloadable(error);
    ResourceError {
        what: format!("{}{words}", error.what),
        ..error
    }
}

fn stays(of: &Postgres, reach: &Reach, artifact: &Artifact, cx: &Context) -> Result<bool> {
    match of.standby {
        Standby::Never => Ok(false),
        Standby::Always => Ok(true),
        Standby::Auto => {
            let why = hindrance(of, reach, &Details::of(artifact)?, cx);
            if let Some(why) = &why {
                let note = format!("{}: nothing stands by (`standby = \"auto\"`): {why}", of.name);
                cx.note(Level::Info, note);
            }
            Ok(why.is_none())
        }
    }
}

/// Why no standby is to be kept, where none is.
fn hindrance(of: &Postgres, reach: &Reach, details: &Details, cx: &Context) -> Option<String> {
    let size = details.server.size;
    if size > MOST {
        return Some(format!("the database has {}, more than {}", bytes(size), bytes(MOST)));
    }
    let dumped = (cx.clock.now() - details.taken_at).to_std().unwrap_or_default();
    let load = dumped * LOAD * 100 / of.standby_load;
    if load > PATIENCE {
        return Some(format!(
            "the dump took {}, so the load is estimated at {}",
            duration(dumped),
            duration(load)
        ));
    }
    match space::room(reach, cx) {
        None => Some("the free space of the server's disk cannot be seen".to_owned()),
        Some(free) if free < size.saturating_mul(3) => {
            Some(format!("the free space of the server's disk is {}", bytes(free)))
        }
        Some(_) => None,
    }
}

/// Side databases of runs that ended before they could drop them. This run holds the lock, so nobody uses them.
fn drop_older(reach: &Reach, maintenance: &str, side: &str, cx: &Context) -> Result<()> {
    let stem = |name: &str| name.rsplit_once("__guard_").map(|(stem, _)| stem.to_owned());
    for name in reach.databases(maintenance, cx)? {
        if name != side && stem(&name) == stem(side) && Aside::Side.names(&name) {
            drop_own(reach, maintenance, &name, Aside::Side, cx)?;
            cx.note(Level::Info, format!("dropped {name}, which an earlier run left"));
        }
    }
    Ok(())
}

/// Whether the side database of this run is the restored copy; it is opened for guard then.
pub(super) fn is_ready(
    reach: &Reach,
    maintenance: &str,
    side: &str,
    artifact: &Artifact,
    cx: &Context,
) -> Result<bool> {
    let found = comment(reach, maintenance, side, cx)?;
    if !found.is_some_and(|comment| comment.starts_with(&mark(cx, artifact))) {
        return Ok(false);
    }
    let script = format!("ALTER DATABASE {} ALLOW_CONNECTIONS true;", ident(side));
    reach.run(maintenance, &script, cx).map(|_| true)
}

/// Drops what stands by when the run is over, and nothing that was swapped in.
pub(super) fn stand_down(of: &Postgres, cx: &Context) -> Result<()> {
    if of.standby == Standby::Never {
        return Ok(());
    }
    let reach = Reach::open(of, cx)?;
    let maintenance = reach.maintenance(cx)?;
    let side = Aside::Side.name(&reach.database, &cx.token());
    drop_own(&reach, maintenance, &side, Aside::Side, cx)
}

/// Restores a copy into a database of its own, compares it, and drops it again.
pub(super) fn rehearse(of: &Postgres, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
    let reach = Reach::open(of, cx)?;
    let maintenance = reach.maintenance(cx)?;
    let details = Details::of(artifact)?;
    let room = space::room(&reach, cx);
    if let Some(free) = room.filter(|free| *free < details.server.size.saturating_mul(6) / 5) {
        return Err(ResourceError::new(format!(
            "the server's disk has {} free, and the database took {}",
            bytes(free),
            bytes(details.server.size)
        ))
        .with_hint("free some space on the server's disk"));
    }
    agree(&reach, maintenance, &details, cx)?;
    let side = Aside::Side.name(&reach.database, &cx.token());
    stage(&reach, maintenance, &side, &Loadable::new(artifact, slot, &details), cx)?;
    drop_own(&reach, maintenance, &side, Aside::Side, cx)
}
