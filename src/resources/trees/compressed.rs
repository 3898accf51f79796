//! A compressed file of a copy, being written.

use std::io::{self, BufWriter, Write};

use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use guard_system::disk::Staged;

/// Written to the compressor in pieces of this size: each piece that it is given costs it a lock.
const PIECE: usize = 64 * 1024;

/// A file in the slot, compressed by zstd on all cores.
pub(crate) struct Compressed(BufWriter<zstd::Encoder<'static, Staged>>);

impl Compressed {
    /// A file of this name, which counts once it is finished and kept.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn new(slot: &Slot, name: &str, level: i32) -> Result<Self> {
        let staged = slot.stage(name)?;
        let encoder = || {
            let mut encoder = zstd::Encoder::new(staged, level)?;
            encoder.include_checksum(true)?;
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            if cores > 1 {
                encoder.multithread(u32::try_from(cores).unwrap_or(1))?;
            }
            Ok(encoder)
        };
        let encoder =
            encoder().map_err(|error: io::Error| ResourceError::because("could not set up the compression", error))?;
        Ok(Self(BufWriter::with_capacity(PIECE, encoder)))
    }

    /// Writes what is left, and gives back the file.
    pub(crate) fn finish(self) -> io::Result<Staged> {
        let encoder = self.0.into_inner().map_err(io::IntoInnerError::into_error)?;
        encoder.finish()
    }
}

impl Write for Compressed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
