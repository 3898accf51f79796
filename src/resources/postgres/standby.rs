//! The rehearsal of a restore: the copy loaded into a side database and compared, which proves it; and that database kept
//! beside the live one while the release is watched, so that a rollback has nothing to load.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::agree::agree;
use super::database::{Postgres, Standby};
use super::details::Details;
use super::fill::what_is_told;
use super::pace::{Hold, Load, time_for};
use super::reach::Reach;
use super::sql::{ident, literal};
use super::staging::{Loadable, drop_own, drop_side, stage};
use super::trouble::said;
use super::{beside, space};
use crate::abilities::{Occasion, StandingBy};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::sql::proof::{self, Loaded, Proof};
use crate::sql::side_names::Aside;
use guard_model::artifact::Artifact;
use guard_model::event::Level;
use guard_model::name::RunKind;
use guard_model::text::{bytes, duration};
use guard_system::context::Context;
use guard_system::stop::Stop;

/// The smallest database, in bytes on the server, that `auto` keeps a standby of: less is loaded in a second on the way back.
/// An empty one has 7 MiB.
const LEAST: u64 = 32 * 1024 * 1024;
/// What a load does after its rows, the indexes and the comparison, in bytes of the database a second. A guess, on the careful
/// side: 1 GB took 3 s on two processors.
const REST: u64 = 100_000_000;
/// How often the server's disk is looked at while a standby is loaded; every fifth time where that starts a program.
const LOOK: Duration = Duration::from_secs(1);
/// How often is looked whether the load has ended.
const TICK: Duration = Duration::from_millis(50);

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

/// After a copy was made: rehearses the restore where that is due. In a deployment that wants a standby the result stays, since
/// it is there.
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
    if !is_due {
        return Ok(());
    }
    let maintenance = reach.maintenance(cx)?;
    let side = Aside::Side.name(&reach.database, &cx.token());
    let is_deployment = cx.run.as_ref().is_some_and(|run| run.kind() == RunKind::Deploy);
    if is_deployment {
        drop_older(reach, maintenance, &side, cx)?;
    }
    agree(reach, maintenance, &details, cx)?;
    cx.note(Level::Detail, format!("{}: rehearsing the restore", of.name));
    // The server has others to serve: one job, and not all the time where that was asked for.
    let mut reach = reach.clone();
    reach.load = Load {
        share: of.standby_load,
        ..Load::full(1)
    };
    let reach = &reach;
    let staged = stage(reach, maintenance, &side, &Loadable::new(artifact, slot, &details), cx).map_err(unloadable)?;
    details.manner = staged.manner;
    details.loaded = Some(Loaded { shape, at: now });
    artifact.details = details.written()?;
    if !is_deployment || !staged.is_exact || !stays(of, details.server.size) {
        return drop_side(&of.name, reach, maintenance, &side, cx);
    }
    close(reach, maintenance, &side, artifact, cx)
}

/// Marks a side database that was compared, and lets nobody into it any more: from here on it is believed.
fn close(reach: &Reach, maintenance: &str, side: &str, artifact: &Artifact, cx: &Context) -> Result<()> {
    let marked = format!(
        "{}{}",
        mark(cx, artifact),
        comment(reach, maintenance, side, cx)?.unwrap_or_default()
    );
    let script = format!(
        "BEGIN; COMMENT ON DATABASE {0} IS {1}; ALTER DATABASE {0} ALLOW_CONNECTIONS false; COMMIT;",
        ident(side),
        literal(&marked)
    );
    reach.run(maintenance, &script, cx).map(|_| ())
}

/// Whether a side database of so many bytes is kept in a deployment, where one is there.
fn stays(of: &Postgres, size: u64) -> bool {
    of.migrations.is_none()
        && match of.standby {
            Standby::Never => false,
            Standby::Auto => size >= LEAST,
            Standby::Always => true,
        }
}

/// Whether a copy is to stand by, as far as settings and copy tell.
pub(super) fn is_wanted(of: &Postgres, artifact: &Artifact, occasion: &Occasion) -> bool {
    // With `--no-rollback` only a person goes back, who may wait for the load.
    let is_of_use = of.standby == Standby::Always || occasion.goes_back_unasked;
    let size = Details::of(artifact).map_or(0, |details| details.server.size);
    !of.in_place && is_of_use && stays(of, size)
}

