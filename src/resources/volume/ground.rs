//! Which way of an instant copy the ground of a volume has, and why it has none.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, fstatvfs, ioctl_ficlone, openat};

use super::place::Place;
use super::source::Volume;
use crate::error::{ResourceError, Result};
use crate::trees::filesystem::{self, BTRFS, XFS};
use crate::trees::walk;
use guard_model::text;
use guard_system::disk::{At, Dir};
use guard_system::privilege;

/// The number of every subvolume's root.
const ROOT: u64 = 256;
/// So many parts of the file system are to be free, one of them at least: what stands by holds on to blocks.
const PARTS: u64 = 10;

/// What the ground can.
#[derive(Debug)]
pub(super) enum Ground {
    /// A snapshot of a subvolume, which is one moment.
    Snapshot {
        /// The subvolume.
        subvolume: Dir,
        /// Where the volume is in it; empty: it is the subvolume.
        below: Vec<u8>,
    },
    /// Clones of single files.
    Clones {
        /// Why it is no snapshot.
        why: String,
    },
    /// Neither.
    Plain {
        /// Why.
        why: String,
        /// Whether the file system itself could.
        could: bool,
    },
}

impl Ground {
    fn plain(why: impl Into<String>, could: bool) -> Self {
        Self::Plain { why: why.into(), could }
    }

    /// Whether a copy can stand by on it.
    pub(super) fn is_instant(&self) -> bool {
        !matches!(self, Self::Plain { .. })
    }
}

/// What the ground of a volume can; found out by looking and by trying, and nothing of that is seen in the volume.
///
/// # Errors
/// The volume cannot be looked at.
pub(super) fn of(volume: &Volume, place: &Place) -> Result<Ground> {
    if !volume.stands_by {
        return Ok(Ground::plain("`standby = \"never\"` is set", false));
    }
    let Some(path) = place.directory() else {
        return Ok(Ground::plain("it is reached only through the engine", false));
    };
    if volume.force_read {
        let why = "`force_read` believes nothing that the file system tells of a file, and a standby is known by that";
        return Ok(Ground::plain(why, false));
    }
    let live = Dir::open(path).at("open", path)?;
    let kind = filesystem::kind_of(&live);
    if !matches!(kind, Some(BTRFS | XFS)) {
        let name = filesystem::name_of(&live);
        return Ok(Ground::plain(format!("{name} cannot copy in an instant"), false));
    }
    if let Some(why) = low(&live).at("ask the free space of", path)? {
        return Ok(Ground::plain(why, true));
    }
    let why = match kind {
        Some(BTRFS) => match subvolume(&live, path) {
            Ok((subvolume, below)) => return Ok(Ground::Snapshot { subvolume, below }),
            Err(why) => why,
        },
        _ => "xfs has no snapshots".to_owned(),
    };
    Ok(or_clones(&live, why))
}

/// Clones, where there is no snapshot for this reason, and the file system shares blocks.
pub(super) fn or_clones(live: &Dir, why: String) -> Ground {
    match shares(live) {
        Ok(()) => Ground::Clones { why },
        Err(error) => {
            let name = filesystem::name_of(live);
            Ground::plain(format!("{why}, and this {name} does not share blocks ({error})"), true)
        }
    }
}

/// Whether a directory is the root of a subvolume.
pub(super) fn is_subvolume(dir: &Dir) -> bool {
    filesystem::kind_of(dir) == Some(BTRFS) && dir.object().is_ok_and(|object| object.inode == ROOT)
}

/// Why nothing is to hold on to blocks here, where that is so.
fn low(live: &Dir) -> io::Result<Option<String>> {
    let told = fstatvfs(live)?;
    let bytes = |blocks: u64| text::bytes(blocks.saturating_mul(told.f_frsize));
    Ok((told.f_bavail.saturating_mul(PARTS) < told.f_blocks).then(|| {
        let (free, all) = (bytes(told.f_bavail), bytes(told.f_blocks));
        format!("its file system has {free} of {all} free, less than a tenth, and a standby holds on to what is written over")
    }))
}

/// The subvolume around a directory, and where that is in it; or why there can be no snapshot of it.
fn subvolume(live: &Dir, path: &Path) -> std::result::Result<(Dir, Vec<u8>), String> {
    if !privilege::is_root() {
        return Err("only root can remove a snapshot".to_owned());
    }
    if walk::has_mounts_below(live) {
        return Err("another file system is mounted in it, and a snapshot has none".to_owned());
    }
    let unreached = "the root of its subvolume cannot be reached from here";
    let device = live.object().map_err(|error| error.to_string())?.device;
    for above in path.ancestors() {
        let dir = Dir::open(above).map_err(|error| format!("{unreached}: {error}"))?;
        let object = dir.object().map_err(|error| error.to_string())?;
        if object.device != device {
            break;
        }
        if object.inode == ROOT {
            let below = path.strip_prefix(above).map_err(|error| error.to_string())?;
            return Ok((dir, below.as_os_str().as_bytes().to_owned()));
        }
    }
    Err(unreached.to_owned())
}

/// Tries whether files share blocks, with two that have no name.
fn shares(live: &Dir) -> Result<()> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let nameless = || openat(live, ".", flags, Mode::from(0o600));
    let tried = nameless().and_then(|one| ioctl_ficlone(nameless()?, one));
    tried.map_err(|error| ResourceError::new(io::Error::from(error).to_string()))
}
