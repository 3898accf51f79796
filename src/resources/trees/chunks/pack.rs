//! A pack being written: chunks are gathered into blocks, and blocks compressed side by side on all cores.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::cut::Name;
use super::index::Chunk;
use guard_model::artifact::{Artifact, FileEntry};
use guard_system::disk::Staged;

/// Content is compressed in blocks of about this size: chunks alone would compress badly. A guess; what it leads to is measured
/// in docs/performance.md.
const BLOCK: usize = 512 * 1024;
/// No block is longer, neither packed nor unpacked.
pub(crate) const LONGEST: u32 = 2 * 1024 * 1024;

/// Where a block is: a line of the list of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Block {
    /// The pack, by the number in its name.
    pub(crate) pack: u32,
    /// Where the block begins in it.
    pub(crate) offset: u64,
    /// Its bytes in the pack.
    pub(crate) bytes: u32,
    /// Its bytes of content.
    pub(crate) length: u32,
}

/// A block on its way to a compressor.
pub(crate) struct Filled {
    id: u32,
    content: Vec<u8>,
}

/// Gathers chunks into blocks.
pub(crate) struct Gatherer {
    /// The number of the block that is being filled.
    id: u32,
    content: Vec<u8>,
    to: SyncSender<Filled>,
    has_failed: Arc<AtomicBool>,
    /// Bytes of content taken so far.
    pub(crate) taken: u64,
}

impl Gatherer {
    /// Blocks are numbered from `first`.
    pub(crate) fn new(first: u32, to: SyncSender<Filled>, pack: &Pack) -> Self {
        Self {
            id: first,
            content: Vec::with_capacity(BLOCK + super::cut::MOST),
            to,
            has_failed: Arc::clone(&pack.has_failed),
            taken: 0,
        }
    }

    /// Takes a chunk; says where it will be.
    pub(crate) fn take(&mut self, content: &[u8], name: Name) -> io::Result<Chunk> {
        let number = |count: usize| u32::try_from(count).map_err(io::Error::other);
        let chunk = Chunk {
            block: self.id,
            at: number(self.content.len())?,
            length: number(content.len())?,
            name,
        };
        self.content.extend_from_slice(content);
        self.taken += content.len() as u64;
        if self.content.len() >= BLOCK {
            self.send()?;
        }
        Ok(chunk)
    }

    fn send(&mut self) -> io::Result<()> {
        let content = std::mem::replace(&mut self.content, Vec::with_capacity(BLOCK + super::cut::MOST));
        let sent = self.to.send(Filled { id: self.id, content });
        self.id += 1;
        if sent.is_err() || self.has_failed.load(Ordering::Relaxed) {
            return Err(io::Error::other("the compressors have given up"));
        }
        Ok(())
    }

    /// Sends the last block; from here on the compressors end by themselves.
    pub(crate) fn end(mut self) -> io::Result<u64> {
        if !self.content.is_empty() {
            self.send()?;
        }
        Ok(self.taken)
    }
}

/// What was written so far.
pub(crate) struct Written {
    pub(crate) staged: Staged,
    pub(crate) bytes: u64,
    /// Blocks by their numbers, in the order in which they were ready.
    pub(crate) blocks: Vec<(u32, Block)>,
}

/// The pack, and where each block came to lie in it.
pub(crate) struct Pack {
    pub(crate) number: u32,
    pub(crate) file: Mutex<Written>,
    has_failed: Arc<AtomicBool>,
}

impl Pack {
    pub(crate) fn new(number: u32, staged: Staged) -> Self {
        Self {
            number,
            file: Mutex::new(Written {
                staged,
                bytes: 0,
                blocks: Vec::new(),
            }),
            has_failed: Arc::default(),
        }
    }

    /// Compresses blocks until there are no more. After a failure they are taken and dropped, so that nobody waits.
    pub(crate) fn compress(&self, from: &Mutex<Receiver<Filled>>, level: i32) -> io::Result<()> {
        let mut compressor = zstd::bulk::Compressor::new(level)?;
        let mut outcome = Ok(());
        loop {
            let next = from.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(filled) = next else { return outcome };
            if outcome.is_ok() {
                outcome = self.put(&filled, &mut compressor);
                if outcome.is_err() {
                    self.has_failed.store(true, Ordering::Relaxed);
                }
            }
        }
    }

    fn put(&self, filled: &Filled, compressor: &mut zstd::bulk::Compressor<'_>) -> io::Result<()> {
        let packed = compressor.compress(&filled.content)?;
        let number = |count: usize| u32::try_from(count).map_err(io::Error::other);
        let (bytes, length) = (number(packed.len())?, number(filled.content.len())?);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.staged.write_all(&packed)?;
        let block = Block {
            pack: self.number,
            offset: file.bytes,
            bytes,
            length,
        };
        file.bytes += u64::from(bytes);
        file.blocks.push((filled.id, block));
        Ok(())
    }
}

/// The name of a pack's file.
pub(crate) fn file_name(number: u32) -> String {
    format!("data-{number:04}.pack")
}

/// The number in the name of a pack's file.
fn number_of(name: &str) -> Option<u32> {
    name.strip_prefix("data-")?.strip_suffix(".pack")?.parse().ok()
}

/// The packs that a manifest lists, by their numbers.
pub(crate) fn packs_of(artifact: &Artifact) -> Vec<(u32, FileEntry)> {
    let numbered = artifact.files.iter().filter_map(|entry| {
        let number = number_of(entry.name())?;
        Some((number, entry.clone()))
    });
    numbered.collect()
}

/// The name of the list of blocks in the slot.
pub(crate) const BLOCKS: &str = "blocks.jsonl.zst";
