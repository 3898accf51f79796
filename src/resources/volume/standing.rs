//! What stands by of volumes, as guard's state knows it: which directory of guard's own holds it, for which copies, and how long.
//!
//! An entry is written before anything is made, so that a kill leaves nothing that nobody knows. What a manifest says of a
//! place is never followed: only what this machine's own state lists is opened, and removed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags, fallocate, futimens, openat, syncfs, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{home, snapshot};
use crate::error::{ResourceError, Result};
use crate::names::{escaped, unescaped};
use crate::trees::put_aside::{Aside, Home};
use crate::trees::stage::modified;
use guard_model::name::ResourceName;
use guard_system::context::Context;
use guard_system::disk::{self, At, Dir, Object};

/// The manifest of a backup that is whole.
const MANIFEST: &str = "manifest.json";

/// A file that only takes room, until a way back needs it for its own notes.
const ROOM: &str = "room";
/// What it takes. A guess: names, notes and the index of what is exchanged.
const ROOM_BYTES: u64 = 16 * 1024 * 1024;

/// One directory of guard's own in which something stands by.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Standing {
    pub(super) home: Home,
    /// The live directory, escaped: what lies in it is reached from there.
    live: String,
    /// The project, by its directory; escaped.
    project: String,
    /// The directory of the backup; escaped.
    backup: String,
    /// The run that made it.
    run: String,
    /// The volumes that use it until the run is over.
    for_now: BTreeSet<ResourceName>,
    /// The volumes that use it as long as the backup is kept.
    kept: BTreeSet<ResourceName>,
    /// The subvolume that it is a snapshot of; `None`: it has clones.
    pub(super) subvolume: Option<Object>,
    /// The second in which it was taken.
    pub(super) taken: i64,
}

fn text(path: &Path) -> String {
    escaped(path.as_os_str().as_bytes())
}

fn path(text: &str) -> Result<PathBuf> {
    let bytes = unescaped(text).ok_or_else(|| ResourceError::new("a recorded path is malformed"))?;
    Ok(PathBuf::from(OsString::from_vec(bytes)))
}

/// Where the entries lie; `None` where there is no state.
fn directory(cx: &Context) -> Option<PathBuf> {
    Some(home::state(cx)?.parent()?.join("standbys"))
}

impl Standing {
    /// A new one around which is this directory, not written down yet; `None`: in the live one.
    pub(super) fn new(live: &Dir, around: Option<&Path>, backup: &Path, taken: i64, cx: &Context) -> Result<Self> {
        Ok(Self {
            home: Home::new(around)?,
            live: text(live.shown()),
            project: text(&cx.directory),
            backup: text(backup),
            run: cx.token(),
            for_now: BTreeSet::new(),
            kept: BTreeSet::new(),
            subvolume: None,
            taken,
        })
    }

    /// All that are known of this project.
    ///
    /// # Errors
    /// The state cannot be read.
    pub(super) fn all(cx: &Context) -> Result<Vec<Self>> {
        let Some(directory) = directory(cx) else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        for path in disk::list(&directory)? {
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let Some(bytes) = disk::read_optional(&path)? else {
                continue;
            };
            let one: Self = serde_json::from_slice(&bytes)
                .map_err(|error| ResourceError::because(format!("could not understand {}", path.display()), error))?;
            all.push(one);
        }
        let project = text(&cx.directory);
        all.retain(|one| one.project == project);
        Ok(all)
    }

    /// The one in the directory of this name.
    ///
    /// # Errors
    /// The state cannot be read.
    pub(super) fn named(name: &str, cx: &Context) -> Result<Option<Self>> {
        Ok(Self::all(cx)?.into_iter().find(|one| one.home.name() == name))
    }

    /// Writes it down.
    pub(super) fn write(&self, cx: &Context) -> Result<()> {
        let directory = directory(cx).ok_or_else(|| ResourceError::new("there is no state to note a standby in"))?;
        disk::create_private_dir(&directory)?;
        let bytes = serde_json::to_vec(self)
            .map_err(|error| ResourceError::because("could not write down what stands by", error))?;
        Ok(disk::write_whole(&self.file(&directory), &bytes)?)
    }

    /// Has this volume use it, for as long as its backup is `kept`, or until the run is over.
    pub(super) fn use_for(&mut self, name: &ResourceName, kept: bool) {
        if kept { &mut self.kept } else { &mut self.for_now }.insert(name.clone());
    }

