//! The ground a store stands on: a real directory of ours, which nobody else can move away or fill with their own.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Result, StoreError};
use guard_model::text::typed;
use guard_system::disk::{self, At};
use guard_system::privilege;

/// The bit of a mode that Linux calls `S_ISVTX`.
const STICKY: u32 = 0o1000;

/// Whether others than the owner and root can replace what is in a directory. A group of the same number as the owner is
/// the owner's private group, as many systems make it; a sticky directory lets nobody touch another's entries.
pub(super) fn is_open_to_others(metadata: &std::fs::Metadata) -> bool {
    let by_others = metadata.mode() & 0o002 != 0;
    let by_group = metadata.mode() & 0o020 != 0 && metadata.gid() != metadata.uid();
    (by_others || by_group) && metadata.mode() & STICKY == 0
}

/// Refuses a directory that is a link, is not ours, or could be replaced by others, in itself or on the way to it.
pub(super) fn refuse_unsafe(directory: &Path) -> Result<()> {
    let metadata = std::fs::symlink_metadata(directory).at("look at", directory)?;
    let shown = directory.display();
    let us = privilege::user_id();
    let problem = if metadata.is_symlink() {
        Some(format!(
            "{shown} is a symbolic link; set `backup_dir` to the place it leads to"
        ))
    } else if !metadata.is_dir() {
        Some(format!("{shown} is not a directory"))
    } else if metadata.uid() != us {
        Some(format!("{shown} belongs to user {}, not to {us}", metadata.uid()))
    } else if metadata.mode() & STICKY != 0 || is_open_to_others(&metadata) {
        Some(format!(
            "others can write to {shown} (mode {:04o}); `chmod 0700 {}` closes it",
            metadata.mode() & 0o7777,
            typed(&shown.to_string())
        ))
    } else {
        None
    };
    if let Some(problem) = problem {
        return Err(StoreError::Unsafe(problem));
    }
    let real = std::fs::canonicalize(directory).at("find the real path of", directory)?;
    for ancestor in real.ancestors().skip(1) {
        let metadata = std::fs::symlink_metadata(ancestor).at("look at", ancestor)?;
        let shown = ancestor.display();
        if metadata.uid() != us && metadata.uid() != 0 {
            return Err(StoreError::Unsafe(format!(
                "{shown}, which leads to it, belongs to user {}, who could replace it",
                metadata.uid()
            )));
        }
        if is_open_to_others(&metadata) {
            return Err(StoreError::Unsafe(format!(
                "others can write to {shown}, which leads to it (mode {:04o}); `chmod go-w {}` closes it",
                metadata.mode() & 0o7777,
                typed(&shown.to_string())
            )));
        }
    }
    Ok(())
}

/// What is open to others: the two directories, the directories of backups, and the files below them.
pub(super) fn exposures(directory: &Path, state: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for place in [state, directory] {
        found.extend(disk::exposure(place)?);
    }
    for path in disk::list(directory)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.parse::<guard_model::name::Timestamp>().is_err() {
            continue;
        }
        for entry in walkdir::WalkDir::new(&path).follow_links(false) {
            let entry = entry.map_err(std::io::Error::from).at("read the directory", &path)?;
            found.extend(disk::exposure(entry.path())?);
        }
    }
    Ok(found)
}

/// Closes a tree to others: directories 0700, files 0600, whatever the tools that wrote them thought.
pub(super) fn close(tree: &Path) -> Result<()> {
    for entry in walkdir::WalkDir::new(tree).follow_links(false) {
        let entry = entry.map_err(std::io::Error::from).at("read the directory", tree)?;
        let kind = entry.file_type();
        if !kind.is_symlink() && disk::exposure(entry.path())?.is_some() {
            disk::set_mode(entry.path(), if kind.is_dir() { 0o700 } else { 0o600 })?;
        }
        if let Some(exposure) = disk::exposure(entry.path())? {
            return Err(StoreError::Unsafe(exposure));
        }
    }
    Ok(())
}
