//! guard's own directory for a volume: where it lies, under which name, and whether what is there is still what guard made.
//!
//! It lies out of the sight of whoever uses the volume: in guard's state, where that is on the volume's file system, else beside
//! the volume, and only inside of it where neither can be. Its name cannot be guessed, and is written down before it is made;
//! owner, mode, type and number are looked at whenever it is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, linkat, openat, renameat_with, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::aside::{self, is_private};
use super::chunks;
use super::place::Place;
use super::swap::{self, Seen};
use crate::names::{escaped, unescaped};
use crate::toll::Toll;
use crate::{ResourceError, Result};
use guard_model::name::ResourceName;
use guard_model::text::typed;
use guard_system::context::Context;
use guard_system::disk::{self, At, Dir, Object, is_elsewhere};

/// Where staged and displaced entries lie in it.
const ENTRIES: &[u8] = b"entries";

/// Which directory is guard's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Home {
    /// The directory around it, escaped; `None`: the live directory itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    around: Option<String>,
    name: String,
    /// Which one it is; `None`: not known to be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    object: Option<Object>,
}

impl Home {
    /// One inside of the live directory, as guards before made it: its name is all that is known.
    pub(super) fn inside(name: &str) -> Self {
        Self {
            around: None,
            name: name.to_owned(),
            object: None,
        }
    }

    /// A new one in this directory; `None`: in the live one.
    pub(super) fn new(around: Option<&Path>) -> Result<Self> {
        Ok(Self {
            around: around.map(|around| escaped(around.as_os_str().as_bytes())),
            name: Self::unguessable()?,
            object: None,
        })
    }

    /// A name that nobody can guess.
    pub(super) fn unguessable() -> Result<String> {
        let mut bytes = [0; 16];
        let source = Path::new("/dev/urandom");
        File::open(source)
            .and_then(|mut file| file.read_exact(&mut bytes))
            .at("read", source)?;
        Ok(aside::random(&bytes))
    }

    /// The directory around it, where that is not the live one.
    pub(super) fn outside(&self) -> Option<PathBuf> {
        let path = unescaped(self.around.as_ref()?)?;
        Some(PathBuf::from(OsString::from_vec(path)))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is known to be made.
    pub(super) fn is_known(&self) -> bool {
        self.object.is_some()
    }

    /// The same, known to be this one.
    pub(super) fn known(self, object: Option<Object>) -> Self {
        Self { object, ..self }
    }

    /// As a word for guard in a container, which sees only the volume.
    ///
    /// # Errors
    /// It lies elsewhere.
    pub(super) fn word(&self) -> Result<String> {
        if self.around.is_some() {
            let what = format!("{} cannot be reached through the engine", self.name);
            return Err(ResourceError::new(what).with_hint("run guard where it ran before, on the engine's own host"));
        }
        Ok(match self.object {
            Some(Object { device, inode }) => format!("{}@{device}:{inode}", self.name),
            None => self.name.clone(),
        })
    }

    /// What such a word means; `None` where it is no name of guard's.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        let (name, object) = word
            .split_once('@')
            .map_or((word, None), |(name, object)| (name, Some(object)));
        let object = match object {
            Some(object) => {
                let (device, inode) = object.split_once(':')?;
                Some(Object {
                    device: device.parse().ok()?,
                    inode: inode.parse().ok()?,
                })
            }
            None => None,
        };
        aside::is_ours(OsStr::new(name)).then(|| Self::inside(name).known(object))
    }

    fn around(&self, live: &Dir) -> Result<Dir> {
        let Some(around) = &self.around else {
            return Ok(live.again().at("open", live.shown())?);
        };
        let path = unescaped(around).ok_or_else(|| ResourceError::new("a recorded path is malformed"))?;
        let path = PathBuf::from(OsString::from_vec(path));
        Ok(Dir::open(&path).at("open", &path)?)
    }

    /// Opens it; `None` where it is not there.
    ///
    /// # Errors
    /// What is there is not what guard made.
    pub(super) fn open(&self, live: &Dir) -> Result<Option<Aside>> {
        let around = self.around(live)?;
        let place = around.shown_at(self.name.as_bytes());
        let foreign = |why: String| {
            let what = format!("{} is not the directory that guard made: {why}", place.display());
            ResourceError::new(what).with_hint(
                "somebody has put it there; look who may write to the directory around it, and where guard's own was moved to",
            )
        };
        let dir = match around.dir(self.name.as_bytes()) {
            Ok(dir) => dir,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if is_elsewhere(&error) => {
                return Err(foreign("another file system is mounted there".to_owned()));
            }
            Err(error) => {
                let kind = around.look(self.name.as_bytes()).at("look at", &place)?;
                return Err(match kind.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
                    Some(FileType::Directory) | None => {
                        ResourceError::because(format!("could not open {}", place.display()), error)
                    }
                    Some(FileType::Symlink) => foreign("it is a link".to_owned()),
                    Some(_) => foreign("it is no directory".to_owned()),
                });
            }
        };
        let stat = dir.stat().at("look at", &place)?;
        if !is_private(&stat) {
            let us = guard_system::privilege::user_id();
            let (owner, mode) = (stat.st_uid, stat.st_mode & 0o7777);
            return Err(foreign(format!(
                "it belongs to user {owner} with mode {mode:04o}, and guard's to {us} with 0700"
            )));
        }
        // The number of a device may be another one after a restart; that of an entry is not.
        if self.object.is_some_and(|object| object.inode != stat.st_ino) {
            return Err(foreign("it is another one of this name".to_owned()));
        }
        Ok(Some(Aside {
            live: live.again().at("open", live.shown())?,
            around,
            home: self.clone(),
            dir,
        }))
    }

    /// Makes it. One that was made under this name before and not recorded has nothing in it yet, and is made anew.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn make(&self, live: &Dir) -> Result<Aside> {
        let around = self.around(live)?;
        let name = self.name.as_bytes();
        let place = around.shown_at(name);
        around.remove_empty(name).at("remove", &place)?;
        let dir = around.make(name).at("create the directory", &place)?;
        around.sync().at("sync the directory", around.shown())?;
        let object = dir.object().at("look at", &place)?;
        Ok(Aside {
            live: live.again().at("open", live.shown())?,
            around,
            home: self.clone().known(Some(object)),
            dir,
        })
    }

    /// Where displaced entries lie, for people.
    pub(super) fn shown(&self, live: &Path) -> PathBuf {
        let around = self.around.as_deref().and_then(unescaped);
        let around = around.map_or_else(|| live.to_owned(), |path| PathBuf::from(OsString::from_vec(path)));
        around.join(&self.name).join(OsStr::from_bytes(ENTRIES))
    }
}