    /// Whether this volume uses it.
    pub(super) fn is_for(&self, name: &ResourceName) -> bool {
        self.for_now.contains(name) || self.kept.contains(name)
    }

    /// Whether it was made for this backup.
    pub(super) fn is_of(&self, backup: &Path) -> bool {
        self.backup == text(backup)
    }

    /// Whether its backup is one, and not only begun.
    pub(super) fn is_of_backup(&self) -> Result<bool> {
        Ok(disk::exists(&path(&self.backup)?.join(MANIFEST))?)
    }

    /// Whether this run made it.
    pub(super) fn is_of_run(&self, cx: &Context) -> bool {
        self.run == cx.token()
    }

    /// Opens guard's own directory; `None` where it is not there any more.
    ///
    /// # Errors
    /// What is there is not what guard made.
    pub(super) fn open(&self) -> Result<Option<Aside>> {
        let around = self.around()?;
        match around {
            Some(around) => self.home.open(&around),
            None => Ok(None),
        }
    }

    /// The directory around it; `None` where that is gone.
    fn around(&self) -> Result<Option<Dir>> {
        let place = match self.home.outside() {
            Some(place) => place,
            None => path(&self.live)?,
        };
        match Dir::open(&place) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            dir => Ok(Some(dir.at("open", &place)?)),
        }
    }

    /// Makes guard's own directory, which is written down before and known afterwards.
    pub(super) fn make(&mut self, live: &Dir, cx: &Context) -> Result<Aside> {
        self.write(cx)?;
        let home = self.home.clone();
        let aside = self.unseen(live, || home.make(live))?;
        self.home = aside.home.clone();
        self.write(cx)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let room = openat(&aside.dir, ROOM, flags, Mode::from(0o600));
        let kept = room.and_then(|room| fallocate(room, FallocateFlags::empty(), 0, ROOM_BYTES));
        kept.at("keep room in", aside.shown())?;
        Ok(aside)
    }

    /// Gives back the room that was kept for a way back on a full file system. Safe to repeat.
    ///
    /// # Errors
    /// It cannot be given back.
    pub(super) fn make_room(&self) -> Result<()> {
        let Some(aside) = self.open()? else { return Ok(()) };
        let shown = aside.dir.shown_at(ROOM.as_bytes());
        match unlinkat(&aside.dir, ROOM, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error).at("remove", &shown)?,
        }
        // btrfs has the blocks again only then.
        Ok(syncfs(&aside.dir).at("sync", &shown)?)
    }

    /// Does what changes the live directory, where the own one lies in it, and gives that its time back.
    fn unseen<T>(&self, live: &Dir, act: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.home.outside().is_some() {
            return act();
        }
        let before = live.stat().at("look at", live.shown())?;
        let done = act();
        let time = (before.st_mtime, u32::try_from(before.st_mtime_nsec).unwrap_or_default());
        futimens(live, &modified(time)).at("set the time of", live.shown())?;
        done
    }

    /// This volume does without it from now on; `was_kept`: also where its backup is kept. Whoever is the last takes it away.
    ///
    /// # Errors
    /// It cannot be removed; it is still known then.
    pub(super) fn leave(mut self, name: &ResourceName, was_kept: bool, cx: &Context) -> Result<()> {
        self.for_now.remove(name);
        // A backup that never became one holds on to nothing.
        if was_kept || !self.is_of_backup()? {
            self.kept.remove(name);
        }
        if self.for_now.is_empty() && self.kept.is_empty() {
            self.remove(cx)
        } else {
            self.write(cx)
        }
    }

    /// Removes it with all that is in it; what is gone is fine.
    ///
    /// # Errors
    /// It cannot be removed; it is still known then.
    pub(super) fn remove(&self, cx: &Context) -> Result<()> {
        if let Some(around) = self.around()?
            && let Some(aside) = self.home.open(&around)?
        {
            if self.subvolume.is_some() {
                snapshot::remove(&aside.dir, self.home.name(), cx)?;
            }
            self.unseen(&around, || aside.remove())?;
        }
        match directory(cx) {
            Some(directory) if disk::exists(&self.file(&directory))? => Ok(disk::remove_file(&self.file(&directory))?),
            _ => Ok(()),
        }
    }

    fn file(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{}.json", self.home.name().trim_start_matches('.')))
    }
}
