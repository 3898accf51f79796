//! What an earlier copy offers to a new one: chunks that need not be stored again, and files that need not be read again.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::Stat;

use super::form::Form;
use super::index::{Chunk, Line, Lines, order};
use super::names::Names;
use super::pack::{Block, packs_of};
use super::read;
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::trees::attributes::{self, Features};
use crate::trees::copied::{ATTEMPTS, not_copied};
use crate::trees::details::Details;
use crate::trees::node::{Seen, Shape};
use crate::trees::walk;
use guard_model::artifact::{Artifact, FileEntry};
use guard_model::event::Level;
use guard_system::context::Context;
use guard_system::disk::{self, At};

/// A file may be written again within the same tick of a clock, and look as it did; so what was younger than this when an
/// earlier copy was begun is read again. In seconds, for the coarsest file system.
pub(crate) const TICK: i64 = 2;
/// So many packs make a copy; then everything is stored anew. A guess.
const PACKS: usize = 64;
/// Bytes that may be kept for nothing before everything is stored anew, beside half of the content. A guess.
const SLACK: u64 = 32 * 1024 * 1024;

/// An earlier copy, found sound; or none.
#[derive(Default)]
pub(crate) struct Earlier {
    /// Where it is.
    theirs: Option<(Slot, Artifact)>,
    packs: Vec<(u32, FileEntry)>,
    pub(crate) blocks: Vec<Block>,
    begun: i64,
}

fn spoiled(error: std::io::Error) -> ResourceError {
    ResourceError::because("could not read an earlier copy", error)
}

impl Earlier {
    /// The earlier copy that the slot knows, where it is in chunks, sound, and still worth to build on.
    pub(crate) fn of(slot: &Slot, cx: &Context) -> Result<Self> {
        let Some((backup, artifact)) = slot.earlier() else {
            return Ok(Self::default());
        };
        // A kind whose copy is not only chunks has their description beside its own.
        let told = artifact.details.get("saved").unwrap_or(&artifact.details);
        let Ok(details) = serde_json::from_value::<Details>(told.clone()) else {
            return Ok(Self::default());
        };
        let packs = packs_of(artifact);
        let is_bloated = details.packed.bytes > details.content_bytes.saturating_mul(3) / 2 + SLACK;
        if details.form != Form::Chunks || is_bloated || packs.len() >= PACKS {
            return Ok(Self::default());
        }
        let theirs = slot.beside(backup, &artifact.resource);
        let anew = |level, why: String| {
            cx.note(level, format!("{} is stored anew, since {why}", artifact.resource));
            Ok(Self::default())
        };
        if let Err(error) = theirs.compare(artifact) {
            return anew(Level::Warn, format!("an earlier copy is damaged: {error}"));
        }
        // Packs are shared that were encrypted in earlier runs, whose own identities are gone.
        if let Some(error) = artifact.files.iter().find_map(|entry| theirs.seek(entry).err()) {
            return anew(Level::Info, format!("an earlier copy cannot be read here: {error}"));
        }
        Ok(Self {
            blocks: read::blocks(artifact, &theirs).map_err(spoiled)?,
            theirs: Some((theirs, artifact.clone())),
            packs,
            begun: details.packed.begun,
        })
    }

    /// What it knows: for a walk that compares entry by entry, and by the names of chunks. `force`: nothing is taken to be
    /// unchanged.
    pub(crate) fn known(&self, force: bool) -> Result<(Known, Names)> {
        let index = self.index(force)?;
        let lines = index.map(|(_, index)| Lines::of(index)).transpose().map_err(spoiled)?;
        Ok((Known::of(lines, self.begun), Names::after(self.theirs.clone())))
    }

    /// Its index as it lies in the backup, and when its tree began to be read; `None` where nothing is to be taken for
    /// unchanged.
    pub(crate) fn index(&self, force: bool) -> Result<Option<(i64, Box<dyn Read + Send>)>> {
        let Some((slot, artifact)) = self.theirs.as_ref().filter(|_| !force) else {
            return Ok(None);
        };
        Ok(Some((self.begun, read::packed_index(artifact, slot).map_err(spoiled)?)))
    }

    /// The number of the next pack.
    pub(crate) fn next_pack(&self) -> u32 {
        self.packs.iter().map(|(number, _)| *number).max().unwrap_or_default() + 1
    }

    fn needed(&self, used: &[bool]) -> BTreeSet<u32> {
        let used = self.blocks.iter().zip(used).filter(|(_, used)| **used);
        used.map(|(block, _)| block.pack).collect()
    }

    /// Links the packs of which something is needed into the slot.
    pub(crate) fn link(&self, used: &[bool], slot: &Slot) -> Result<Vec<FileEntry>> {
        let needed = self.needed(used);
        let mut files = Vec::new();
        let Some((theirs, _)) = &self.theirs else {
            return Ok(files);
        };
        for (_, entry) in self.packs.iter().filter(|(number, _)| needed.contains(number)) {
            let name = entry.path.rsplit('/').next().unwrap_or_default();
            disk::create_private_dir(&slot.directory())?;
            let place = slot.directory().join(name);
            if disk::exists(&place)? {
                disk::remove_file(&place)?;
            }
            share(&theirs.directory().join(name), &place).at("link", &place)?;
            files.push(entry.clone());
        }
        if !files.is_empty() {
            disk::sync_directory(&slot.directory())?;
        }
        Ok(files)
    }

