//! Moving and removing whole trees: by rename, never across file systems, and through the trash.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::error::{At, DiskError};
use super::look::{exists, list};
use super::make::{create_private_dir, sync_directory};

fn sync_parents(from: &Path, to: &Path) -> Result<(), DiskError> {
    from.parent().map_or(Ok(()), sync_directory)?;
    to.parent()
        .filter(|parent| Some(*parent) != from.parent())
        .map_or(Ok(()), sync_directory)
}

/// Swaps two paths in one step that cannot be seen half done (`RENAME_EXCHANGE`); one of many, which the caller makes
/// durable with a single [`sync_directory`] of each parent.
///
/// # Errors
/// As [`exchange`].
pub fn exchange_unsynced(one: &Path, other: &Path) -> Result<(), DiskError> {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).at("exchange", other)
}

/// Moves a path to a place that must be free (`RENAME_NOREPLACE`); one of many, which the caller makes durable with a
/// single [`sync_directory`] of each parent.
///
/// # Errors
/// As [`move_new`].
pub fn move_new_unsynced(from: &Path, to: &Path) -> Result<(), DiskError> {
    renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).at("move to", to)
}

/// Swaps two paths in one step that cannot be seen half done (`RENAME_EXCHANGE`), durably.
///
/// # Errors
/// Where they are on two file systems, or one of them is missing, or the file system cannot exchange.
pub fn exchange(one: &Path, other: &Path) -> Result<(), DiskError> {
    exchange_unsynced(one, other)?;
    sync_parents(one, other)
}

/// Moves a path over whatever file or link is in the place, in one step, durably.
///
/// # Errors
/// Where the place is on another file system or holds a directory.
pub fn replace(from: &Path, to: &Path) -> Result<(), DiskError> {
    rustix::fs::rename(from, to).at("put in its place", to)?;
    sync_parents(from, to)
}

/// Moves a path to a place that must be free (`RENAME_NOREPLACE`), durably.
///
/// # Errors
/// Where the place is taken or on another file system.
pub fn move_new(from: &Path, to: &Path) -> Result<(), DiskError> {
    move_new_unsynced(from, to)?;
    sync_parents(from, to)
}

/// Bytes that a file, or a directory with all that is below it, takes on disk.
///
/// # Errors
/// Where something cannot be looked at; it may not be there.
pub fn weight(path: &Path) -> Result<u64, DiskError> {
    let mut sum = 0;
    for entry in walkdir::WalkDir::new(path) {
        let metadata = entry.and_then(|entry| entry.metadata());
        let metadata = metadata.map_err(io::Error::from).at("look at", path)?;
        // In units of 512 bytes, whatever the blocks of the file system are.
        sum += metadata.blocks() * 512;
    }
    Ok(sum)
}

/// Removes a directory that holds nothing; one that is gone is removed already.
///
/// # Errors
/// Where it holds something, or cannot be removed.
pub fn remove_empty(path: &Path) -> Result<(), DiskError> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.at("remove", path),
    }
}

/// Removes a tree through a trash directory beside it: after the rename the tree is gone for every reader, and what an
/// interruption leaves in the trash is removed the next time. A tree that is not there is removed already.
///
/// # Errors
/// Where it cannot be moved or removed.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub fn remove_tree(path: &Path, trash: &Path) -> Result<(), DiskError> {
    if exists(path)? {
        create_private_dir(trash)?;
        let name = path.file_name().unwrap_or_default();
        let mut place = trash.join(name);
        let mut count = 0_u32;
        while exists(&place)? {
            count += 1;
            let mut other = name.to_owned();
            other.push(format!(".{count}"));
            place = trash.join(other);
        }
        move_new(path, &place)?;
    }
    for left in list(trash)? {
        if left.is_dir() && !left.is_symlink() {
            fs::remove_dir_all(&left).at("remove", &left)?;
        } else {
            fs::remove_file(&left).at("remove", &left)?;
        }
    }
    Ok(())
}

/// Where a displaced file would be; kept here so that every kind names it alike.
#[must_use]
pub fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}
