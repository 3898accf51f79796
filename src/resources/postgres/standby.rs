//! The rehearsal of a restore: the copy loaded into a side database and compared, which proves it; and that database kept
//! beside the live one while the release is watched, so that a rollback has nothing to load.

use super::Postgres;
use super::agree::agree;
use super::capture::Details;
use super::prepare::{drop_own, stage};
use super::reach::Reach;
use super::sql::{Aside, ident, literal};
use super::survey;
use crate::model::artifact::Artifact;
use crate::model::event::Level;
use crate::model::name::RunKind;
use crate::model::section::Section;
use crate::model::text::bytes;
use crate::resources::{ResourceError, Result, Slot};
use crate::system::context::Context;

/// The largest database that `auto` keeps a standby of: loading it takes a minute or so.
const MOST: u64 = 1_000_000_000;

/// Whether a database of the copy stands by, `standby`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Standby {
    #[default]
    Never,
    /// Where the database is small, and the server's disk is seen to have room for three of it.
    Auto,
    Always,
}

/// How a copy is proven when it is made, `proof`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Proof {
    /// All of it is read back.
    #[default]
    Read,
    /// It is restored into a database of its own, and compared.
    Restore,
}

/// Reads both settings.
pub(super) fn wishes(section: &mut Section<'_>) -> (Standby, Proof) {
    let standby = [
        ("never", Standby::Never),
        ("auto", Standby::Auto),
        ("always", Standby::Always),
    ];
    let proof = [("read", Proof::Read), ("restore", Proof::Restore)];
    (
        section.choice("standby", &standby).unwrap_or_default(),
        section.choice("proof", &proof).unwrap_or_default(),
    )
}

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
    artifact: &Artifact,
    slot: &Slot,
    cx: &Context,
) -> Result<()> {
    let is_deployment = cx
        .run
        .as_ref()
        .is_some_and(|run| run.as_str().ends_with(RunKind::Deploy.as_str()));
    let stays = is_deployment && stays(of, reach, artifact, cx)?;
    if !stays && of.proof == Proof::Read {
        return Ok(());
    }
    let maintenance = reach.maintenance(cx)?;
    let side = Aside::Side.name(&reach.database, &cx.token());
    if is_deployment {
        drop_older(reach, maintenance, &side, cx)?;
    }
    let details = Details::of(artifact)?;
    agree(reach, maintenance, &details, cx)?;
    cx.note(Level::Detail, format!("{}: rehearsing the restore", of.name));
    let is_exact = stage(reach, maintenance, &side, artifact, slot, &details, cx)?;
    if !stays || !is_exact {
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

fn stays(of: &Postgres, reach: &Reach, artifact: &Artifact, cx: &Context) -> Result<bool> {
    match of.standby {
        Standby::Never => Ok(false),
        Standby::Always => Ok(true),
        Standby::Auto => {
            let size = Details::of(artifact)?.server.size;
            let free = survey::room(reach, cx);
            let has_room = free.is_some_and(|free| free >= size.saturating_mul(3));
            if size <= MOST && !has_room {
                let seen = free.map_or_else(|| "cannot be seen".to_owned(), |free| format!("is {}", bytes(free)));
                cx.note(
                    Level::Info,
                    format!(
                        "{}: nothing stands by, since the free space of the server's disk {seen}",
                        of.name
                    ),
                );
            }
            Ok(size <= MOST && has_room)
        }
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
    let room = survey::room(&reach, cx);
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
    stage(&reach, maintenance, &side, artifact, slot, &details, cx)?;
    drop_own(&reach, maintenance, &side, Aside::Side, cx)
}
