//! Snapshots of a subvolume of btrfs: one moment of all that is in it, whatever its size.
//!
//! guard has no unsafe code, and no kept crate makes these calls without it: btrfs-progs does. It is led to open directories, so
//! that no path is walked that others may change.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{ResourceError, Result};
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::disk::Dir;

/// A snapshot first writes what programs have written and the disk has not yet.
const LIMIT: Duration = Duration::from_mins(2);

/// This very directory, for another program.
fn held(dir: &Dir) -> PathBuf {
    PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), dir.as_fd().as_raw_fd()))
}

fn call(words: &[&str], paths: &[PathBuf], cx: &Context) -> Result<()> {
    let paths = paths.iter().map(|path| OsString::from(path.as_os_str()));
    let call = Call::new("btrfs").args(words).args(paths).timeout(LIMIT);
    match cx.output(&call) {
        Ok(_) => Ok(()),
        Err(error) => Err(
            ResourceError::because(format!("`btrfs {}` failed", words.join(" ")), error)
                .with_hint("install btrfs-progs, where the program is missing"),
        ),
    }
}

/// Makes a read-only snapshot of a subvolume under this name.
///
/// # Errors
/// It cannot be made, as where a file of it is swapped to.
pub(super) fn take(subvolume: &Dir, into: &Dir, name: &str, cx: &Context) -> Result<()> {
    let place = held(into).join(name);
    call(&["subvolume", "snapshot", "-r"], &[held(subvolume), place], cx)
}

/// Removes a snapshot; one that is gone is fine.
///
/// # Errors
/// It cannot be removed.
pub(super) fn remove(from: &Dir, name: &str, cx: &Context) -> Result<()> {
    let is_there = from.look(name.as_bytes());
    let is_there = is_there.map_err(|error| ResourceError::because("could not look at a snapshot", error))?;
    if is_there.is_none() {
        return Ok(());
    }
    call(&["subvolume", "delete"], &[held(from).join(name)], &cx.unstoppable())
}
