//! What is on disk, looked at and read. Only ENOENT means absent.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::{At, DiskError};
use crate::privilege;
use guard_model::text::typed;

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

/// Why a directory is not private to us, in words; `None` where it is.
///
/// # Errors
/// Where it cannot be looked at.
pub fn exposure(path: &Path) -> Result<Option<String>, DiskError> {
    let metadata = fs::symlink_metadata(path).at("look at", path)?;
    let shown = path.display();
    let us = privilege::user_id();
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
