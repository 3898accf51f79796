//! Trying a file system out before anything depends on it: what guard needs of it, and whether it is still the same one.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::{Result, Store, StoreError};
use guard_system::disk::{self, At, Staged};

/// In the state directory: on which file system the backups were at first.
const MOUNT: &str = "mount.json";

#[derive(Serialize, Deserialize)]
struct Mount {
    directory: PathBuf,
    /// The topmost directory of its file system.
    point: PathBuf,
}

/// The topmost directory that is on the file system of this one.
fn mount_point(directory: &Path) -> Result<PathBuf> {
    let real = std::fs::canonicalize(directory).at("find the real path of", directory)?;
    let device = std::fs::metadata(&real).at("look at", &real)?.dev();
    let mut point = real.clone();
    for ancestor in real.ancestors().skip(1) {
        if std::fs::metadata(ancestor).at("look at", ancestor)?.dev() != device {
            break;
        }
        ancestor.clone_into(&mut point);
    }
    Ok(point)
}

/// Refuses a directory that was on a file system of its own once and is on another now: it is not mounted, and backups
/// would fill the disk below.
pub(super) fn refuse_unmounted(directory: &Path, state: &Path) -> Result<()> {
    let path = state.join(MOUNT);
    let point = mount_point(directory)?;
    if let Some(text) = disk::read_text_optional(&path)? {
        let known: Mount = serde_json::from_str(&text).map_err(|error| StoreError::Unfit {
            path: path.clone(),
            reason: format!("it cannot be read ({error}); once it is removed, the place is taken as it is now"),
        })?;
        if known.directory == directory && known.point == point {
            return Ok(());
        }
        if known.directory == directory {
            return Err(StoreError::Unsafe(format!(
                "{} was on the file system mounted at {}, and is on that of {} now; mount it, or remove {} if it has moved",
                directory.display(),
                known.point.display(),
                point.display(),
                path.display()
            )));
        }
    }
    let mount = Mount {
        directory: directory.to_owned(),
        point,
    };
    let text = serde_json::to_string(&mount).map_err(StoreError::Json)?;
    match disk::write_whole(&path, text.as_bytes()) {
        // A full disk is no reason to refuse: a rollback may be what is asked for.
        Err(error) if error.is_full() => Ok(()),
        other => Ok(other?),
    }
}

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
}

impl Store {
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
