//! The copy: `pg_dump`'s own archive, compressed, and proven by reading all of it back through `pg_restore`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Postgres;
use super::catalog::{Server, observe};
use super::properties::Properties;
use super::reach::Reach;
use super::{stall, standby};
use crate::model::artifact::{Artifact, FileEntry};
use crate::resources::{ResourceError, Result, Slot, rows};
use crate::system::context::Context;
use crate::system::disk::{At, Staged};

/// The first version whose `pg_dump` has zstd of its own.
const OWN_ZSTD: u32 = 16;
/// zstd's level, by `pg_dump` and by guard alike: nearly the size of 6 at a multiple of its speed.
const LEVEL: i32 = 3;
/// What every archive of `pg_dump` begins with.
const MAGIC: &[u8] = b"PGDMP";

/// What a restore has to know beside the archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Details {
    pub(super) database: String,
    pub(super) server: Server,
    /// The `pg_dump` that wrote the archive.
    pub(super) dump_version: String,
    pub(super) properties: Properties,
    /// Extensions and their versions.
    pub(super) extensions: BTreeMap<String, String>,
    /// Roles that must exist where the archive is restored.
    pub(super) roles: Vec<String>,
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

/// The major version in a text like `17.6` or `18beta1`.
pub(super) fn major(version: &str) -> u32 {
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_default()
}

pub(super) fn capture(of: &Postgres, slot: &Slot, cx: &Context) -> Result<Artifact> {
    let reach = Reach::open(of, cx)?;
    let name = reach.database.clone();
    let artifact = copy(of, &reach, &name, None, slot, cx)?;
    standby::after_capture(of, &reach, &artifact, slot, cx)?;
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
    let (catalog, entry) = observe(reach, database, cx, |snapshot| {
        if !own_zstd {
            return dump(reach, snapshot, false, slot, cx);
        }
        match dump(reach, snapshot, true, slot, cx) {
            Err(error) if lacks_zstd(&error) => dump(reach, snapshot, false, slot, cx),
            other => other,
        }
    })?;
    let fingerprint = catalog.fingerprint();
    let details = Details {
        database: name.to_owned(),
        server: catalog.server,
        dump_version: dump_version.clone(),
        properties: catalog.properties,
        extensions: catalog.extensions,
        roles: catalog.roles,
        taken_at,
    };
    let details = serde_json::to_value(&details)
        .map_err(|error| ResourceError::because("could not describe the database", error))?;
    Ok(Artifact {
        resource: of.name.clone(),
        kind: "postgres".to_owned(),
        summary: rows::summary(name, &fingerprint),
        fingerprint,
        files: vec![entry],
        details,
        not_kept: Vec::new(),
        tools: vec![("pg_dump".to_owned(), dump_version)],
    })
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
    let mut done = 0;
    let mut begin: Vec<u8> = Vec::new();
    let mut told = |bytes: &[u8]| {
        done += bytes.len() as u64;
        if begin.len() < MAGIC.len() {
            begin.extend(bytes.iter().take(MAGIC.len() - begin.len()));
        }
        cx.progress(&what, done, None);
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
    if begin != MAGIC {
        return Err(ResourceError::new("pg_dump wrote no archive"));
    }
    prove(reach, &staged, name, cx)?;
    slot.keep(staged, name)
}

fn encoder(staged: &mut Staged) -> io::Result<zstd::Encoder<'static, &mut Staged>> {
    let mut encoder = zstd::Encoder::new(staged, LEVEL)?;
    encoder.include_checksum(true)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    encoder.multithread(u32::try_from(cores).unwrap_or(1))?;
    Ok(encoder)
}

/// Reads the archive to its last byte: the list of its contents alone is sound in a file that was cut in half.
fn prove(reach: &Reach, staged: &Staged, name: &str, cx: &Context) -> Result<()> {
    let call = reach.program("pg_restore", true, &["-f", "/dev/null"]);
    let what = format!("prove {}", reach.database);
    let mut feed = |writer: &mut dyn Write| pour(staged.path(), name, writer, &what, cx);
    cx.push(&call, &mut feed)
        .map_err(|error| ResourceError::because("the dump cannot be read back", error))?;
    Ok(())
}

/// Writes an archive, decompressed where guard compressed it, into a program.
pub(super) fn pour(path: &Path, name: &str, writer: &mut dyn Write, what: &str, cx: &Context) -> io::Result<()> {
    let file = File::open(path)?;
    let total = file.metadata()?.len();
    let counted = Counted {
        file,
        done: 0,
        tell: |done| cx.progress(what, done, Some(total)),
    };
    if Path::new(name).extension().is_some_and(|end| end == "zst") {
        zstd::stream::copy_decode(counted, writer)
    } else {
        io::copy(&mut { counted }, &mut { writer }).map(|_| ())
    }
}

/// A file that tells how much of it was read.
struct Counted<F: FnMut(u64)> {
    file: File,
    done: u64,
    tell: F,
}

impl<F: FnMut(u64)> Read for Counted<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.done += count as u64;
        (self.tell)(self.done);
        Ok(count)
    }
}
