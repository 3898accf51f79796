//! The files of a copy, read again: the dump to its last line, and the script beside it.

use std::io::{self, Read, Write};

use super::code::Kept;
use super::details::{CODE, DUMP, Details};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use guard_model::artifact::{Artifact, FileEntry};

/// The last line of every dump that came to its end.
pub(crate) const END: &[u8] = b"-- Dump completed";

/// The entry of one of the copy's files.
pub(crate) fn entry<'a>(artifact: &'a Artifact, name: &str) -> Result<&'a FileEntry> {
    let lost = || ResourceError::bad_copy(format!("the manifest lists no {name}"));
    artifact.file(name).ok_or_else(lost)
}

/// Writes the dump, decompressed, into a program.
pub(crate) fn pour(artifact: &Artifact, slot: &Slot, writer: &mut dyn Write) -> Result<()> {
    let entry = entry(artifact, DUMP)?;
    zstd::stream::copy_decode(slot.read(entry)?, writer).map_err(|error| match error.kind() {
        // Whoever reads the dump has gone, and says why itself.
        io::ErrorKind::BrokenPipe => ResourceError::because("the dump could not be handed on", error),
        _ => ResourceError {
            copy_is_bad: true,
            ..ResourceError::because(format!("{} cannot be read to its end", entry.path), error)
        },
    })
}

/// The script of the copy, with the database's standards.
pub(crate) fn kept(artifact: &Artifact, slot: &Slot) -> Result<Kept> {
    let details = Details::of(artifact)?;
    let mut reader = slot.read(entry(artifact, CODE)?)?;
    let mut script = Vec::new();
    reader
        .read_to_end(&mut script)
        .map_err(|error| ResourceError::because("could not read the script of the copy", error))?;
    reader.finish()?;
    Ok(Kept {
        charset: details.charset,
        collation: details.collation,
        script,
    })
}

/// Reads the dump to its last line: a dump program that dies may still have written all that a digest would be taken of.
pub(crate) fn prove(artifact: &Artifact, slot: &Slot) -> Result<()> {
    let mut tail = Tail(Vec::new());
    pour(artifact, slot, &mut tail)?;
    if tail.0.windows(END.len()).any(|window| window == END) {
        return Ok(());
    }
    Err(ResourceError::bad_copy(format!(
        "the dump of {} does not come to its end: its last line is missing",
        artifact.resource
    )))
}

/// Keeps the last bytes that were written.
pub(crate) struct Tail(Vec<u8>);

impl Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        /// More than the last line of a dump has.
        const KEPT: usize = 64;
        self.0
            .extend_from_slice(bytes.get(bytes.len().saturating_sub(KEPT)..).unwrap_or_default());
        let over = self.0.len().saturating_sub(KEPT);
        self.0.drain(..over);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
