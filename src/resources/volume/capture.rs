//! Copies a live tree into the backup: one archive and one index, digests running along.

use std::io::{self, BufReader, Read, Write};

use crate::error::{ResourceError, Result};
use crate::names::escaped;
use crate::progress::Progress;
use crate::slot::Slot;
use crate::trees::archive::Writer;
use crate::trees::chunks::{self, Message};
use crate::trees::compressed::Compressed;
use crate::trees::copied::{ARCHIVE, ATTEMPTS, Copied, INDEX, LISTED, not_copied};
use crate::trees::node::{Node, Portrait, Precision, Seen, Shape};
use crate::trees::walk::{self, Found, Met, walk};
use crate::trees::{attributes, filesystem};
use guard_system::context::Context;
use guard_system::disk::{At, Digest, Dir};

/// Archive and index, being written.
pub(super) struct Copy<'c> {
    archive: Writer<Compressed>,
    index: Compressed,
    portrait: Portrait,
    not_kept: Vec<String>,
    unlisted: u64,
    progress: Progress<'c>,
    cx: &'c Context,
}

impl<'c> Copy<'c> {
    /// `expected`: how many bytes the files will have, as far as is known.
    pub(super) fn begin(
        slot: &Slot,
        level: i32,
        precision: Precision,
        expected: Option<u64>,
        cx: &'c Context,
    ) -> Result<Self> {
        let directory = slot.directory();
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self {
            archive: Writer::new(Compressed::new(slot, ARCHIVE, level)?),
            index: Compressed::new(slot, INDEX, level)?,
            portrait: Portrait::new(precision),
            not_kept: Vec::new(),
            unlisted: 0,
            progress: Progress::new(format!("copy {name}"), expected, cx),
            cx,
        })
    }

    /// Notes what is not kept.
    pub(super) fn lose(&mut self, sentence: String) {
        if self.not_kept.len() < LISTED {
            self.not_kept.push(sentence);
        } else {
            self.unlisted += 1;
        }
    }

    /// Takes an entry that is met for the first time.
    pub(super) fn take(&mut self, node: &Node, seen: Seen, data: &mut dyn Read) -> io::Result<()> {
        self.note(node);
        self.write(node, seen, data)
    }

    /// Takes an entry into the fingerprint.
    pub(super) fn note(&mut self, node: &Node) {
        self.portrait.take(node);
    }

    /// Writes an entry; a later one of the same path replaces it.
    pub(super) fn write(&mut self, node: &Node, seen: Seen, data: &mut dyn Read) -> io::Result<()> {
        let mut exact = Exact {
            input: data,
            left: node.size,
            digest: Digest::default(),
            progress: &mut self.progress,
            cx: self.cx,
        };
        self.archive.append(node, &mut exact)?;
        let sha256 = (node.shape == Shape::File).then(|| exact.digest.hex());
        serde_json::to_writer(&mut self.index, &node.line(seen, sha256.as_deref()))?;
        self.index.write_all(b"\n")
    }

    /// Ends archive and index and puts them into the slot.
    pub(super) fn finish(mut self, slot: &Slot) -> Result<Copied> {
        let written = |error| ResourceError::because("could not write the copy", error);
        let (entries, content_bytes) = self.portrait.counts();
        let tar_bytes = self.archive.written() + 1024;
        let archive = self.archive.finish().and_then(Compressed::finish).map_err(written)?;
        let index = self.index.finish().map_err(written)?;
        if self.unlisted > 0 {
            self.not_kept.push(format!("and {} more of these", self.unlisted));
        }
        let fingerprint = self.portrait.finish();
        Ok(Copied {
            files: vec![slot.keep(archive, ARCHIVE)?, slot.keep(index, INDEX)?],
            fingerprint,
            entries,
            content_bytes,
            tar_bytes,
            not_kept: self.not_kept,
            restless: Vec::new(),
        })
    }
}

/// Gives exactly so many bytes: an archive's header is written before the data, and a file may change in between. What is
/// missing is zeros; whoever asks for this compares the file before and after.
struct Exact<'d, 'c> {
    input: &'d mut dyn Read,
    left: u64,
    digest: Digest,
    progress: &'d mut Progress<'c>,
    cx: &'c Context,
}

impl Read for Exact<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cx.stop.is_asked() {
            return Err(io::Error::other("guard was asked to stop"));
        }
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(part) = buffer.get_mut(..room).filter(|part| !part.is_empty()) else {
            return Ok(0);
        };
        let mut count = self.input.read(part)?;
        if count == 0 {
            part.fill(0);
            count = part.len();
        }
        self.digest.update(part.get(..count).unwrap_or_default());
        self.left -= count as u64;
        self.progress.add(count as u64);
        Ok(count)
    }
}

