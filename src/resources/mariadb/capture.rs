//! The copy: the dump of all tables at one moment, compressed, and the script of what is beside them; both proven by reading
//! them to their ends.

use std::io::Write;
use std::path::Path;

use super::database::MariaDb;
use super::details::{CODE, DUMP, Details};
use super::dump::{END, prove};
use super::reach::{Reach, version};
use super::reading::{Seen, observe};
use super::trouble::{explained, no_database};
use super::{code, loading, proving, survey};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::sql::proof::{self, Loaded};
use crate::sql::side_names::Aside;
use crate::sql::{rows, stall};
use guard_model::artifact::{Artifact, FileEntry};
use guard_model::event::Level;
use guard_model::text::bytes;
use guard_system::context::Context;
use guard_system::disk::At;

/// zstd's level: nearly the size of 6 at a multiple of its speed.
const LEVEL: i32 = 3;

pub(super) fn capture(of: &MariaDb, slot: &Slot, cx: &Context) -> Result<Artifact> {
    let reach = Reach::open(of, cx)?;
    let database = &reach.database;
    if let Some((what, advice)) = survey::hindrances(&reach, database, cx)?.into_iter().next() {
        return Err(ResourceError::new(what).with_hint(advice));
    }
    let taken_at = cx.clock.now();
    let look = || observe(&reach, database, cx)?.ok_or_else(|| no_database(database));
    let before = look()?;
    let packet = packet(&reach, &before, cx)?;
    let dump = dump(&reach, &before, packet, slot, cx)?;
    let after = look()?;
    let code = slot.keep_bytes(&after.code, CODE)?;
    let dump_version = reach.version(of.product.dump, cx)?;
    let mut details = Details {
        database: database.clone(),
        server: version(&reach, cx)?,
        charset: after.charset.clone(),
        collation: after.collation.clone(),
        taken_at,
        loaded: None,
    };
    let mut artifact = Artifact {
        resource: of.name.clone(),
        project: None,
        kind: of.product.key.to_owned(),
        summary: String::new(),
        fingerprint: after.print.clone(),
        files: vec![dump, code],
        details: details.written()?,
        not_kept: Vec::new(),
        tools: vec![(of.product.dump.to_owned(), dump_version.clone())],
    };
    prove(&artifact, slot)?;
    let shape = proving::shape(&after.print, &details.server, &dump_version);
    let earlier = slot
        .earlier()
        .and_then(|(_, earlier)| Details::of(earlier).ok()?.loaded);
    details.loaded = earlier.filter(|loaded| loaded.shape == shape);
    // Somebody wrote meanwhile: then what the dump holds is neither what was seen before nor after, and the dump itself tells.
    let was_written = before.print != after.print;
    let is_due = packet != Packet::Hex || proof::is_due(of.proof, of.proof_interval, details.loaded.as_ref(), taken_at);
    if was_written || is_due {
        cx.note(
            Level::Detail,
            format!("{}: loading the copy beside the live database", of.name),
        );
        let print = told_by_itself(&reach, &artifact, slot, &after, was_written, cx).map_err(proof::unloadable)?;
        details.loaded = Some(Loaded { shape, at: taken_at });
        artifact.fingerprint = print;
    }
    artifact.details = details.written()?;
    artifact.summary = rows::summary(database, &artifact.fingerprint);
    Ok(artifact)
}

/// In which form large rows are dumped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packet {
    /// Each binary byte as two digits.
    Hex,
    /// As they are: two digits for each byte would be more than the server takes in one statement.
    Raw,
}