/// Loads a copy beside the live database, held back until the way back wants it, and lets it stand by.
pub(super) fn stand_by(
    of: &Postgres,
    artifact: &Artifact,
    slot: &Slot,
    occasion: &Occasion,
    cx: &Context,
) -> Result<StandingBy> {
    let hold = Arc::new(Hold::to(of.standby_rate));
    let without = |why: &str| Ok(StandingBy::Without { why: why.to_owned() });
    let Some(_running) = of.loading.begin(&hold, &cx.stop) else {
        return without("the way back has begun, and loads it by itself");
    };
    let mut reach = Reach::open(of, cx)?;
    let maintenance = reach.maintenance(cx)?;
    let beside = Aside::Side.name(&reach.database, &cx.token());
    let ready = StandingBy::Ready {
        kept_as: format!("database {beside}"),
    };
    if is_marked(&reach, maintenance, &beside, artifact, cx)? {
        return Ok(ready);
    }
    let details = Details::of(artifact)?;
    let size = details.server.size;
    let room = match hindrance(of, &reach, size, occasion, cx) {
        Ok(room) => room,
        Err(why) => return without(&why),
    };
    drop_older(&reach, maintenance, &beside, cx)?;
    agree(&reach, maintenance, &details, cx)?;
    reach.load = Load {
        jobs: 1,
        share: of.standby_load,
        hold: Some(Arc::clone(&hold)),
    };
    let copy = Loadable::new(artifact, slot, &details);
    let (staged, low) = while_there_is_room(&reach, room, &hold, cx, || {
        stage(&reach, maintenance, &beside, &copy, cx)
    });
    cx.progress(&what_is_told(&reach), size, Some(size));
    if let Some((free, least)) = low {
        drop_side(&of.name, &reach, maintenance, &beside, &cx.unstoppable())?;
        let (free, least) = (bytes(free), bytes(least));
        return without(&format!(
            "the server's disk had {free} left while it was loaded, and {least} are kept free"
        ));
    }
    if !staged?.is_exact {
        drop_side(&of.name, &reach, maintenance, &beside, cx)?;
        return without("a copy comes up in other words than the backup's, and has to be looked at on the way back");
    }
    close(&reach, maintenance, &beside, artifact, cx)?;
    Ok(ready)
}

/// The room of a server's disk while a standby is loaded.
struct Room {
    /// The directory whose file system it is.
    directory: String,
    /// So many bytes are left to others.
    least: u64,
}

