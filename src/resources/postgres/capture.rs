//! The copy: `pg_dump`'s own archive, compressed, and proven by reading all of it back through `pg_restore`.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};

use super::archive::{LEVEL, pour};
use super::catalog::{Catalog, observe};
use super::database::Postgres;
use super::details::Details;
use super::meter::metered;
use super::pace::usual_jobs;
use super::reach::Reach;
use super::versions::major;
use super::{folder, proof, space, stall, standby};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::sql::rows;
use guard_model::artifact::{Artifact, FileEntry};
use guard_model::event::Level;
use guard_model::text::chain;
use guard_system::context::Context;
use guard_system::disk::{At, Staged};

/// The first version whose `pg_dump` has zstd of its own.
const OWN_ZSTD: u32 = 16;
/// The smallest database, in bytes on the server, that is dumped in several jobs unasked.
const LARGE: u64 = 32 * 1024 * 1024;
/// What every archive of `pg_dump` begins with.
const MAGIC: &[u8] = b"PGDMP";

pub(super) fn capture(of: &Postgres, slot: &Slot, cx: &Context) -> Result<Artifact> {
    let reach = Reach::open(of, cx)?;
    let name = reach.database.clone();
    let mut artifact = copy(of, &reach, &name, None, slot, cx)?;
    standby::after_capture(of, &reach, &mut artifact, slot, cx)?;
    Ok(artifact)
}

/// Copies the database that `reach` leads to, as the copy of the live one of this name; `made_at`: when somebody else made
/// what is in it.
pub(super) fn copy(
    of: &Postgres,
    reach: &Reach,
    name: &str,
    made_at: Option<DateTime<Utc>>,
    slot: &Slot,
    cx: &Context,
) -> Result<Artifact> {
    let dump_version = reach.version("pg_dump", cx)?;
    let taken_at = made_at.unwrap_or_else(|| cx.clock.now());
    let database = &reach.database;
    let own_zstd = major(&dump_version) >= OWN_ZSTD;
    // Several jobs write a directory as it is; what is to be encrypted goes through guard.
    let jobs = if own_zstd && !slot.is_sealed() {
        jobs(of, reach, cx)
    } else {
        1
    };
    let (mut catalog, written) = observe(reach, database, cx, |snapshot| {
        if jobs > 1 {
            match folder::dump(reach, snapshot, jobs, slot, cx) {
                Err(error) if folder::is_worth_one_job(&error) => cx.note(
                    Level::Detail,
                    format!("{}: dumping in one job: {}", of.name, chain(&error)),
                ),
                other => return other.map(Written::Folder),
            }
        }
        let packed = own_zstd.then(|| dump(reach, snapshot, true, slot, cx));
        match packed {
            Some(Err(error)) if lacks_zstd(&error) => dump(reach, snapshot, false, slot, cx),
            Some(packed) => packed,
            None => dump(reach, snapshot, false, slot, cx),
        }
        .map(Written::Stream)
    })?;
    let files = match written {
        Written::Folder(found) => {
            found.agree(&catalog.counts)?;
            found.files
        }
        Written::Stream(entry) => vec![entry],
    };
    settle_moment(reach, &mut catalog, cx);
    let fingerprint = catalog.fingerprint();
    let details = Details {
        place: reach.place.clone(),
        ..Details::from_catalog(catalog, name, &dump_version, taken_at)
    };
    let details = details.written()?;
    Ok(Artifact {
        resource: of.name.clone(),
        project: None,
        kind: "postgres".to_owned(),
        summary: rows::summary(name, &fingerprint),
        fingerprint,
        files,
        details,
        not_kept: Vec::new(),
        tools: vec![("pg_dump".to_owned(), dump_version)],
    })
}

/// Keeps the moment of the copy only where all that led to it is on the server's disk: transactions that did not wait for that, as with
/// `synchronous_commit = off`, can be lost by a crash, and their numbers given out again. Where nobody has committed since, a message
/// in the log that nothing reads is committed, which takes all before it to the disk.
fn settle_moment(reach: &Reach, catalog: &mut Catalog, cx: &Context) {
    let Some(moment) = catalog.moment.as_ref().filter(|_| !catalog.is_flushed) else {
        return;
    };
    let script = format!(
        "BEGIN READ WRITE; SET LOCAL synchronous_commit = local; DO $$ BEGIN PERFORM pg_logical_emit_message(true, 'guard', ''); END $$; COMMIT;\n\
         SELECT to_jsonb(pg_current_wal_flush_lsn() - '0/0'::pg_lsn >= {});",
        moment.wal
    );
    // Whoever may not do that has the rows compared one by one.
    let flushed = reach.rows::<bool>(&reach.database, &script, cx);
    if !flushed.is_ok_and(|told| told == [true]) {
        catalog.moment = None;
    }
}

