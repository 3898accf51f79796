//! Reads a copy in chunks: each chunk is compared with its name before anyone gets it.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};

use super::cut::name;
use super::index::{Chunk, Line, Lines};
use super::pack::{BLOCKS, Block, LONGEST, packs_of};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::trees::copied::INDEX;
use crate::trees::node::Shape;
use guard_model::artifact::{Artifact, FileEntry};
use guard_system::cipher::ReadSeek;
use guard_system::context::Context;

/// So many blocks are kept unpacked: neighbours in a tree are neighbours in blocks.
const KEPT: usize = 8;

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// The packs of a copy.
pub(crate) struct Source {
    slot: Slot,
    packs: HashMap<u32, FileEntry>,
    blocks: Vec<Block>,
    /// The pack that was opened last.
    open: Option<(u32, Box<dyn ReadSeek>)>,
    kept: VecDeque<(u32, Vec<u8>)>,
}

/// A file of a copy, as an I/O error where it cannot be opened: `PermissionDenied` where nothing here decrypts it.
fn opened(artifact: &Artifact, slot: &Slot, name: &str) -> io::Result<Box<dyn ReadSeek>> {
    let entry = artifact
        .file(name)
        .ok_or_else(|| bad(&format!("the manifest lists no {name}")))?;
    slot.seek(entry).map_err(closed)
}