/// guard's own directory, open, beside the live one.
#[derive(Debug)]
pub(super) struct Aside {
    pub(super) live: Dir,
    around: Dir,
    pub(super) home: Home,
    pub(super) dir: Dir,
}

impl Aside {
    /// Where staged and displaced entries lie.
    pub(super) fn entries(&self) -> Result<Dir> {
        Ok(self.dir.dir(ENTRIES).at("open", &self.dir.shown_at(ENTRIES))?)
    }

    /// Where it is, for people.
    pub(super) fn shown(&self) -> &Path {
        self.dir.shown()
    }

    /// How it stands with it; `None` where nothing is staged whole.
    pub(super) fn seen(&self) -> Result<Option<Seen>> {
        Ok(chunks::Patch::new(self).state()?.map(chunks::State::seen))
    }

    /// Empties it to stage in it.
    ///
    /// # Errors
    /// A swap is not finished, or something cannot be removed.
    pub(super) fn clear(&self) -> Result<Dir> {
        self.remove_content()?;
        let entries = self
            .dir
            .make(ENTRIES)
            .at("create the directory", &self.dir.shown_at(ENTRIES))?;
        self.dir.sync().at("sync the directory", self.shown())?;
        Ok(entries)
    }

    /// Moves all that is live into it. Safe to repeat.
    ///
    /// # Errors
    /// Something cannot be moved, as where another file system is mounted.
    pub(super) fn take_all(&self) -> Result<()> {
        let shown = self.dir.shown_at(ENTRIES);
        let entries = match self.dir.dir(ENTRIES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.dir.make(ENTRIES),
            found => found,
        };
        let entries = entries.at("open", &shown)?;
        for name in self.live.names().at("read the directory", self.live.shown())? {
            let name = name.as_bytes();
            renameat_with(&self.live, name, &entries, name, RenameFlags::NOREPLACE)
                .at("put aside", &self.live.shown_at(name))?;
        }
        entries.sync().at("sync the directory", &shown)?;
        self.dir.sync().at("sync the directory", self.shown())?;
        Ok(self.live.sync().at("sync the directory", self.live.shown())?)
    }

    fn remove_content(&self) -> Result<()> {
        if self.seen()?.is_some_and(|seen| seen.is_unfinished()) {
            let what = format!(
                "a swap in {} is not finished: parts of the live state lie in {}",
                self.live.shown().display(),
                self.shown().display()
            );
            return Err(ResourceError::new(what).with_hint("`guard resume` finishes it"));
        }
        // Without its record nothing of it counts any more, wherever the removal is cut off.
        for record in [chunks::STATE, swap::STATE] {
            match unlinkat(&self.dir, record, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error).at("remove", &self.dir.shown_at(record.as_bytes()))?,
            }
        }
        self.dir.sync().at("sync the directory", self.shown())?;
        let kept = self.dir.empty().at("remove what is in", self.shown())?;
        match kept.first() {
            None => Ok(()),
            Some(first) => {
                let what = format!("another file system is mounted at {}, and stays", first.display());
                Err(ResourceError::new(what).with_hint(format!(
                    "`umount {}`, and run the same command again",
                    typed(&first.display().to_string())
                )))
            }
        }
    }

    /// Removes it with all that lies in it.
    ///
    /// # Errors
    /// A swap is not finished, so that parts of the live state lie here; something is mounted in it; or it cannot be removed.
    pub(super) fn remove(&self) -> Result<()> {
        self.remove_content()?;
        let name = self.home.name.as_bytes();
        // Whoever may write around it may have put another one in its place: nothing but an empty directory goes.
        let now = self.around.look(name).at("look at", self.shown())?;
        if now.is_some_and(|stat| self.dir.stat().is_ok_and(|own| Object::of(&own) == Object::of(&stat))) {
            self.around.remove_empty(name).at("remove", self.shown())?;
            self.around.sync().at("sync the directory", self.around.shown())?;
        }
        Ok(())
    }

    /// Bytes that what lies aside takes on disk.
    pub(super) fn weight(&self) -> Result<u64> {
        Ok(self.entries()?.weight().at("weigh", self.shown())?)
    }
}

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

    /// A further directory, of a new name, written down and not made yet.
    pub(super) fn further(&mut self, around: Option<&Path>, name: &ResourceName, cx: &Context) -> Result<Home> {
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
        let may_write = rustix::fs::accessat(&around, ".", rustix::fs::Access::WRITE_OK, AtFlags::EACCESS).is_ok();
        (may_write && is_same_mount(live, &around)).then_some(())
    };
    !candidates(place, cx).iter().any(|path| near(path).is_some())
}

fn candidates(place: &Place, cx: &Context) -> Vec<PathBuf> {
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
