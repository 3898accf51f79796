//! Copies a live tree into the slot in chunks; what an earlier copy holds is linked, and what it has seen is not read again.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;

use rustix::fs::Stat;

use super::cut::Cutter;
use super::fetch::{Earlier, Known, read_still};
use super::form::Packed;
use super::index::Line;
use super::names::Names;
use super::pack::{BLOCKS, Block, Gatherer, Pack, Written, file_name};
use crate::error::{ResourceError, Result};
use crate::names::escaped;
use crate::progress::Progress;
use crate::slot::Slot;
use crate::trees::compressed::Compressed;
use crate::trees::copied::{Copied, INDEX, LISTED, not_copied};
use crate::trees::filesystem;
use crate::trees::node::{Node, Portrait, Precision, Seen, Shape};
use crate::trees::walk::{Found, Met, walk};
use guard_model::artifact::FileEntry;
use guard_system::context::Context;
use guard_system::disk::Dir;

/// What a walk makes: the index and the fingerprint as it goes, and chunks for the compressors.
pub(crate) struct Taker<'t> {
    pub(crate) known: Names,
    pub(crate) gatherer: Option<Gatherer>,
    pub(crate) cutter: Cutter,
    index: Compressed,
    portrait: Portrait,
    not_kept: Vec<String>,
    unlisted: u64,
    pub(crate) restless: Vec<String>,
    /// Numbers of earlier blocks that are needed still.
    used: Vec<bool>,
    pub(crate) progress: Progress<'t>,
    pub(crate) cx: &'t Context,
}

impl Taker<'_> {
    pub(crate) fn lose(&mut self, sentence: String) {
        if self.not_kept.len() < LISTED {
            self.not_kept.push(sentence);
        } else {
            self.unlisted += 1;
        }
    }

    /// Takes an entry, met for the first and only time.
    pub(crate) fn take(&mut self, line: &Line) -> Result<()> {
        self.portrait.take(&line.node);
        for chunk in &line.chunks {
            if let Some(used) = usize::try_from(chunk.block).ok().and_then(|at| self.used.get_mut(at)) {
                *used = true;
            }
        }
        let written = line.write(&mut self.index);
        written.map_err(|error| ResourceError::because("could not write the index of the copy", error))
    }

    /// Takes a file: by what is known of it, or by reading it.
    fn take_file(&mut self, mut line: Line, found: &Found<'_>, known: &mut Known) -> Result<()> {
        if let Some(chunks) = known.unchanged(&line) {
            line.chunks = chunks;
            self.progress.add(line.node.size);
            return self.take(&line);
        }
        let cx = self.cx;
        let still = read_still(&mut line, found, cx, &mut |line: &mut Line, file: &mut File| {
            line.chunks.clear();
            line.node.size = self.cut(file, &mut line.chunks)?;
            Ok(())
        })?;
        match still {
            Some(true) => {}
            Some(false) => self.restless.push(escaped(&line.node.path)),
            // Gone by now: passed over, as if it had gone before.
            None => return Ok(()),
        }
        self.take(&line)
    }
}

/// Copies the tree at `root`, whose files have about `expected` bytes, into the slot, beside an earlier copy where the
/// slot knows one. `taken`: the second in which the tree was taken, where it is a snapshot.
///
/// # Errors
/// Something cannot be read, the copy cannot be written, or guard was asked to stop.
pub(crate) fn copy_directory(
    root: &Dir,
    slot: &Slot,
    level: i32,
    (force, expected): (bool, Option<u64>),
    taken: Option<i64>,
    cx: &Context,
) -> Result<(Copied, Packed)> {
    let earlier = Earlier::of(slot, cx)?;
    // Before what is mapped is flushed: whatever is stored from then on has a younger time. A snapshot has flushed it.
    let begun = taken.unwrap_or_else(|| cx.clock.now().timestamp());
    if taken.is_none() {
        filesystem::flush(root);
    }
    let how = How {
        level,
        force: force || !filesystem::tells(root),
        expected,
        begun,
    };
    packed(&earlier, slot, how, root.shown(), cx, |taker, known| {
        go_through(root, taker, known, cx)
    })
}

/// Copies what comes out of a container; `earlier` is what guard in the container was told of.
///
/// # Errors
/// As for [`copy_directory`].
pub(crate) fn copy_messages(
    input: impl Read,
    earlier: &Earlier,
    slot: &Slot,
    how: How,
    cx: &Context,
) -> Result<(Copied, Packed)> {
    let what = slot.directory();
    packed(earlier, slot, how, &what, cx, |mut taker, known| {
        taker.receive(input, known, &what)?;
        Ok(taker)
    })
}

/// How a copy is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    /// zstd's level.
    pub(crate) level: i32,
    /// Nothing is taken for unchanged.
    pub(crate) force: bool,
    /// The bytes that will be read, as far as that is known.
    pub(crate) expected: Option<u64>,
    /// When the tree began to be read, in seconds since 1970, by the clock that its times are of.
    pub(crate) begun: i64,
}