    /// Its list of blocks, without those whose packs nobody needs any more.
    pub(crate) fn kept_blocks(&self, used: &[bool]) -> Vec<Option<Block>> {
        let needed = self.needed(used);
        let kept = |block: &Block| needed.contains(&block.pack).then_some(*block);
        self.blocks.iter().map(kept).collect()
    }

    /// Bytes of content in the packs of which something is needed.
    pub(crate) fn bytes_of(&self, used: &[bool]) -> u64 {
        self.kept_blocks(used)
            .iter()
            .flatten()
            .map(|block| u64::from(block.length))
            .sum()
    }
}

/// Links a file, or copies it where the file system has no further names to give.
pub(crate) fn share(from: &Path, to: &Path) -> std::io::Result<()> {
    use std::io::ErrorKind;
    match std::fs::hard_link(from, to) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists) => Err(error),
        Err(_) => {
            std::fs::copy(from, to)?;
            std::fs::File::open(to)?.sync_all()
        }
        Ok(()) => Ok(()),
    }
}

/// An earlier index, read along with a walk.
pub(crate) struct Known {
    lines: Option<Lines>,
    current: Option<Line>,
    /// What changed last before this second cannot have changed unseen since.
    before: i64,
}

impl Known {
    /// What these lines say, of a tree that began to be read in this second; nothing is known where there are none.
    pub(crate) fn of(lines: Option<Lines>, begun: i64) -> Self {
        Self {
            lines,
            current: None,
            before: begun - TICK,
        }
    }

    /// Goes on to this path.
    pub(crate) fn advance(&mut self, path: &[u8]) -> Result<()> {
        self.current = None;
        let Some(lines) = &mut self.lines else { return Ok(()) };
        while let Some(line) = lines.next_up_to(path).map_err(spoiled)? {
            if order(&line.node.path, path).is_eq() {
                self.current = Some(line);
                break;
            }
        }
        Ok(())
    }

    fn same(&self, line: &Line) -> Option<&Line> {
        let before = self.current.as_ref()?;
        let is_old = before.seen.changed.0 < self.before && before.node.mtime.0 < self.before;
        let is_same =
            before.seen == line.seen && before.node.size == line.node.size && before.node.mtime == line.node.mtime;
        (is_old && is_same).then_some(before)
    }

    /// The attributes and flags of an entry that is as it was.
    pub(crate) fn features(&self, line: &Line) -> Option<Features> {
        self.same(line).map(|before| Features {
            xattrs: before.node.xattrs.clone(),
            flags: before.node.flags,
        })
    }

    /// The chunks of a file that is as it was.
    pub(crate) fn unchanged(&mut self, line: &Line) -> Option<Vec<Chunk>> {
        let is_file = self.same(line).is_some_and(|before| before.node.shape == Shape::File);
        let taken = if is_file { self.current.take() } else { None };
        taken.map(|before| before.chunks)
    }
}

/// Reads a file by `read`, which tells its length, until it was still meanwhile, so often and no more. Whether it was; `None`:
/// it is gone.
pub(crate) fn read_still(
    line: &mut Line,
    found: &walk::Found<'_>,
    cx: &Context,
    read: &mut dyn FnMut(&mut Line, &mut File) -> io::Result<()>,
) -> Result<Option<bool>> {
    let path = &found.shown();
    for attempt in 0..=ATTEMPTS {
        if attempt > 0 {
            cx.clock.sleep(std::time::Duration::from_millis(50) * attempt);
        }
        let Some(mut file) = found.open_file()? else {
            return Ok(None);
        };
        let Some(before) = walk::look_at_file(&file, path)? else {
            return Ok(None);
        };
        let (had, _) = attributes::of_open(&file, path)?;
        line.node = walk::node(line.node.path.clone(), Shape::File, &before, had);
        line.seen = Seen::of(&before);
        read(line, &mut file).map_err(|error| not_copied(path, error))?;
        let after = walk::look_at_file(&file, path)?;
        let is_same = |after: Stat| Seen::of(&after) == line.seen && after.st_size == before.st_size;
        if after.is_some_and(is_same) && u64::try_from(before.st_size) == Ok(line.node.size) {
            return Ok(Some(true));
        }
    }
    Ok(Some(false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trees::node::Node;

    #[test]
    fn what_was_young_when_the_earlier_copy_began_is_read_again() {
        let at = |changed: i64, modified: i64| Line {
            node: Node {
                path: b"file".to_vec(),
                shape: Shape::File,
                mode: 0o600,
                uid: 0,
                gid: 0,
                size: 3,
                mtime: (modified, 5),
                xattrs: Vec::new(),
                flags: 0,
            },
            seen: Seen {
                inode: 7,
                changed: (changed, 5),
            },
            chunks: Vec::new(),
            sha256: None,
            has_features: true,
        };
        let begun = 1000;
        for (line, is_known) in [
            (at(990, 990), true),
            (at(997, 997), true),
            (at(998, 990), false),
            (at(990, 999), false),
            (at(1000, 1000), false),
            (at(2000, 990), false),
        ] {
            let mut known = Known {
                lines: None,
                current: Some(line.clone()),
                before: begun - TICK,
            };
            assert_eq!(known.features(&line).is_some(), is_known, "{line:?}");
            assert_eq!(known.unchanged(&line).is_some(), is_known, "{line:?}");
        }
    }
}
