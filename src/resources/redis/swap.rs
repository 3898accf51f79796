//! The files: staged beside the server's own, exchanged with them while it is stopped, and kept; each act safe to repeat.
//!
//! What comes lies in a directory of guard's own, and so does what goes: first everything that is there is moved aside and that
//! is marked, then everything that comes is moved in. So a second try sees how far the first one got.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::layout::{COPY, Layout, Log, base};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use guard_model::artifact::Artifact;
use guard_system::context::Context;
use guard_system::disk::{self, At};

/// Says that all that was there lies aside.
const ASIDE: &str = ".aside";
/// Says that all that comes is complete.
const READY: &str = ".ready";

/// Through which directory others are removed.
const TRASH: &str = ".guard-redis-trash";

/// What an exchange has to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Staging {
    pub(super) layout: Layout,
    /// What is to come: the name of a directory in the server's.
    pub(super) coming: String,
    /// Where what is there goes to.
    pub(super) going: String,
}

impl Staging {
    pub(super) fn of(layout: Layout, cx: &Context) -> Self {
        Self {
            layout,
            coming: format!(".guard-redis-{}", cx.token()),
            going: format!(".guard-redis-{}-failed", cx.token()),
        }
    }

    /// The way back of this way.
    pub(super) fn turned(&self) -> Self {
        let going = match self.going.strip_suffix("-failed") {
            Some(stem) => format!("{stem}-undone"),
            None => format!("{}-failed", self.going.trim_end_matches("-undone")),
        };
        Self {
            layout: self.layout.clone(),
            coming: self.going.clone(),
            going,
        }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.layout.directory.join(name)
    }

    /// Where what was displaced is kept.
    pub(super) fn kept(&self) -> PathBuf {
        self.place(&self.going)
    }

    /// The server's files that hold keys, by name: those that an exchange moves.
    fn names(&self) -> Vec<String> {
        let mut names = vec![self.layout.rdb.clone()];
        // A log that is not kept now may have been, and would count again once it is switched on.
        let usual = ["appendonlydir", "appendonly.aof"].map(str::to_owned);
        names.extend(match &self.layout.log {
            Log::None => None,
            Log::File(name) => Some(name.clone()),
            Log::Directory { directory, .. } => Some(directory.clone()),
        });
        names.extend(usual);
        names.sort();
        names.dedup();
        names
    }

    /// Whether what comes is there, complete.
    pub(super) fn is_ready(&self) -> Result<bool> {
        Ok(disk::exists(&self.place(&self.coming).join(READY))?)
    }

    /// Whether the exchange has taken place.
    pub(super) fn is_done(&self) -> Result<bool> {
        Ok(disk::exists(&self.kept().join(ASIDE))? && !disk::exists(&self.place(&self.coming))?)
    }
}

/// Stages a copy beside the server's files; leavings of an earlier try are removed first.
pub(super) fn stage(staging: &Staging, artifact: &Artifact, slot: &Slot) -> Result<()> {
    let directory = &staging.layout.directory;
    let place = staging.place(&staging.coming);
    remove(&place)?;
    disk::create_new_dir(&place)?;
    let old = directory.join(&staging.layout.rdb);
    let like = std::fs::symlink_metadata(&old)
        .or_else(|_| std::fs::symlink_metadata(directory))
        .at("look at", directory)?;
    let entry = artifact
        .files
        .first()
        .ok_or_else(|| ResourceError::bad_copy(format!("the manifest lists no {COPY}")))?;
    let put = |path: &Path| -> Result<()> {
        let mut copy = slot.read(entry)?;
        let mut file = std::fs::File::create_new(path).at("create", path)?;
        io::copy(&mut copy, &mut file).at("write", path)?;
        copy.finish()?;
        owned(path, &like, if like.is_file() { like.mode() & 0o777 } else { 0o640 })?;
        file.sync_all().at("sync", path)?;
        Ok(())
    };
    put(&place.join(&staging.layout.rdb))?;
    match &staging.layout.log {
        Log::None => {}
        Log::File(name) => put(&place.join(name))?,
        Log::Directory { directory, name } => {
            let log = place.join(directory);
            disk::create_new_dir(&log)?;
            put(&log.join(base(name)))?;
            let list = log.join(format!("{name}.manifest"));
            disk::write_whole(&list, format!("file {} seq 1 type b\n", base(name)).as_bytes())?;
            owned(&list, &like, 0o640)?;
            owned(&log, &like, 0o755)?;
        }
    }
    let ready = place.join(READY);
    disk::write_whole(&ready, b"")?;
    Ok(())
}

fn owned(path: &Path, like: &std::fs::Metadata, mode: u32) -> Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).at("set the mode of", path)?;
    let own = std::fs::symlink_metadata(path).at("look at", path)?;
    if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
        chown(path, Some(like.uid()), Some(like.gid())).at("set the owner of", path)?;
    }
    Ok(())
}

/// Moves what is there aside, and what comes in its place. The server has to be stopped.
pub(super) fn exchange(staging: &Staging) -> Result<()> {
    if staging.is_done()? {
        return Ok(());
    }
    let (coming, going) = (staging.place(&staging.coming), staging.kept());
    let is_aside = disk::exists(&going.join(ASIDE))?;
    if !is_aside && !staging.is_ready()? {
        return Err(ResourceError::new(format!(
            "what was prepared in {} is not there any more; nothing was replaced",
            coming.display()
        )));
    }
    for place in [&coming, &going] {
        if disk::exists(place)? {
            own(place)?;
        }
    }
    if !is_aside {
        disk::create_private_dir(&going)?;
        for name in staging.names() {
            let (from, to) = (staging.layout.directory.join(&name), going.join(&name));
            if disk::exists(&from)? {
                disk::move_new(&from, &to)?;
            }
        }
        disk::write_whole(&going.join(READY), b"")?;
        disk::write_whole(&going.join(ASIDE), b"")?;
    }
    for name in staging.names() {
        let (from, to) = (coming.join(&name), staging.layout.directory.join(&name));
        if disk::exists(&from)? {
            disk::move_new(&from, &to)?;
        }
    }
    remove(&coming)
}

/// A directory of guard's own is one, and belongs to guard's user.
fn own(place: &Path) -> Result<()> {
    match disk::exposure(place)? {
        None => Ok(()),
        Some(exposure) => Err(ResourceError::new(format!("{exposure}; nothing was replaced"))
            .with_hint("somebody else made or changed it: look at it, move it away, and run the same command again")),
    }
}

/// Removes a directory of guard's own; one that is gone is fine.
pub(super) fn remove(place: &Path) -> Result<()> {
    if !disk::exists(place)? {
        return Ok(());
    }
    own(place)?;
    // An empty one is left by the trash; it goes with the next that is removed.
    let trash = place.with_file_name(TRASH);
    disk::remove_tree(place, &trash)?;
    Ok(disk::remove_empty(&trash)?)
}
