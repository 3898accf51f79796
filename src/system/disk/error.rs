//! Why something on disk could not be done, with the path that it was about.

use std::io;
use std::path::{Path, PathBuf};

/// A file operation that failed, with the path it was about.
#[derive(Debug, thiserror::Error)]
#[error("could not {verb} {}", path.display())]
pub struct DiskError {
    /// What was tried: `read`, `write`, `create the directory`.
    pub verb: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

impl DiskError {
    /// Whether the disk, its inodes or a quota is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        )
    }
}

/// Puts verb and path to an I/O error.
pub trait At<T> {
    /// The same result, its error saying what was tried on what.
    ///
    /// # Errors
    /// The one it had.
    fn at(self, verb: &'static str, path: &Path) -> Result<T, DiskError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, verb: &'static str, path: &Path) -> Result<T, DiskError> {
        self.map_err(|source| DiskError {
            verb,
            path: path.to_owned(),
            source,
        })
    }
}

impl<T> At<T> for rustix::io::Result<T> {
    fn at(self, verb: &'static str, path: &Path) -> Result<T, DiskError> {
        self.map_err(io::Error::from).at(verb, path)
    }
}
