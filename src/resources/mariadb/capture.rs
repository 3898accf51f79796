//! The copy: the dump of all tables at one moment, compressed, and the script of what is beside them; both proven by reading
//! them to their ends.

use std::io::{self, Read, Write};
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::code::Kept;
use super::reach::Reach;
use super::reading::{Seen, observe};
use super::trouble::{explained, no_database};
use super::{MariaDb, prepare, survey};
use crate::model::artifact::{Artifact, FileEntry};
use crate::resources::aside::Aside;
use crate::resources::{ResourceError, Result, Slot, rows, stall};
use crate::system::context::Context;
use crate::system::disk::{At, sha256_hex};

/// zstd's level: nearly the size of 6 at a multiple of its speed.
const LEVEL: i32 = 3;
/// The tables' copy in the backup.
pub(super) const DUMP: &str = "dump.sql.zst";
/// The script of views, triggers, routines and events.
pub(super) const CODE: &str = "code.sql";
/// The last line of every dump that came to its end.
const END: &[u8] = b"-- Dump completed";

/// What a restore has to know beside the files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Details {
    pub(super) database: String,
    /// The server's own words: `10.11.19-MariaDB`.
    pub(super) server: String,
    pub(super) charset: String,
    pub(super) collation: String,
    pub(super) taken_at: DateTime<Utc>,
}

impl Details {
    /// The details of an artifact.
    pub(super) fn of(artifact: &Artifact) -> Result<Self> {
        serde_json::from_value(artifact.details.clone()).map_err(|error| ResourceError {
            copy_is_bad: true,
            ..ResourceError::because("could not read what the manifest says about the database", error)
        })
    }
}

pub(super) fn capture(of: &MariaDb, slot: &Slot, cx: &Context) -> Result<Artifact> {
    let reach = Reach::open(of, cx)?;
    let database = &reach.database;
    if let Some((what, advice)) = survey::hindrances(&reach, database, cx)?.into_iter().next() {
        return Err(ResourceError::new(what).with_hint(advice));
    }
    let taken_at = cx.clock.now();
    let look = || observe(&reach, database, cx)?.ok_or_else(|| no_database(database));
    let before = look()?;
    let dump = dump(&reach, &before, slot, cx)?;
    let after = look()?;
    let code = slot.keep_bytes(&after.code, CODE)?;
    let details = Details {
        database: database.clone(),
        server: version(&reach, cx)?,
        charset: after.charset.clone(),
        collation: after.collation.clone(),
        taken_at,
    };
    let mut artifact = Artifact {
        resource: of.name.clone(),
        project: None,
        kind: of.product.key.to_owned(),
        summary: String::new(),
        fingerprint: after.print.clone(),
        files: vec![dump, code],
        details: serde_json::to_value(&details)
            .map_err(|error| ResourceError::because("could not describe the database", error))?,
        not_kept: Vec::new(),
        tools: vec![(of.product.dump.to_owned(), reach.version(of.product.dump, cx)?)],
    };
    if before.print != after.print {
        // Somebody wrote meanwhile, so what the dump holds is neither what was seen before nor after: the dump itself tells.
        artifact.fingerprint = told_by_itself(&reach, &artifact, slot, &after, cx)?;
    }
    artifact.summary = rows::summary(database, &artifact.fingerprint);
    prove(&artifact, slot)?;
    Ok(artifact)
}

/// The server's version.
pub(super) fn version(reach: &Reach, cx: &Context) -> Result<String> {
    let told: Vec<String> = reach.rows("SELECT JSON_QUOTE(@@version);", cx)?;
    Ok(told.into_iter().next().unwrap_or_default())
}

/// Loads the copy beside the live database, looks at it there, and removes it again.
fn told_by_itself(
    reach: &Reach,
    artifact: &Artifact,
    slot: &Slot,
    after: &Seen,
    cx: &Context,
) -> Result<crate::model::fingerprint::Fingerprint> {
    let side = Aside::Side.name(&reach.database, &cx.token());
    let loaded = prepare::load(reach, &side, artifact, slot, cx)
        .and_then(|()| observe(reach, &side, cx)?.ok_or_else(|| no_database(&side)));
    prepare::drop_own(reach, &side, Aside::Side, &cx.unstoppable())?;
    let print = loaded?.print;
    Ok(print
        .with("code", sha256_hex(&after.code))
        .with("database", format!("{} {}", after.charset, after.collation)))
}

/// Writes the dump into the slot.
fn dump(reach: &Reach, seen: &Seen, slot: &Slot, cx: &Context) -> Result<FileEntry> {
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
        let flags = ["--single-transaction", "--quick", "--hex-blob", "--skip-triggers"];
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

/// The entry of one of the copy's files.
fn entry<'a>(artifact: &'a Artifact, name: &str) -> Result<&'a FileEntry> {
    let lost = || ResourceError::bad_copy(format!("the manifest lists no {name}"));
    artifact.file(name).ok_or_else(lost)
}

/// Writes the dump, decompressed, into a program.
pub(super) fn pour(artifact: &Artifact, slot: &Slot, writer: &mut dyn Write) -> Result<()> {
    let entry = entry(artifact, DUMP)?;
    zstd::stream::copy_decode(slot.read(entry)?, writer).map_err(|error| match error.kind() {
        // Whoever reads the dump has gone, and says why itself.
        io::ErrorKind::BrokenPipe => ResourceError::because("the dump could not be handed on", error),
        _ => ResourceError {
            copy_is_bad: true,
            ..ResourceError::because(format!("{} cannot be read to its end", entry.path), error)
        },
    })
}

/// The script of the copy, with the database's standards.
pub(super) fn code(artifact: &Artifact, slot: &Slot) -> Result<Kept> {
    let details = Details::of(artifact)?;
    let mut reader = slot.read(entry(artifact, CODE)?)?;
    let mut script = Vec::new();
    reader
        .read_to_end(&mut script)
        .map_err(|error| ResourceError::because("could not read the script of the copy", error))?;
    reader.finish()?;
    Ok(Kept {
        charset: details.charset,
        collation: details.collation,
        script,
    })
}

/// Reads the dump to its last line: a dump program that dies may still have written all that a digest would be taken of.
pub(super) fn prove(artifact: &Artifact, slot: &Slot) -> Result<()> {
    let mut tail = Tail(Vec::new());
    pour(artifact, slot, &mut tail)?;
    if tail.0.windows(END.len()).any(|window| window == END) {
        return Ok(());
    }
    Err(ResourceError::bad_copy(format!(
        "the dump of {} does not come to its end: its last line is missing",
        artifact.resource
    )))
}

/// Keeps the last bytes that were written.
struct Tail(Vec<u8>);

impl Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        const KEPT: usize = 64;
        self.0
            .extend_from_slice(bytes.get(bytes.len().saturating_sub(KEPT)..).unwrap_or_default());
        let over = self.0.len().saturating_sub(KEPT);
        self.0.drain(..over);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
