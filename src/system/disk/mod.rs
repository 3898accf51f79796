//! Files: written whole or not at all, private, on disk before anyone believes it. Only ENOENT means absent.

mod dir;
mod staged;
mod tree;

use guard_model::text::typed;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub use dir::{Dir, Object, is_elsewhere};
pub use staged::{Digest, Staged, remove_strays, set_mode, sha256_file, sha256_hex, sibling};
pub use tree::{
    exchange, exchange_unsynced, move_new, move_new_unsynced, remove_empty, remove_tree, replace, sync_directory,
    weight,
};

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

/// Reads a file; `None` where there is none.
///
/// # Errors
/// Any other reason than its absence.
pub fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, DiskError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("read", path),
    }
}

/// Reads a text file; `None` where there is none.
///
/// # Errors
/// Any other reason than its absence, invalid UTF-8 included.
pub fn read_text_optional(path: &Path) -> Result<Option<String>, DiskError> {
    read_optional(path)?
        .map(|bytes| {
            String::from_utf8(bytes)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
                .at("read", path)
        })
        .transpose()
}

/// Whether something of this name exists; a dangling symlink does.
///
/// # Errors
/// Where that cannot be seen.
pub fn exists(path: &Path) -> Result<bool, DiskError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).at("look at", path),
    }
}

/// The path without links on the way; of what is not there, below that of the nearest directory above that is.
#[must_use]
pub fn real_path(path: &Path) -> PathBuf {
    let mut rest = Vec::new();
    for ancestor in path.ancestors() {
        if let Ok(real) = std::fs::canonicalize(ancestor) {
            return rest.iter().rev().fold(real, |real, name| real.join(name));
        }
        rest.extend(ancestor.file_name());
    }
    path.to_owned()
}

/// Whether a path that is there is a directory itself, not a link to one.
///
/// # Errors
/// Where that cannot be seen.
pub fn is_real_directory(path: &Path) -> Result<bool, DiskError> {
    Ok(fs::symlink_metadata(path).at("look at", path)?.is_dir())
}

/// The names in a directory, sorted; empty where there is no directory.
///
/// # Errors
/// Where it cannot be read for another reason.
pub fn list(directory: &Path) -> Result<Vec<PathBuf>, DiskError> {
    listed(directory, |_| Ok(true))
}

/// The same, of directories alone; links are not followed. Most file systems tell the type with the name, so that a million
/// files cost no further look.
///
/// # Errors
/// As for [`list`].
pub fn directories(directory: &Path) -> Result<Vec<PathBuf>, DiskError> {
    listed(directory, |entry| match entry.file_type() {
        Ok(kind) => Ok(kind.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    })
}

fn listed(directory: &Path, is_wanted: impl Fn(&fs::DirEntry) -> io::Result<bool>) -> Result<Vec<PathBuf>, DiskError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).at("read the directory", directory),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.at("read the directory", directory)?;
        if is_wanted(&entry).at("look at", &entry.path())? {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Makes a directory (0700) with its parents, durably; one that is there already is left as it is.
///
/// # Errors
/// Where it cannot be made.
pub fn create_private_dir(path: &Path) -> Result<(), DiskError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_private_dir(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        Err(error) => return Err(error).at("create the directory", path),
    }
    // The umask may have taken bits away; it never adds any.
    fs::set_permissions(path, Permissions::from_mode(0o700)).at("set the mode of", path)?;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        sync_directory(parent)?;
    }
    Ok(())
}

/// Makes a directory (0700) that must not be there yet.
///
/// # Errors
/// Where it is there, or cannot be made.
pub fn create_new_dir(path: &Path) -> Result<(), DiskError> {
    fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .at("create the directory", path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Why a directory is not private to us, in words; `None` where it is.
///
/// # Errors
/// Where it cannot be looked at.
pub fn exposure(path: &Path) -> Result<Option<String>, DiskError> {
    let metadata = fs::symlink_metadata(path).at("look at", path)?;
    let shown = path.display();
    let us = super::privilege::user_id();
    Ok(if metadata.file_type().is_symlink() {
        Some(format!("{shown} is a symbolic link"))
    } else if metadata.uid() != us {
        Some(format!("{shown} belongs to user {}, not to {us}", metadata.uid()))
    } else if metadata.mode() & 0o077 != 0 {
        Some(format!(
            "{shown} is open to others (mode {:04o}); `chmod go= {}` closes it",
            metadata.mode() & 0o7777,
            typed(&shown.to_string())
        ))
    } else {
        None
    })
}

/// Bytes that a user may still write to the file system of this path.
///
/// # Errors
/// Where it cannot be asked.
pub fn free_bytes(path: &Path) -> Result<u64, DiskError> {
    let stat = rustix::fs::statvfs(path).at("ask the free space of", path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// How much of the file system of this path is used, in percent, as `df` counts: what is reserved for root is not free.
///
/// # Errors
/// Where it cannot be asked.
pub fn used_percent(path: &Path) -> Result<f64, DiskError> {
    let stat = rustix::fs::statvfs(path).at("ask the used space of", path)?;
    let used = stat.f_blocks.saturating_sub(stat.f_bfree);
    let whole = used.saturating_add(stat.f_bavail).max(1);
    #[expect(clippy::cast_precision_loss, reason = "shown without decimals")]
    Ok(100.0 * used as f64 / whole as f64)
}

/// Writes a file whole or not at all (0600): beside its place, synced, then renamed.
///
/// # Errors
/// Where any part of that fails; what was there before is still there then.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let mut staged = Staged::beside(path)?;
    staged.write(bytes)?;
    staged.replace(path).map(|_| ())
}

/// Removes a file, durably.
///
/// # Errors
/// Where it is not there or cannot be removed.
pub fn remove_file(path: &Path) -> Result<(), DiskError> {
    fs::remove_file(path).at("remove", path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Opens a file for appending only (0600), made if it is not there.
///
/// # Errors
/// Where it cannot be opened.
pub fn open_append(path: &Path) -> Result<File, DiskError> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default())
        .open(path)
        .at("open", path)
}

/// Makes a new private file (0600) for logs and other things that may be lost; fails where it exists.
///
/// # Errors
/// Where it cannot be made.
pub fn create_private_file(path: &Path) -> Result<File, DiskError> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .at("create", path)
}
