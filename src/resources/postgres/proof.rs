//! The proof of a copy in a directory: every file read to its last byte on all cores, and the rows in it counted.
//!
//! One pass over each file is its length, its SHA-256, the decompression of all of it, and the number of rows, which has to
//! be that of the same snapshot. `pg_restore` then reads the table of contents.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use guard_model::artifact::FileEntry;
use guard_model::text::{plural, sanitised};
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::disk::{self, At, Digest};

/// What `pg_dump` writes behind the last row of a table, before some line feeds.
const END: &[u8] = b"\\.";
/// The most files that are read at once: each has buffers.
const MOST: usize = 8;

/// What was found in a directory.
pub(super) struct Found {
    /// The files, the table of contents first.
    pub(super) files: Vec<FileEntry>,
    /// Rows by the name of the file without its endings: the number of the entry in the table of contents.
    rows: BTreeMap<String, u64>,
    /// The entries of tables: the table's number by that of the entry.
    tables: BTreeMap<String, u32>,
}

/// Reads all files of a directory that lies in the slot, and will be called `name` there; `listing` has `pg_restore` read its
/// table of contents.
pub(super) fn read(
    database: &str,
    directory: &Path,
    name: &str,
    listing: &Call,
    slot: &Slot,
    cx: &Context,
) -> Result<Found> {
    let paths = disk::list(directory)?;
    let total: u64 = paths
        .iter()
        .filter_map(|path| path.metadata().ok())
        .map(|about| about.len())
        .sum();
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(MOST);
    let (waiting, read) = (Mutex::new(paths), Mutex::new(Vec::new()));
    let what = format!("prove {database}");
    let done = Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(path) = next(&waiting) {
                    let seen = look(&path, cx);
                    if let (Ok(seen), Ok(mut done)) = (&seen, done.lock()) {
                        *done += seen.bytes;
                        cx.progress(&what, *done, Some(total));
                    }
                    if let Ok(mut read) = read.lock() {
                        read.push((path, seen));
                    }
                }
            });
        }
    });
    let mut read = read.into_inner().unwrap_or_default();
    read.sort_by_key(|(path, _)| (!path.ends_with("toc.dat"), path.clone()));
    let mut found = Found {
        files: Vec::new(),
        rows: BTreeMap::new(),
        tables: contents(listing, cx)?,
    };
    for (path, seen) in read {
        let seen = seen.map_err(|error| ResourceError::because("the dump cannot be read back", error))?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = file.split('.').next().unwrap_or_default().to_owned();
        if let Some(rows) = seen.rows {
            found.rows.insert(stem, rows);
        }
        found
            .files
            .push(slot.listed(&format!("{name}/{file}"), seen.bytes, &seen.sha256));
    }
    Ok(found)
}

fn next(waiting: &Mutex<Vec<PathBuf>>) -> Option<PathBuf> {
    waiting.lock().ok()?.pop()
}

/// What one file holds.
struct Seen {
    bytes: u64,
    sha256: String,
    /// Lines before the end of the rows; none where the file is no table's.
    rows: Option<u64>,
}

fn look(path: &Path, cx: &Context) -> std::result::Result<Seen, disk::DiskError> {
    let file = File::open(path).at("open", path)?;
    let mut input = Digested {
        file: BufReader::with_capacity(256 * 1024, file),
        digest: Digest::default(),
        cx,
    };
    let is_packed = path.extension().is_some_and(|end| end == "zst");
    let rows = if is_packed {
        let decoder = zstd::Decoder::new(&mut input).at("read", path)?;
        count(decoder).at("unpack", path)?
    } else {
        count(&mut input).at("read", path)?
    };
    // The decoder may leave the last bytes of its input alone.
    io::copy(&mut input, &mut io::sink()).at("read", path)?;
    Ok(Seen {
        bytes: input.digest.bytes(),
        sha256: input.digest.hex(),
        rows,
    })
}

/// The number of lines before the end of the rows; none where there is no such end.
fn count(mut content: impl Read) -> io::Result<Option<u64>> {
    let mut buffer = vec![0; 128 * 1024];
    let (mut lines, mut tail) = (0, Vec::new());
    loop {
        let count = match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        tail.extend_from_slice(bytes.get(count.saturating_sub(16)..).unwrap_or_default());
        let surplus = tail.len().saturating_sub(16);
        tail.drain(..surplus);
    }
    let feeds = tail.iter().rev().take_while(|byte| **byte == b'\n').count();
    let rest = tail.get(..tail.len() - feeds).unwrap_or_default();
    // What stands before the end is a row's line feed, or nothing where there is no row.
    let is_end = rest
        .strip_suffix(END)
        .is_some_and(|before| before.is_empty() || before.ends_with(b"\n"));
    Ok((is_end && feeds > 0).then(|| lines - feeds as u64))
}

/// A file whose digest runs along.
struct Digested<'a> {
    file: BufReader<File>,
    digest: Digest,
    cx: &'a Context,
}

impl Read for Digested<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cx.stop.is_asked() {
            return Err(io::Error::other("guard was asked to stop"));
        }
        let count = self.file.read(buffer)?;
        self.digest.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// The entries of tables in the table of contents, as `pg_restore` reads it.
fn contents(listing: &Call, cx: &Context) -> Result<BTreeMap<String, u32>> {
    let output = cx
        .output(listing)
        .map_err(|error| ResourceError::because("the dump cannot be read back", error))?;
    // `3345; 0 16385 TABLE DATA public big shop`
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let entry = |line: &str| {
        let (id, rest) = line.split_once("; 0 ")?;
        let (oid, rest) = rest.split_once(' ')?;
        let is_rows = rest.starts_with("TABLE DATA ");
        is_rows.then_some((id.to_owned(), oid.parse().ok()?))
    };
    Ok(text.lines().filter_map(entry).collect())
}

impl Found {
    /// Compares the rows in the files with those that the same snapshot had, by the number of the table.
    pub(super) fn agree(&self, counts: &BTreeMap<u32, (String, u64)>) -> Result<()> {
        let held: BTreeMap<u32, u64> = self
            .tables
            .iter()
            .filter_map(|(entry, table)| Some((*table, *self.rows.get(entry)?)))
            .collect();
        for (table, (name, rows)) in counts {
            match held.get(table) {
                Some(found) if found == rows => {}
                found => {
                    let found = found.map_or_else(|| "none".to_owned(), |found| plural(*found, "row"));
                    let what = format!(
                        "the dump holds {found} of {}, and the table has {rows}",
                        sanitised(name)
                    );
                    return Err(ResourceError::new(what));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn rows_are_the_lines_before_the_end() {
        let rows = |text: &str| count(text.as_bytes()).unwrap();
        assert_eq!(rows("1\ta\n2\tb\n\\.\n\n\n"), Some(2));
        assert_eq!(rows("\\.\n\n\n"), Some(0));
        assert_eq!(rows("\n\n\\.\n"), Some(2), "rows of a table without columns");
        assert_eq!(rows("1\ta\n2\tb"), None, "cut off");
        assert_eq!(rows("1\ta\\.\n"), None, "a row that only looks so");
        let many = "x\n".repeat(300_000) + "\\.\n\n\n";
        assert_eq!(rows(&many), Some(300_000));
    }
}