/// Makes a copy of what `gather` takes; `what` is named where it cannot be written.
pub(crate) fn packed<'t>(
    earlier: &Earlier,
    slot: &Slot,
    how: How,
    what: &Path,
    cx: &'t Context,
    gather: impl FnOnce(Taker<'t>, &mut Known) -> Result<Taker<'t>>,
) -> Result<(Copied, Packed)> {
    let (mut known, chunks) = earlier.known(how.force)?;
    let pack = Pack::new(earlier.next_pack(), slot.stage(&file_name(earlier.next_pack()))?);
    let first = u32::try_from(earlier.blocks.len()).unwrap_or(u32::MAX);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (to, from) = sync_channel(cores);
    let from = Mutex::new(from);
    let directory = slot.directory();
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let taker = Taker {
        known: chunks,
        gatherer: Some(Gatherer::new(first, to, &pack)),
        cutter: Cutter::new(),
        index: Compressed::new(slot, INDEX, 1)?,
        portrait: Portrait::new(Precision::Nanoseconds),
        not_kept: Vec::new(),
        unlisted: 0,
        restless: Vec::new(),
        used: vec![false; earlier.blocks.len()],
        progress: Progress::new(format!("copy {name}"), how.expected, cx),
        cx,
    };
    let (walked, compressed) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores)
            .map(|_| scope.spawn(|| pack.compress(&from, how.level)))
            .collect();
        let walked = gather(taker, &mut known).and_then(|mut taker| {
            // Ended here, so that the compressors end.
            let stored = taker.gatherer.take().map_or(Ok(0), Gatherer::end);
            Ok((taker, stored.map_err(|error| not_copied(what, error))?))
        });
        let ended = workers.into_iter().map(std::thread::ScopedJoinHandle::join);
        let ended = ended.map(|ended| ended.unwrap_or_else(|_| Err(std::io::Error::other("a compressor panicked"))));
        let compressed: std::io::Result<()> = ended.collect();
        (walked, compressed)
    });
    // Where a compressor failed, the walk only says that nobody takes what it gathers.
    compressed.map_err(|error| not_copied(what, error))?;
    let (taker, stored) = walked?;
    finish(taker, stored, pack, earlier, how.begun, slot)
}

fn go_through<'t>(root: &Dir, mut taker: Taker<'t>, known: &mut Known, cx: &Context) -> Result<Taker<'t>> {
    walk(root, false, cx, |met| match met {
        Met::Ours(_) => Ok(()),
        Met::Stays(_, sentence) | Met::Lost(sentence) => {
            taker.lose(sentence);
            Ok(())
        }
        Met::Node(node, found, stat) => {
            let (line, lost) = line_of(node, found, stat, known)?;
            for sentence in lost {
                taker.lose(sentence);
            }
            if line.node.shape == Shape::File {
                taker.take_file(line, found, known)
            } else {
                taker.take(&line)
            }
        }
    })?;
    Ok(taker)
}

/// The line of a live entry, without its content, and sentences on what of it cannot be kept; attributes are read only where
/// nothing else says what they are.
pub(crate) fn line_of(node: Node, found: &Found<'_>, stat: &Stat, known: &mut Known) -> Result<(Line, Vec<String>)> {
    let mut line = Line::new(node, Seen::of(stat));
    known.advance(&line.node.path)?;
    let mut lost = Vec::new();
    if let Some(had) = known.features(&line) {
        (line.node.xattrs, line.node.flags) = (had.xattrs, had.flags);
    } else if !matches!(line.node.shape, Shape::Hardlink(_)) {
        let (had, foreign) = found.features(&line.node.shape)?;
        (line.node.xattrs, line.node.flags) = (had.xattrs, had.flags);
        let named = foreign.iter().map(|name| escaped(name));
        lost.extend(named.map(|name| format!("attribute {name} of {}", escaped(&line.node.path))));
    }
    Ok((line, lost))
}

fn finish(
    mut taker: Taker<'_>,
    stored: u64,
    pack: Pack,
    earlier: &Earlier,
    begun: i64,
    slot: &Slot,
) -> Result<(Copied, Packed)> {
    let written = |error| ResourceError::because("could not write the copy", error);
    let (entries, content_bytes) = taker.portrait.counts();
    if taker.unlisted > 0 {
        taker.not_kept.push(format!("and {} more of these", taker.unlisted));
    }
    let number = pack.number;
    let Written {
        staged,
        bytes,
        blocks: placed,
    } = pack
        .file
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut files: Vec<FileEntry> = earlier.link(&taker.used, slot)?;
    if bytes > 0 {
        files.push(slot.keep(staged, &file_name(number))?);
    }
    let mut blocks: Vec<Option<Block>> = earlier.kept_blocks(&taker.used);
    let placed: HashMap<u32, Block> = placed.into_iter().collect();
    let first = u32::try_from(blocks.len()).unwrap_or(u32::MAX);
    blocks.extend((first..).map_while(|id| placed.get(&id)).map(|block| Some(*block)));
    let index = taker.index.finish().map_err(written)?;
    let mut list = Compressed::new(slot, BLOCKS, 3)?;
    for block in &blocks {
        // A block that nobody needs keeps its number, and has no place.
        let block = block.unwrap_or(Block {
            pack: 0,
            offset: 0,
            bytes: 0,
            length: 0,
        });
        serde_json::to_writer(&mut list, &block).map_err(|error| written(error.into()))?;
        list.write_all(b"\n").map_err(written)?;
    }
    files.push(slot.keep(index, INDEX)?);
    files.push(slot.keep(list.finish().map_err(written)?, BLOCKS)?);
    let packed = Packed {
        begun,
        stored,
        bytes: stored + earlier.bytes_of(&taker.used),
    };
    let fingerprint = taker.portrait.finish();
    let copied = Copied {
        files,
        fingerprint,
        entries,
        content_bytes,
        tar_bytes: 0,
        not_kept: taker.not_kept,
        restless: taker.restless,
    };
    Ok((copied, packed))
}
