//! Trying a file system out before anything depends on it: what guard needs of it.

use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::{Result, Store, StoreError};
use guard_system::disk::{self, At, Staged};

impl Store {
    /// Tries out what guard needs of the file systems of the backups and of the state: to write, sync, rename over, and
    /// lock. Leaves nothing behind.
    ///
    /// # Errors
    /// One of them cannot do it; the error names the act and the place.
    pub fn try_out(&self) -> Result<()> {
        for directory in [&self.directory, &self.state] {
            let place = directory.join(".guard-trial");
            let tried = try_at(&place);
            let removed = if disk::exists(&place)? {
                disk::remove_file(&place)
            } else {
                Ok(())
            };
            tried?;
            removed?;
        }
        Ok(())
    }

    /// Tries out whether backups can share files. Leaves nothing behind.
    ///
    /// # Errors
    /// They cannot.
    pub fn try_links(&self) -> Result<()> {
        let (one, other) = (
            self.directory.join(".guard-trial"),
            self.directory.join(".guard-trial-link"),
        );
        disk::write_whole(&one, b"one")?;
        let linked = std::fs::hard_link(&one, &other).at("link a file beside", &one);
        for place in [&other, &one] {
            if disk::exists(place)? {
                disk::remove_file(place)?;
            }
        }
        Ok(linked?)
    }
}

fn try_at(place: &Path) -> Result<()> {
    for bytes in [b"one", b"two"] {
        let mut staged = Staged::beside(place)?;
        staged.write(bytes)?;
        flock(staged.file(), FlockOperation::NonBlockingLockExclusive).at("lock a file beside", place)?;
        staged.replace(place)?;
    }
    if disk::read_optional(place)?.as_deref() == Some(b"two") {
        Ok(())
    } else {
        Err(StoreError::Unsafe(format!(
            "a file that was renamed over {} is not there; this file system cannot be relied on",
            place.display()
        )))
    }
}
