//! Which file system the backups were on at first: a disk that is not mounted is not taken for the one that was.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{Result, StoreError};
use guard_system::disk::{self, At};

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
