//! Files of a copy that lie beside what is live, as blocks that the file system shares: a snapshot, or a clone of each file.
//!
//! They are no backup: they lie on the same disk, and in the same blocks. Each is believed only where the file system tells
//! that it is the very file that the copy was made of; what is not is read from the copy.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, Write};

use rustix::fs::{FileType, Stat, fstat};
use serde::{Deserialize, Serialize};

use super::chunks::index::Line;
use super::node::{Seen, Shape};
use guard_system::disk::Dir;

/// The file that says which clone is of which file.
pub(crate) const LIST: &[u8] = b"clones.jsonl";
/// The directory of clones, each named by the number of the file that it was made of.
pub(crate) const CLONES: &[u8] = b"clones";

/// A clone, as it was when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cloned {
    /// What the file was when it was copied.
    pub(crate) of: Seen,
    /// What the clone was when it was whole.
    pub(crate) is: Seen,
    pub(crate) size: u64,
}

/// Files that lie beside what is live.
#[derive(Debug)]
pub(crate) enum StandIn {
    /// A snapshot of the tree, opened at the tree's root.
    Snapshot(Dir),
    /// Clones of single files.
    Clones(Dir, HashMap<u64, Cloned>),
}

impl StandIn {
    /// The clones in guard's own directory.
    ///
    /// # Errors
    /// Their list cannot be read.
    pub(crate) fn of_clones(home: &Dir) -> io::Result<Self> {
        let text = home.read(LIST)?.ok_or(io::ErrorKind::NotFound)?;
        let clones: io::Result<HashMap<u64, Cloned>> = text
            .lines()
            .map(|line| {
                let clone: Cloned = serde_json::from_str(&line?)?;
                Ok((clone.of.inode, clone))
            })
            .collect();
        Ok(Self::Clones(home.dir(CLONES)?, clones?))
    }

    /// The file of this line, open, where it is shown to be the one that was copied.
    pub(crate) fn file(&self, line: &Line) -> Option<File> {
        if line.node.shape != Shape::File {
            return None;
        }
        match self {
            Self::Snapshot(root) => {
                let file = root.file(&line.node.path).ok()?;
                let stat = regular(&file)?;
                let time = (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).ok()?);
                (Seen::of(&stat) == line.seen && is_long(&stat, line.node.size) && time == line.node.mtime)
                    .then_some(file)
            }
            Self::Clones(dir, clones) => {
                let clone = clones.get(&line.seen.inode)?;
                let file = dir.file(name_of(clone.of).as_bytes()).ok()?;
                let stat = regular(&file)?;
                let is_of = clone.of == line.seen && clone.size == line.node.size;
                (is_of && Seen::of(&stat) == clone.is && is_long(&stat, clone.size)).then_some(file)
            }
        }
    }
}

/// The name of the clone of a file.
pub(crate) fn name_of(of: Seen) -> String {
    format!("{:x}", of.inode)
}

/// Writes the list of clones.
pub(crate) fn listed(clones: &[Cloned]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for clone in clones {
        serde_json::to_writer(&mut text, clone)?;
        text.write_all(b"\n")?;
    }
    Ok(text)
}

fn regular(file: &File) -> Option<Stat> {
    let stat = fstat(file).ok()?;
    (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then_some(stat)
}

fn is_long(stat: &Stat, size: u64) -> bool {
    u64::try_from(stat.st_size) == Ok(size)
}
