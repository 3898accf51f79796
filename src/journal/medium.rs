//! What a journal is written to: an open file. A trait, so that a test can lose, tear and refuse what is written.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::fs::{FallocateFlags, fallocate};

/// The bytes of a journal that is open for writing.
pub trait Medium: Send + fmt::Debug {
    /// Writes all of these bytes at this place.
    ///
    /// # Errors
    /// Some or all of them could not be written.
    fn write_at(&mut self, bytes: &[u8], place: u64) -> io::Result<()>;

    /// Cuts off what is behind this length.
    ///
    /// # Errors
    /// It is still there.
    fn cut(&mut self, length: u64) -> io::Result<()>;

    /// Makes what was written and cut durable.
    ///
    /// # Errors
    /// Nobody knows what is durable; a second try would not tell either.
    fn sync(&mut self) -> io::Result<()>;

    /// Whether somebody has removed what is written to, so that nothing of it could ever be read again.
    fn is_removed(&self) -> bool {
        false
    }

    /// Sets so many bytes of space aside from this place on, the length unchanged.
    ///
    /// # Errors
    /// There is no room, or it cannot be done here.
    fn reserve(&mut self, place: u64, bytes: u64) -> io::Result<()>;
}

impl Medium for File {
    fn write_at(&mut self, bytes: &[u8], place: u64) -> io::Result<()> {
        self.write_all_at(bytes, place)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn is_removed(&self) -> bool {
        self.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    fn reserve(&mut self, place: u64, bytes: u64) -> io::Result<()> {
        Ok(fallocate(self, FallocateFlags::KEEP_SIZE, place, bytes)?)
    }
}