/// Whether the server would take the longest row back.
///
/// # Errors
/// It would not.
fn packet(reach: &Reach, seen: &Seen, cx: &Context) -> Result<Packet> {
    /// What a statement has beside its row, generously.
    const REST: u64 = 64 * 1024;
    let told: Vec<u64> = reach.rows("SELECT @@GLOBAL.max_allowed_packet;", cx)?;
    let limit = told.first().copied().unwrap_or(u64::MAX);
    let Some((longest, table)) = &seen.longest else {
        return Ok(Packet::Hex);
    };
    if longest.saturating_mul(2).saturating_add(REST) <= limit {
        return Ok(Packet::Hex);
    }
    // Of bytes as they fall, one in forty is written as two.
    let needed = longest.saturating_add(longest / 32).saturating_add(REST);
    if needed <= limit {
        return Ok(Packet::Raw);
    }
    let what = format!(
        "a row of {table:?} has {}, and the server takes {} in one statement: it could not be put back",
        bytes(*longest),
        bytes(limit)
    );
    let megabytes = needed.saturating_mul(2).div_ceil(1024 * 1024);
    let hint = format!(
        "raise max_allowed_packet of the server: `SET GLOBAL max_allowed_packet = {megabytes} * 1048576`, and in its settings"
    );
    Err(ResourceError::new(what).with_hint(hint))
}

/// Loads the copy beside the live database with all that stands beside its tables, looks at it there, and removes it again.
/// Where nobody wrote while it was taken, it has to be what was seen.
fn told_by_itself(
    reach: &Reach,
    artifact: &Artifact,
    slot: &Slot,
    after: &Seen,
    was_written: bool,
    cx: &Context,
) -> Result<guard_model::fingerprint::Fingerprint> {
    let side = Aside::Side.name(&reach.database, &cx.token());
    let loaded = loading::load(reach, &side, artifact, slot, cx)
        .and_then(|()| observe(reach, &side, cx)?.ok_or_else(|| no_database(&side)))
        .and_then(|seen| {
            if !was_written {
                loading::compare(reach, &seen, artifact, &Details::of(artifact)?, cx)?;
            }
            code::try_out(reach, &reach.database, &side, &after.code, cx)?;
            Ok(seen)
        });
    loading::drop_own(reach, &side, Aside::Side, &cx.unstoppable())?;
    let print = loaded?.print;
    if !was_written {
        return Ok(artifact.fingerprint.clone());
    }
    Ok(print
        .with("code", code::digest(&after.code))
        .with("database", format!("{} {}", after.charset, after.collation)))
}

/// Writes the dump into the slot.
fn dump(reach: &Reach, seen: &Seen, packet: Packet, slot: &Slot, cx: &Context) -> Result<FileEntry> {
    let mut staged = slot.stage(DUMP)?;
    let packing = Path::new(DUMP);
    let mut encoder = zstd::Encoder::new(&mut staged, LEVEL).at("compress", packing)?;
    encoder.include_checksum(true).at("compress", packing)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cores = u32::try_from(cores).unwrap_or(1);
    encoder.multithread(cores).at("compress", packing)?;
    if seen.tables.is_empty() {
        // Without a list of tables the dump program would take all, views among them.
        encoder.write_all(END).at("compress", packing)?;
    } else {
        // Rows may break a check that was switched off when they came; others than MariaDB take this for a comment.
        let unchecked = b"/*M!100201 SET SESSION check_constraint_checks = 0 */;\n";
        encoder.write_all(unchecked).at("compress", packing)?;
        let mut flags = vec!["--single-transaction", "--quick", "--skip-triggers"];
        if packet == Packet::Hex {
            flags.push("--hex-blob");
        }
        let call = reach.dump(&flags, &reach.database, &seen.tables);
        let what = format!("dump {}", reach.database);
        let mut done = 0;
        let mut take = |bytes: &[u8]| {
            done += bytes.len() as u64;
            cx.progress(&what, done, None);
            encoder.write_all(bytes)
        };
        let watch = stall::Watch {
            database: &reach.database,
            limit: reach.stall,
            grown: &|| 0,
            explained: &|error| explained(error, &reach.database),
        };
        watch.pull(&call, cx, &mut take)?;
    }
    encoder.finish().at("compress", packing)?;
    slot.keep(staged, DUMP)
}