/// What a dump has left in the slot.
enum Written {
    Stream(FileEntry),
    Folder(proof::Found),
}

/// In how many jobs the database is dumped: several where it is large, and in a container only where that has room.
fn jobs(of: &Postgres, reach: &Reach, cx: &Context) -> u32 {
    if let Some(jobs) = of.jobs {
        return jobs;
    }
    let script = "SELECT to_jsonb(pg_database_size(current_database()));";
    let size: Option<u64> = reach
        .rows(&reach.database, script, cx)
        .ok()
        .and_then(|mut found| found.pop());
    let Some(size) = size.filter(|size| *size >= LARGE) else {
        return 1;
    };
    let has_room = reach.container().is_none() || space::free(reach, "/tmp", cx).is_some_and(|free| free > size);
    if has_room { usual_jobs() } else { 1 }
}

fn lacks_zstd(error: &ResourceError) -> bool {
    let text = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
    text.to_lowercase().contains("not support compression with zstd")
}

/// Writes the archive into the slot and proves it; `packed`: `pg_dump` compresses, else guard does, on all cores.
fn dump(reach: &Reach, snapshot: &str, packed: bool, slot: &Slot, cx: &Context) -> Result<FileEntry> {
    let name = if packed { "dump.pgc" } else { "dump.pgc.zst" };
    let level = if packed {
        format!("zstd:{LEVEL}")
    } else {
        "0".to_owned()
    };
    let (snapshot, wait) = (format!("--snapshot={snapshot}"), reach.wait_flag());
    let connection = reach.connection(&reach.database);
    let args = [
        "-Fc",
        "-Z",
        &level,
        "--no-password",
        &snapshot,
        &wait,
        "-d",
        &connection,
    ];
    let call = reach.program("pg_dump", false, &args);
    let mut staged = slot.stage(name)?;
    let what = format!("dump {}", reach.database);
    let mut begin: Vec<u8> = Vec::new();
    metered(reach, &what, true, cx, |metered| {
        let mut done = 0;
        let mut told = |bytes: &[u8]| {
            done += bytes.len() as u64;
            if begin.len() < MAGIC.len() {
                begin.extend(bytes.iter().take(MAGIC.len() - begin.len()));
            }
            if !metered.load(Ordering::SeqCst) {
                cx.progress(&what, done, None);
            }
        };
        if packed {
            stall::pull(&call, &reach.database, reach.stall, cx, &mut |bytes: &[u8]| {
                told(bytes);
                staged.write_all(bytes)
            })?;
        } else {
            let mut encoder = encoder(&mut staged).at("compress", Path::new(name))?;
            stall::pull(&call, &reach.database, reach.stall, cx, &mut |bytes: &[u8]| {
                told(bytes);
                encoder.write_all(bytes)
            })?;
            encoder.finish().at("compress", Path::new(name))?;
        }
        if !metered.load(Ordering::SeqCst) {
            cx.progress(&what, done, Some(done));
        }
        Ok(())
    })?;
    if begin != MAGIC {
        return Err(ResourceError::new("pg_dump wrote no archive"));
    }
    if !slot.is_sealed() {
        prove(reach, staged.path(), name, cx)?;
        return slot.keep(staged, name);
    }
    let entry = slot.keep(staged, name)?;
    let work = tempfile::tempdir_in(&cx.scratch).at("make a directory in", &cx.scratch)?;
    prove(reach, &slot.unsealed(&entry, work.path())?, name, cx)?;
    Ok(entry)
}

fn encoder(staged: &mut Staged) -> io::Result<zstd::Encoder<'static, &mut Staged>> {
    let mut encoder = zstd::Encoder::new(staged, LEVEL)?;
    encoder.include_checksum(true)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    encoder.multithread(u32::try_from(cores).unwrap_or(1))?;
    Ok(encoder)
}

/// Reads the archive to its last byte: the list of its contents alone is sound in a file that was cut in half.
fn prove(reach: &Reach, path: &Path, name: &str, cx: &Context) -> Result<()> {
    let call = reach.program("pg_restore", true, &["-f", "/dev/null"]);
    let what = format!("prove {}", reach.database);
    let mut feed = |writer: &mut dyn Write| pour(path, name, writer, &what, cx);
    cx.push(&call, &mut feed)
        .map_err(|error| ResourceError::because("the dump cannot be read back", error))?;
    Ok(())
}
