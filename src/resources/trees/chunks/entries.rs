//! A copy in chunks as a stream of entries, both ways: for what is handed over one by one and is no directory of this host.

use std::io::{self, Read};

use super::cut::name;
use super::fetch::{Earlier, Known};
use super::form::Packed;
use super::index::Line;
use super::read::Source;
use super::store::{How, Taker, packed};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::trees::copied::Copied;
use crate::trees::node::{Node, Seen, Shape};
use guard_model::artifact::Artifact;
use guard_system::context::Context;

/// Takes one entry with its content.
pub(crate) type Take<'t> = dyn FnMut(Node, &mut dyn Read) -> io::Result<()> + 't;

/// Copies what `hand_over` gives into the slot, beside an earlier copy where the slot knows one.
///
/// # Errors
/// What is handed over cannot be read, the copy cannot be written, or guard was asked to stop.
pub(crate) fn copy_entries(
    slot: &Slot,
    level: i32,
    hand_over: &mut dyn FnMut(&mut Take<'_>) -> Result<()>,
    cx: &Context,
) -> Result<(Copied, Packed)> {
    let earlier = Earlier::of(slot, cx)?;
    packed(
        &earlier,
        slot,
        How {
            level,
            force: true,
            expected: None,
            begun: cx.clock.now().timestamp(),
        },
        &slot.directory(),
        cx,
        |mut taker, _| {
            hand_over(&mut |node, content| take(&mut taker, node, Seen::default(), content))?;
            Ok(taker)
        },
    )
}

fn take(taker: &mut Taker<'_>, node: Node, seen: Seen, content: &mut dyn Read) -> io::Result<()> {
    let mut line = Line::new(node, seen);
    if line.node.shape == Shape::File {
        let size = taker.cut(content, &mut line.chunks)?;
        if size != line.node.size {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "an entry has not the length that was told of it",
            ));
        }
    }
    taker.take(&line).map_err(io::Error::other)
}

/// Reads every entry of a copy in its order; each chunk is compared with its name. The files themselves have been compared
/// with the manifest before.
///
/// # Errors
/// The copy is not whole (`copy_is_bad`), or `take` failed. What was made of the entries must not be used then.
pub(crate) fn read(artifact: &Artifact, slot: &Slot, entries: u64, take: &mut Take<'_>) -> Result<()> {
    let spoiled = |error: io::Error| ResourceError {
        copy_is_bad: matches!(
            error.kind(),
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound
        ),
        ..ResourceError::because(format!("could not read the copy of {}", artifact.resource), error)
    };
    let mut source = Source::open(artifact, slot).map_err(spoiled)?;
    let mut lines = super::read::index(artifact, slot).map_err(spoiled)?;
    let mut count = 0;
    while let Some(line) = lines.next().map_err(spoiled)? {
        count += 1;
        take(line.node.clone(), &mut source.content(&line)).map_err(spoiled)?;
    }
    if count == entries {
        Ok(())
    } else {
        Err(ResourceError::bad_copy(format!(
            "the index of {} has not as many lines as the manifest says",
            artifact.resource
        )))
    }
}

impl Taker<'_> {
    /// Cuts content into chunks; those that are new are stored. Returns its bytes.
    pub(crate) fn cut(&mut self, content: &mut dyn Read, chunks: &mut Vec<super::index::Chunk>) -> io::Result<u64> {
        let (known, gatherer, cx) = (&mut self.known, self.gatherer.as_mut(), self.cx);
        let progress = &mut self.progress;
        let gatherer = gatherer.ok_or_else(|| io::Error::other("the copy is ended already"))?;
        self.cutter.cut(content, &mut |content| {
            if cx.stop.is_asked() {
                return Err(io::Error::other("guard was asked to stop"));
            }
            let name = name(content);
            let chunk = match known.get(&name)? {
                Some(chunk) => chunk,
                None => gatherer.take(content, name).inspect(|chunk| known.add(*chunk))?,
            };
            chunks.push(chunk);
            progress.add(content.len() as u64);
            Ok(())
        })
    }
}

/// Takes entries that have a mark of their content: one whose mark an earlier copy knows need not be read.
pub(crate) struct Keeper<'k, 't> {
    taker: &'k mut Taker<'t>,
    known: &'k mut Known,
}

/// The mark in the place of what a file system says of a file.
fn seen(mark: &str) -> Seen {
    let name = name(mark.as_bytes());
    let half = |from: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(name.get(from..from + 8).unwrap_or(&[0; 8]));
        bytes
    };
    Seen {
        inode: u64::from_be_bytes(half(0)),
        changed: (0, i64::from_be_bytes(half(8))),
    }
}

impl Keeper<'_, '_> {
    /// Takes an entry with the content and the attributes that an earlier copy has of it. `false`: none has, and it has to be
    /// read. Entries have to come in the order of their paths.
    ///
    /// # Errors
    /// An earlier copy cannot be read, or this one not written.
    pub(crate) fn offer(&mut self, node: &Node, mark: &str) -> Result<bool> {
        let mut line = Line::new(node.clone(), seen(mark));
        self.known.advance(&line.node.path)?;
        let Some(had) = self.known.features(&line) else {
            return Ok(false);
        };
        let Some(chunks) = self.known.unchanged(&line) else {
            return Ok(false);
        };
        (line.node.xattrs, line.chunks) = (had.xattrs, chunks);
        self.taker.progress.add(line.node.size);
        self.taker.take(&line).map(|()| true)
    }

    /// Takes an entry with this content.
    ///
    /// # Errors
    /// The content cannot be read or has another length, or the copy cannot be written.
    pub(crate) fn take(&mut self, node: Node, mark: &str, content: &mut dyn Read) -> io::Result<()> {
        take(self.taker, node, seen(mark), content)
    }
}

/// Copies what `hand_over` gives into the slot; what an earlier copy knows by its mark is not read.
///
/// # Errors
/// As for [`copy_entries`].
pub(crate) fn copy_marked(
    slot: &Slot,
    level: i32,
    hand_over: &mut dyn FnMut(&mut Keeper<'_, '_>) -> Result<()>,
    cx: &Context,
) -> Result<(Copied, Packed)> {
    let earlier = Earlier::of(slot, cx)?;
    packed(
        &earlier,
        slot,
        How {
            level,
            force: false,
            expected: None,
            begun: cx.clock.now().timestamp(),
        },
        &slot.directory(),
        cx,
        |mut taker, known| {
            let mut keeper = Keeper {
                taker: &mut taker,
                known,
            };
            hand_over(&mut keeper)?;
            Ok(taker)
        },
    )
}
