//! Where entries of a copy come from: the backup itself, or guard on the host, asked from within a container.

use std::io::{self, BufWriter, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::index::Lines;
use super::read;
use super::staging::{self, Builder, stage};
use crate::error::{ResourceError, Result};
use crate::names::{escaped, unescaped};
use crate::slot::Slot;
use crate::trees::archive;
use crate::trees::copied::mark;
use crate::trees::exchange::Patch;
use crate::trees::frames::{Frames, Kind, put};
use crate::trees::stand_in::StandIn;
use guard_model::artifact::Artifact;
use guard_system::context::Context;

/// A copy in chunks, of which entries are put back.
pub(crate) trait Origin {
    /// The digest by which the copy is known to what was staged from it.
    fn mark(&self) -> &str;

    /// When the tree began to be read, in seconds since 1970.
    fn begun(&self) -> i64;

    /// Its index.
    fn lines(&mut self) -> io::Result<Lines>;

    /// Fetches these entries, whose files have so many bytes, into the directory aside.
    ///
    /// # Errors
    /// The copy is not whole (`copy_is_bad`), they cannot be made, or guard was asked to stop.
    fn stage(&mut self, patch: &Patch<'_>, wanted: &[Vec<u8>], bytes: Option<u64>, cx: &Context) -> Result<()>;

    /// Of so many bytes in the files of these entries, those that staging them would write.
    ///
    /// # Errors
    /// The index cannot be read.
    fn written(&mut self, wanted: &[Vec<u8>], bytes: u64) -> io::Result<u64> {
        let _ = wanted;
        Ok(bytes)
    }
}

/// The backup.
pub(crate) struct Backup<'b> {
    artifact: &'b Artifact,
    slot: &'b Slot,
    mark: &'b str,
    begun: i64,
    stand_in: Option<&'b StandIn>,
}

impl<'b> Backup<'b> {
    /// With what stands in for its files, where there is such.
    ///
    /// # Errors
    /// The manifest lists no index.
    pub(crate) fn of(
        artifact: &'b Artifact,
        slot: &'b Slot,
        begun: i64,
        stand_in: Option<&'b StandIn>,
    ) -> Result<Self> {
        Ok(Self {
            artifact,
            slot,
            mark: mark(artifact)?,
            begun,
            stand_in,
        })
    }
}

impl Origin for Backup<'_> {
    fn mark(&self) -> &str {
        self.mark
    }

    fn begun(&self) -> i64 {
        self.begun
    }

    fn lines(&mut self) -> io::Result<Lines> {
        read::index(self.artifact, self.slot)
    }

    fn stage(&mut self, patch: &Patch<'_>, wanted: &[Vec<u8>], bytes: Option<u64>, cx: &Context) -> Result<()> {
        stage(patch, wanted, bytes, (self.artifact, self.slot), self.stand_in, cx)
    }

    fn written(&mut self, wanted: &[Vec<u8>], bytes: u64) -> io::Result<u64> {
        let Some(stand_in) = self.stand_in else {
            return Ok(bytes);
        };
        let mut left = 0;
        staging::select(&mut self.lines()?, wanted, &mut |line| {
            if stand_in.file(&line).is_none() {
                left += line.node.size;
            }
            Ok(())
        })?;
        Ok(left)
    }
}

/// What guard on the host sends.
type Sent = Arc<Mutex<Frames<Box<dyn Read + Send>>>>;

/// guard on the host, which reads the backup: it is told what is wanted, and sends that.
pub(crate) struct Host<'o> {
    sent: Sent,
    out: &'o mut dyn Write,
    mark: String,
    begun: i64,
}

impl<'o> Host<'o> {
    pub(crate) fn new(input: Box<dyn Read + Send>, out: &'o mut dyn Write, mark: String, begun: i64) -> Self {
        Self {
            sent: Arc::new(Mutex::new(Frames::new(input))),
            out,
            mark,
            begun,
        }
    }

    /// Says what is wanted, and makes of the archive that comes what it holds.
    fn fetch(&mut self, builder: &mut Builder<'_>, wanted: &[Vec<u8>]) -> io::Result<()> {
        let mut out = BufWriter::new(&mut *self.out);
        for path in wanted {
            put(&mut out, Kind::Wanted, escaped(path).as_bytes())?;
        }
        put(&mut out, Kind::End, b"")?;
        out.flush()?;
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        // Behind what was asked of it, an index may have some bytes that nobody needed.
        while matches!(sent.peek()?, Kind::Index | Kind::IndexEnd) {
            sent.take()?;
        }
        let mut archived = sent.stream(Kind::Data);
        archive::read(&mut archived, |node, data| builder.make(node, data))?;
        io::copy(&mut archived, &mut io::sink())?;
        match sent.take()?.0 {
            Kind::Sound => Ok(()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// The index, as it is sent.
struct Index(Sent);

impl Read for Index {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sent.part(Kind::Index, buffer)
    }
}

impl Origin for Host<'_> {
    fn mark(&self) -> &str {
        &self.mark
    }

    fn begun(&self) -> i64 {
        self.begun
    }

    fn lines(&mut self) -> io::Result<Lines> {
        Lines::of(Box::new(Index(Arc::clone(&self.sent))))
    }

    fn stage(&mut self, patch: &Patch<'_>, wanted: &[Vec<u8>], _: Option<u64>, cx: &Context) -> Result<()> {
        let unmade = |error| ResourceError::because("could not stage what guard on the host sent", error);
        let mut builder = Builder::new(patch).map_err(unmade)?;
        self.fetch(&mut builder, wanted).map_err(unmade)?;
        if cx.stop.is_asked() {
            return Err(ResourceError::new("stopped because guard was asked to stop"));
        }
        builder.finish().map_err(unmade)
    }
}

/// Sends the wanted entries of a copy as an archive.
///
/// # Errors
/// The copy is not whole, or nobody takes it.
pub(crate) fn send_wanted(
    artifact: &Artifact,
    slot: &Slot,
    wanted: &[Vec<u8>],
    out: &mut dyn Write,
    told: &mut dyn FnMut(u64) -> io::Result<()>,
) -> io::Result<()> {
    let mut source = read::Source::open(artifact, slot)?;
    let mut lines = read::index(artifact, slot)?;
    let mut writer = archive::Writer::new(out);
    staging::select(&mut lines, wanted, &mut |line| {
        told(line.node.size)?;
        writer.append(&line.node, &mut source.content(&line))
    })?;
    writer.finish().map(drop)
}

/// The path that a host's frame means.
pub(crate) fn wanted_path(content: &[u8]) -> io::Result<Vec<u8>> {
    let text = std::str::from_utf8(content).map_err(io::Error::other)?;
    unescaped(text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
