//! Makes and removes single files and directories, durably and private.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use super::error::{At, DiskError};

/// Makes the entries of a directory durable.
///
/// # Errors
/// Where the directory cannot be opened or synced.
pub fn sync_directory(directory: &Path) -> Result<(), DiskError> {
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    File::open(directory)
        .and_then(|file| file.sync_all())
        .at("sync the directory", directory)
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

/// Writes over a regular file where it is, so that it stays the same file, of the same owner; nothing of this is durable, and
/// what stood there is lost. Only a drill does that.
///
/// # Errors
/// Where it is no regular file, or cannot be written.
pub fn overwrite(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .custom_flags(i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default())
        .open(path)
        .at("open", path)?;
    file.write_all(bytes).at("write over", path)
}

/// Takes all room of a directory's file system but so many bytes, by a file that has no name: its room is free again as soon as
/// it is closed, whatever becomes of this process. Returns the file and how much it takes. Only a drill does that.
///
/// # Errors
/// Where the file system knows no such file, or cannot set room aside.
pub fn take_room(directory: &Path, leave: u64) -> Result<(File, u64), DiskError> {
    use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, openat};
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = openat(rustix::fs::CWD, directory, flags, Mode::RUSR | Mode::WUSR).at("fill the disk at", directory)?;
    let mut taken = 0;
    loop {
        let more = super::look::free_bytes(directory)?.saturating_sub(leave);
        // Others may give room back or take it meanwhile; a last megabyte is not run after.
        if more < 1024 * 1024 {
            return Ok((File::from(file), taken));
        }
        match fallocate(&file, FallocateFlags::empty(), taken, more) {
            Ok(()) => taken += more,
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::NOSPC) if taken > 0 => return Ok((File::from(file), taken)),
            Err(error) => return Err(error).at("fill the disk at", directory),
        }
    }
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

/// Sets the mode of a path without following a link at its end.
///
/// # Errors
/// Where it cannot be set.
pub fn set_mode(path: &Path, mode: u32) -> Result<(), DiskError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).at("set the mode of", path)
}