/// Copies the tree at `root`, whose files have about `expected` bytes, into the slot. What is in a snapshot was flushed with it.
///
/// # Errors
/// Something cannot be read, the copy cannot be written, or guard was asked to stop.
pub(super) fn copy_directory(
    root: &Dir,
    slot: &Slot,
    level: i32,
    (expected, is_snapshot): (Option<u64>, bool),
    cx: &Context,
) -> Result<Copied> {
    if !is_snapshot {
        filesystem::flush(root);
    }
    let mut copy = Copy::begin(slot, level, Precision::Nanoseconds, expected, cx)?;
    let mut restless: Vec<Node> = Vec::new();
    walk(root, true, cx, |met| match met {
        Met::Ours(_) => Ok(()),
        Met::Stays(_, sentence) | Met::Lost(sentence) => {
            copy.lose(sentence);
            Ok(())
        }
        Met::Node(node, found, stat) => {
            if node.shape == Shape::File {
                if !read_once(&mut copy, &node, found, true)? {
                    restless.push(node);
                }
                return Ok(());
            }
            copy.take(&node, Seen::of(stat), &mut io::empty())
                .map_err(|error| not_copied(&found.shown(), error))
        }
    })?;
    for attempt in 1..=ATTEMPTS {
        if restless.is_empty() {
            break;
        }
        cx.clock.sleep(std::time::Duration::from_millis(50) * attempt);
        let mut still = Vec::new();
        for node in restless {
            let (around, name) = match root.around(&node.path) {
                Ok(around) => around,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).at("open", &root.shown_at(&node.path))?,
            };
            // A later entry of an archive replaces an earlier one of the same path, for guard and for any tar.
            if !read_once(&mut copy, &node, &Found::new(&around, name), false)? {
                still.push(node);
            }
        }
        restless = still;
    }
    let mut copied = copy.finish(slot)?;
    copied.restless = restless.into_iter().map(|node| escaped(&node.path)).collect();
    Ok(copied)
}

/// Copies what comes out of a container, about `expected` bytes, into the slot.
///
/// # Errors
/// It is cut off, the copy cannot be written, or guard was asked to stop.
pub(super) fn copy_messages(
    input: impl Read,
    slot: &Slot,
    level: i32,
    expected: Option<u64>,
    cx: &Context,
) -> Result<Copied> {
    let mut copy = Copy::begin(slot, level, Precision::Nanoseconds, expected, cx)?;
    let mut restless = Vec::new();
    let unwritten = |error| not_copied(&slot.directory(), error);
    chunks::receive(input, &mut |message| match message {
        Message::Lost(sentence) => {
            copy.lose(sentence);
            Ok(())
        }
        Message::Entry(line) | Message::Known(line) => {
            copy.take(&line.node, line.seen, &mut io::empty()).map_err(unwritten)
        }
        // A later entry of an archive replaces an earlier one of the same path.
        Message::File(line, data) => copy.write(&line.node, line.seen, data).map_err(unwritten),
        Message::Kept(line, is_still) => {
            if !is_still {
                restless.push(escaped(&line.node.path));
            }
            copy.note(&line.node);
            Ok(())
        }
    })?;
    let copied = copy.finish(slot)?;
    Ok(Copied { restless, ..copied })
}

/// Copies a file; whether it was still meanwhile. One that is gone by now is passed over.
fn read_once(copy: &mut Copy<'_>, met: &Node, found: &Found<'_>, is_first: bool) -> Result<bool> {
    let Some(file) = found.open_file()? else {
        return Ok(true);
    };
    let path = &found.shown();
    let Some(before) = walk::look_at_file(&file, path)? else {
        return Ok(false);
    };
    let (had, _) = attributes::of_open(&file, path)?;
    let node = walk::node(met.path.clone(), Shape::File, &before, had);
    let mut data = BufReader::with_capacity(256 * 1024, &file);
    let result = if is_first {
        copy.take(&node, Seen::of(&before), &mut data)
    } else {
        copy.write(&node, Seen::of(&before), &mut data)
    };
    result.map_err(|error| not_copied(path, error))?;
    let after = walk::look_at_file(&file, path)?;
    let seen = |stat: &rustix::fs::Stat| (stat.st_size, stat.st_mtime, stat.st_mtime_nsec, Seen::of(stat));
    Ok(after.is_some_and(|after| seen(&before) == seen(&after)))
}