/// Does the work, and asks it to stop where the server's disk has less left than it is to have; then with both figures. What
/// somebody waits for is not ended: the way back would load it once more.
fn while_there_is_room<T>(
    reach: &Reach,
    room: Option<Room>,
    hold: &Hold,
    cx: &Context,
    work: impl FnOnce() -> T,
) -> (T, Option<(u64, u64)>) {
    let Some(room) = room else {
        return (work(), None);
    };
    // The look has a wish to stop of its own: a server that has gone silent must not hold what is over.
    let own = &Context {
        stop: Stop::default(),
        ..cx.clone()
    };
    let pause = if reach.container().is_some() { LOOK * 5 } else { LOOK };
    let (over, low) = (AtomicBool::new(false), Mutex::new(None));
    let wait = || {
        let until = cx.clock.steady() + pause;
        while cx.clock.steady() < until && !over.load(Ordering::SeqCst) {
            cx.clock.sleep(TICK);
        }
        !over.load(Ordering::SeqCst)
    };
    let done = std::thread::scope(|scope| {
        scope.spawn(|| {
            while wait() {
                let free = space::free(reach, &room.directory, own);
                if let Some(free) = free.filter(|free| *free < room.least && !hold.is_hurried()) {
                    *low.lock().unwrap_or_else(PoisonError::into_inner) = Some((free, room.least));
                    cx.stop.ask();
                    return;
                }
            }
        });
        let done = work();
        over.store(true, Ordering::SeqCst);
        own.stop.ask();
        done
    });
    (done, low.into_inner().unwrap_or_else(PoisonError::into_inner))
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

/// How long the load of a standby takes, for a database of so many bytes.
pub(super) fn estimate(of: &Postgres, size: u64) -> Duration {
    let rate = if of.standby_rate == 0 { REST } else { of.standby_rate };
    let rows = time_for(size, rate) * 100 / of.standby_load;
    rows + time_for(size, REST)
}

/// Why no standby is loaded, where none is; else how the disk is watched meanwhile, where it can be seen.
fn hindrance(
    of: &Postgres,
    reach: &Reach,
    size: u64,
    occasion: &Occasion,
    cx: &Context,
) -> std::result::Result<Option<Room>, String> {
    let is_auto = of.standby == Standby::Auto;
    let time = estimate(of, size);
    if is_auto && time > occasion.time {
        let (time, watch) = (duration(time), duration(occasion.time));
        return Err(format!(
            "its load would take about {time}, and the release is watched for {watch}"
        ));
    }
    // Whoever asks for a standby whatever it costs gets one where it fits as a restore would.
    let (wanted, least) = if is_auto {
        (size.saturating_mul(3), size.saturating_mul(2))
    } else {
        (size.saturating_mul(6) / 5, size / 5)
    };
    let directory = space::directory(reach, cx);
    let free = directory.as_ref().and_then(|place| space::free(reach, place, cx));
    match (directory, free) {
        (Some(_), Some(free)) if free < wanted => Err(format!(
            "the server's disk has {} free, and {} are wanted",
            bytes(free),
            bytes(wanted)
        )),
        (Some(directory), Some(_)) => Ok(Some(Room { directory, least })),
        _ if is_auto => Err("the free space of the server's disk cannot be seen".to_owned()),
        _ => Ok(None),
    }
}

/// What `guard check` tells of a standby, for a database of so many bytes with so much free beside it.
pub(super) fn outlook(of: &Postgres, size: u64, free: Option<u64>) -> Option<String> {
    if of.in_place || !stays(of, size) {
        return None;
    }
    let taken = bytes(size);
    let none = |why: String| Some(format!("no standby: {why}"));
    match free {
        None if of.standby == Standby::Auto => {
            return none("the free space of the server's disk cannot be seen".to_owned());
        }
        Some(free) if of.standby == Standby::Auto && free < size.saturating_mul(3) => {
            return none(format!(
                "it wants {} free on the server's disk",
                bytes(size.saturating_mul(3))
            ));
        }
        _ => {}
    }
    let held = match of.standby_rate {
        0 => "at full speed".to_owned(),
        rate => format!("at {} MB/s", rate / 1_000_000),
    };
    let time = duration(estimate(of, size));
    Some(format!(
        "a standby is loaded beside the deployment {held}: ready after about {time}, and takes up to {taken}"
    ))
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

/// Whether the side database of this run is the restored copy, whole and compared: only then it has the mark.
fn is_marked(reach: &Reach, maintenance: &str, side: &str, artifact: &Artifact, cx: &Context) -> Result<bool> {
    let found = comment(reach, maintenance, side, cx)?;
    Ok(found.is_some_and(|comment| comment.starts_with(&mark(cx, artifact))))
}

/// Whether the side database of this run is the restored copy; it is opened for guard then.
pub(super) fn is_ready(
    reach: &Reach,
    maintenance: &str,
    side: &str,
    artifact: &Artifact,
    cx: &Context,
) -> Result<bool> {
    if !is_marked(reach, maintenance, side, artifact, cx)? {
        return Ok(false);
    }
    let script = format!("ALTER DATABASE {} ALLOW_CONNECTIONS true;", ident(side));
    reach.run(maintenance, &script, cx).map(|_| true)
}

/// Drops what this run has made beside the live database when it is over, and nothing that was swapped in.
pub(super) fn stand_down(of: &Postgres, cx: &Context) -> Result<()> {
    let noted = beside::noted(&of.name, cx)?;
    if noted.is_empty() {
        return Ok(());
    }
    let reach = Reach::open(of, cx)?;
    let maintenance = reach.maintenance(cx)?;
    for side in &noted {
        drop_own(&reach, maintenance, side, Aside::Side, cx)?;
    }
    beside::forget(&of.name, cx)
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
    drop_side(&of.name, &reach, maintenance, &side, cx)
}
