//! Tries on the very ground what a way back will need of it, beside the volume, and leaves nothing.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, Gid, RenameFlags, Uid, chownat, futimens, linkat, renameat_with};

use super::home;
use super::place::Place;
use crate::error::{ResourceError, Result};
use crate::trees::node::Shape;
use crate::trees::put_aside::Home;
use crate::trees::stage::modified;
use crate::trees::walk::{Met, walk};
use guard_system::context::Context;
use guard_system::disk::{At, Dir};

/// So many owners are tried.
const OWNERS: usize = 256;

/// What a look at every entry of a live tree tells.
#[derive(Debug, Default)]
pub(super) struct Overview {
    pub(super) entries: u64,
    /// Bytes in its files.
    pub(super) bytes: u64,
    /// Users and groups that own something.
    owners: BTreeSet<(u32, u32)>,
    has_links: bool,
    /// The first entry that is immutable or append-only; looked for where guard may not change that.
    pub(super) locked: Option<Vec<u8>>,
}

impl Overview {
    /// Of a live tree.
    ///
    /// # Errors
    /// It cannot be read, or guard was asked to stop.
    pub(super) fn of(live: &Dir, may_lock: bool, cx: &Context) -> Result<Self> {
        let mut found = Self::default();
        walk(live, false, cx, |met| {
            let Met::Node(node, entry, _) = met else { return Ok(()) };
            found.entries += 1;
            found.bytes += node.size;
            found.has_links |= matches!(node.shape, Shape::Hardlink(_));
            if found.owners.len() < OWNERS {
                found.owners.insert((node.uid, node.gid));
            }
            if !may_lock && found.locked.is_none() && entry.locks()? != 0 {
                found.locked = Some(node.path);
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// Tries where a copy would be staged: directories are exchanged, files linked, and given to who owns what is live.
///
/// # Errors
/// One of these cannot be done, with what to do about it.
pub(super) fn try_out(place: &Place, live: &Dir, overview: &Overview, cx: &Context) -> Result<()> {
    let around = home::around(place, live, cx);
    let before = live.stat().at("look at", live.shown())?;
    let aside = Home::new(around.as_deref())?.make(live).map_err(|error| {
        let around = around.as_deref().unwrap_or(live.shown()).display().to_string();
        ResourceError::because(
            format!("no directory can be made in {around} to stage a copy in"),
            error,
        )
        .with_hint(format!(
            "let guard's user write in {around}, and take `chattr +i` away from it"
        ))
    })?;
    let tried = try_in(&aside.dir, live.shown(), overview);
    let removed = aside.remove();
    if around.is_none() {
        // It lay in what is live: that is to have its time as if nobody had looked.
        let time = (before.st_mtime, u32::try_from(before.st_mtime_nsec).unwrap_or_default());
        futimens(live, &modified(time)).at("set the time of", live.shown())?;
    }
    tried.and(removed)
}

fn try_in(dir: &Dir, live: &Path, overview: &Overview) -> Result<()> {
    let shown = dir.shown();
    for name in [&b"one"[..], b"other"] {
        dir.make(name).at("create a directory in", shown)?;
    }
    renameat_with(dir, "one", dir, "other", RenameFlags::EXCHANGE).map_err(|error| {
        let what = format!(
            "two directories cannot be exchanged in one step on the file system of {}",
            live.display()
        );
        ResourceError::because(what, io::Error::from(error))
            .with_hint("move the volume to one that can (ext4, xfs, btrfs, tmpfs, overlayfs)")
    })?;
    dir.write_whole(b"file", b"tried").at("create a file in", shown)?;
    if overview.has_links {
        linkat(dir, "file", dir, "link", AtFlags::empty()).map_err(|error| {
            let what = format!("a file cannot have two names on the file system of {}", live.display());
            ResourceError::because(what, io::Error::from(error))
                .with_hint("move the volume to a file system with hard links, as some of its files have several names")
        })?;
    }
    for (user, group) in &overview.owners {
        let (owner, of) = (Some(Uid::from_raw(*user)), Some(Gid::from_raw(*group)));
        chownat(dir, "file", owner, of, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| {
            let what = format!(
                "a file cannot be given to user {user} and group {group}, who own something in {}",
                live.display()
            );
            ResourceError::because(what, io::Error::from(error))
                .with_hint("run guard as root, or as the user to whom everything there belongs")
        })?;
    }
    Ok(())
}