fn closed(error: ResourceError) -> io::Error {
    let kind = match error
        .source
        .as_ref()
        .and_then(|cause| cause.downcast_ref::<io::Error>())
    {
        Some(cause) => cause.kind(),
        None => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

/// The list of blocks of a copy.
pub(crate) fn blocks(artifact: &Artifact, slot: &Slot) -> io::Result<Vec<Block>> {
    let lines = BufReader::new(zstd::Decoder::new(opened(artifact, slot, BLOCKS)?)?).lines();
    lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

/// The copy without its packs: what says which chunks there are and where. Each chunk is compared with its name when it is read.
pub(crate) fn lists_of(artifact: &Artifact) -> Artifact {
    let packs = packs_of(artifact);
    let mut lists = artifact.clone();
    lists.files.retain(|entry| packs.iter().all(|(_, pack)| pack != entry));
    lists
}

/// The index of a copy.
pub(crate) fn index(artifact: &Artifact, slot: &Slot) -> io::Result<Lines> {
    Lines::of(packed_index(artifact, slot)?)
}

/// The index of a copy as it lies in the backup, compressed.
pub(crate) fn packed_index(artifact: &Artifact, slot: &Slot) -> io::Result<Box<dyn Read + Send>> {
    Ok(Box::new(opened(artifact, slot, INDEX)?))
}

impl Source {
    pub(crate) fn open(artifact: &Artifact, slot: &Slot) -> io::Result<Self> {
        Ok(Self {
            blocks: blocks(artifact, slot)?,
            packs: packs_of(artifact).into_iter().collect(),
            slot: slot.clone(),
            open: None,
            kept: VecDeque::new(),
        })
    }

    fn unpack(&mut self, id: u32) -> io::Result<Vec<u8>> {
        let found = usize::try_from(id).ok().and_then(|id| self.blocks.get(id)).copied();
        let block = found.filter(|block| block.bytes <= LONGEST && block.length <= LONGEST);
        let block = block.ok_or_else(|| bad("the index names a block that is none"))?;
        let file = match self.open.take() {
            Some((pack, file)) if pack == block.pack => file,
            _ => {
                let entry = self.packs.get(&block.pack).ok_or_else(|| bad("a pack is not listed"))?;
                self.slot.seek(entry).map_err(closed)?
            }
        };
        let (_, file) = self.open.insert((block.pack, file));
        let size = |count: u32| usize::try_from(count).map_err(io::Error::other);
        let mut packed = vec![0; size(block.bytes)?];
        file.seek(io::SeekFrom::Start(block.offset))?;
        file.read_exact(&mut packed)?;
        let content = zstd::bulk::decompress(&packed, size(block.length)?);
        content.map_err(|_| bad("a block does not unpack"))
    }

    /// The content of a chunk.
    pub(crate) fn chunk(&mut self, chunk: &Chunk) -> io::Result<&[u8]> {
        if let Some(at) = self.kept.iter().position(|(id, _)| *id == chunk.block) {
            if at > 0
                && let Some(used) = self.kept.remove(at)
            {
                self.kept.push_front(used);
            }
        } else {
            let content = self.unpack(chunk.block)?;
            self.kept.push_front((chunk.block, content));
            self.kept.truncate(KEPT);
        }
        let (from, length) = (usize::try_from(chunk.at), usize::try_from(chunk.length));
        let (Ok(from), Ok(length)) = (from, length) else {
            return Err(bad("a chunk beyond all bounds"));
        };
        let found = self
            .kept
            .front()
            .and_then(|(_, block)| block.get(from..from.checked_add(length)?));
        let content = found.ok_or_else(|| bad("a chunk beyond its block"))?;
        if name(content) == chunk.name {
            Ok(content)
        } else {
            Err(bad("a chunk is not what its name says"))
        }
    }

    /// The content of a file, as a stream.
    pub(crate) fn content<'s>(&'s mut self, line: &'s Line) -> Content<'s> {
        Content {
            source: self,
            chunks: line.chunks.iter(),
            current: Vec::new(),
            at: 0,
        }
    }
}

/// Whether a file holds what a line says, and no more: its chunks are read and compared with their names.
pub(crate) fn holds(file: &File, line: &Line) -> io::Result<bool> {
    let mut file = file;
    file.seek(io::SeekFrom::Start(0))?;
    let mut content = Vec::new();
    for chunk in &line.chunks {
        content.resize(usize::try_from(chunk.length).map_err(io::Error::other)?, 0);
        match file.read_exact(&mut content) {
            Ok(()) if name(&content) == chunk.name => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(file.read(&mut [0])? == 0)
}

/// The content of one file.
pub(crate) struct Content<'s> {
    source: &'s mut Source,
    chunks: std::slice::Iter<'s, Chunk>,
    current: Vec<u8>,
    at: usize,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.current.len() {
            let Some(chunk) = self.chunks.next() else { return Ok(0) };
            let content = self.source.chunk(chunk)?;
            self.current.clear();
            self.current.extend_from_slice(content);
            self.at = 0;
        }
        let rest = self.current.get(self.at..).unwrap_or_default();
        let count = { rest }.read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

/// Reads every chunk of every file, and makes nothing of it.
///
/// # Errors
/// The copy is not whole (`copy_is_bad`), or guard was asked to stop.
pub(crate) fn prove(artifact: &Artifact, slot: &Slot, entries: u64, cx: &Context) -> Result<()> {
    let spoiled = |error: io::Error| ResourceError {
        copy_is_bad: error.kind() != io::ErrorKind::PermissionDenied,
        ..ResourceError::because(format!("the copy of {} is not whole", artifact.resource), error)
    };
    let mut source = Source::open(artifact, slot).map_err(spoiled)?;
    let mut lines = index(artifact, slot).map_err(spoiled)?;
    let mut count = 0;
    while let Some(line) = lines.next().map_err(spoiled)? {
        if cx.stop.is_asked() {
            return Err(ResourceError::new("stopped because guard was asked to stop"));
        }
        count += 1;
        let mut size = 0;
        for chunk in &line.chunks {
            size += source.chunk(chunk).map_err(spoiled)?.len() as u64;
        }
        if line.node.shape == Shape::File && size != line.node.size {
            return Err(spoiled(bad("a file whose chunks are not its length")));
        }
    }
    if count == entries {
        Ok(())
    } else {
        Err(spoiled(bad("the index has not as many lines as the manifest says")))
    }
}
