//! guard's own directory for a volume: where it lies, under which name, and whether what is there is still what guard made.
//!
//! It lies out of the sight of whoever uses the volume: in guard's state, where that is on the volume's file system, else beside
//! the volume, and only inside of it where neither can be. Its name cannot be guessed, and is written down before it is made;
//! owner, mode, type and number are looked at whenever it is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat, unlinkat};
use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::error::{ResourceError, Result};
use crate::trees::put_aside::Home;
use crate::trees::toll::Toll;
use guard_model::name::ResourceName;
use guard_system::context::Context;
use guard_system::disk::{self, Dir};

/// What a run knows of its own directories for one volume: written down before one is made.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(default)]
    pub(super) homes: Vec<Home>,
    /// Names of those in which an exchange was begun: parts of the live state may lie there.
    #[serde(default)]
    begun: BTreeSet<String>,
    /// Directories that the copy does not know and that were left, since something stays in them; escaped.
    #[serde(default)]
    pub(super) bare: BTreeSet<String>,
    /// What was found to become of files when something was staged there, before an exchange was begun; by name.
    #[serde(default)]
    tolls: BTreeMap<String, Toll>,
    /// Where the content of a volume was put aside that was removed, since it was made otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) removed: Option<Home>,
}

impl Record {
    fn file(name: &ResourceName, cx: &Context) -> PathBuf {
        cx.scratch.join(format!("aside-{name}.json"))
    }

    pub(super) fn of(name: &ResourceName, cx: &Context) -> Result<Self> {
        let path = Self::file(name, cx);
        let Some(bytes) = disk::read_optional(&path)? else {
            return Ok(Self::default());
        };
        serde_json::from_slice(&bytes)
            .map_err(|error| ResourceError::because(format!("could not understand {}", path.display()), error))
    }

    pub(super) fn write(&self, name: &ResourceName, cx: &Context) -> Result<()> {
        let bytes = serde_json::to_vec(self)
            .map_err(|error| ResourceError::because("could not write down where a volume is staged", error))?;
        Ok(disk::write_whole(&Self::file(name, cx), &bytes)?)
    }

    /// An additional directory, of a new name, written down and not made yet.
    pub(super) fn additional(&mut self, around: Option<&Path>, name: &ResourceName, cx: &Context) -> Result<Home> {
        let home = Home::new(around)?;
        self.homes.push(home.clone());
        self.write(name, cx)?;
        Ok(home)
    }

    /// Notes what becomes of files by an exchange with this one. Of one that was begun that is known from before.
    pub(super) fn tell(&mut self, home: &Home, toll: Toll, name: &ResourceName, cx: &Context) -> Result<()> {
        if self.is_begun(home) {
            return Ok(());
        }
        self.tolls.insert(home.name.clone(), toll);
        self.write(name, cx)
    }

    /// What becomes of files by an exchange with this one, as far as it was noted.
    pub(super) fn toll(&self, home: &Home) -> Toll {
        self.tolls.get(&home.name).cloned().unwrap_or_default()
    }

    /// Whether an exchange with this one was begun.
    pub(super) fn is_begun(&self, home: &Home) -> bool {
        self.begun.contains(&home.name)
    }

    /// Writes down that an exchange with this one is about to begin.
    pub(super) fn begin(&mut self, home: &Home, name: &ResourceName, cx: &Context) -> Result<()> {
        if self.begun.insert(home.name.clone()) {
            self.write(name, cx)?;
        }
        Ok(())
    }

    /// Knows this one by more than its name.
    pub(super) fn learn(&mut self, home: &Home, name: &ResourceName, cx: &Context) -> Result<()> {
        for known in self.homes.iter_mut().filter(|known| known.name == home.name) {
            known.clone_from(home);
        }
        self.write(name, cx)
    }
}

/// Where guard's own directory for this live one can be; `None`: only inside of it.
///
/// # Errors
/// Nothing of it can be looked at.
pub(super) fn around(place: &Place, live: &Dir, cx: &Context) -> Option<PathBuf> {
    candidates(place, cx).into_iter().find(|path| may_hold(live, path))
}

/// Whether entries can be moved between the live directory and one in this; guard's own is made where it is not there.
pub(super) fn may_hold(live: &Dir, around: &Path) -> bool {
    let near = || {
        if around.ends_with("aside") {
            disk::create_private_dir(around).ok()?;
        }
        is_near(live, &Dir::open(around).ok()?).then_some(())
    };
    near().is_some()
}

/// The same, only looked at: whether there is any place but inside.
pub(super) fn is_only_inside(place: &Place, live: &Dir, cx: &Context) -> bool {
    let near = |path: &PathBuf| {
        let path = path.ancestors().find(|path| path.is_dir())?;
        let around = Dir::open(path).ok()?;
        (may_write(&around) && is_same_mount(live, &around)).then_some(())
    };
    !candidates(place, cx).iter().any(|path| near(path).is_some())
}

/// Whether something can be made in a directory.
pub(super) fn may_write(around: &Dir) -> bool {
    rustix::fs::accessat(around, ".", rustix::fs::Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

/// Where guard's own directory may lie, the best place first.
pub(super) fn candidates(place: &Place, cx: &Context) -> Vec<PathBuf> {
    let Some(live) = place.directory() else {
        return Vec::new();
    };
    let beside = live.parent().map(Path::to_owned);
    if place.is_engines {
        return beside.into_iter().collect();
    }
    let state = state(cx).filter(|state| !state.starts_with(live));
    // In a work tree it would be a file that nobody knows, and in the project it may be served.
    let project = std::fs::canonicalize(&cx.directory).unwrap_or_else(|_| cx.directory.clone());
    let is_outside =
        |path: &&Path| !path.starts_with(&project) && !path.ancestors().any(|above| above.join(".git").exists());
    let outside = live.ancestors().skip(1).find(is_outside).map(Path::to_owned);
    state.into_iter().chain(outside).chain(beside).collect()
}

/// Where guard's state has room for such directories; it may not be there yet.
pub(super) fn state(cx: &Context) -> Option<PathBuf> {
    let state = match cx.scratch.parent() {
        Some(runs) if runs.ends_with("runs") => runs.parent().map(Path::to_owned),
        // Outside of a run, as while `guard check` tries the ground, there is no directory of a run: it is the same state.
        _ => match cx.runs.as_deref().and_then(Path::parent) {
            Some(state) => Some(state.to_owned()),
            None => Some(cx.scratch.clone()),
        },
    };
    let state = std::fs::canonicalize(state?).ok()?;
    Some(state.join("aside"))
}

fn is_same_mount(one: &Dir, other: &Dir) -> bool {
    let device = |dir: &Dir| dir.stat().ok().map(|stat| stat.st_dev);
    device(one).is_some() && device(one) == device(other) && one.mount() == other.mount()
}

/// Whether entries can be moved between the two: a file without a name is given one. What is live does not show it.
fn is_near(live: &Dir, around: &Dir) -> bool {
    if !is_same_mount(live, around) {
        return false;
    }
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let Ok(nameless) = openat(live, ".", flags, Mode::from(0o600)) else {
        return true;
    };
    let Ok(Home { name, .. }) = Home::new(None) else {
        return false;
    };
    let from = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&nameless));
    let linked = linkat(CWD, from.as_str(), around, name.as_str(), AtFlags::SYMLINK_FOLLOW);
    let _gone = unlinkat(around, name.as_str(), AtFlags::empty());
    linked.is_ok()
}
