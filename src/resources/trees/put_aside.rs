//! guard's own directory beside a live tree: under which name it lies, and whether what is there is still what guard made.
//!
//! Its name cannot be guessed, and is written down before it is made; owner, mode, type and number are looked at whenever it is
//! opened.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, RenameFlags, renameat_with, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::exchange_record::{OLDER, STATE, Seen, State};
use super::private_names::{self, is_private};
use crate::error::{ResourceError, Result};
use crate::names::{escaped, unescaped};
use guard_model::text::typed;
use guard_system::disk::{At, Dir, Object, is_elsewhere};

/// Where staged and displaced entries lie in it.
const ENTRIES: &[u8] = b"entries";

/// Which directory is guard's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Home {
    /// The directory around it, escaped; `None`: the live directory itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) around: Option<String>,
    pub(crate) name: String,
    /// Which one it is; `None`: not known to be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) object: Option<Object>,
}

impl Home {
    /// One inside of the live directory, as guards before made it: its name is all that is known.
    pub(crate) fn inside(name: &str) -> Self {
        Self {
            around: None,
            name: name.to_owned(),
            object: None,
        }
    }

    /// A new one in this directory; `None`: in the live one.
    pub(crate) fn new(around: Option<&Path>) -> Result<Self> {
        Ok(Self {
            around: around.map(|around| escaped(around.as_os_str().as_bytes())),
            name: Self::unguessable()?,
            object: None,
        })
    }

    /// A name that nobody can guess.
    pub(crate) fn unguessable() -> Result<String> {
        let mut bytes = [0; 16];
        let source = Path::new("/dev/urandom");
        File::open(source)
            .and_then(|mut file| file.read_exact(&mut bytes))
            .at("read", source)?;
        Ok(private_names::random(&bytes))
    }

    /// The directory around it, where that is not the live one.
    pub(crate) fn outside(&self) -> Option<PathBuf> {
        let path = unescaped(self.around.as_ref()?)?;
        Some(PathBuf::from(OsString::from_vec(path)))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is known to be made.
    pub(crate) fn is_known(&self) -> bool {
        self.object.is_some()
    }

    /// The same, known to be this one.
    pub(crate) fn known(self, object: Option<Object>) -> Self {
        Self { object, ..self }
    }

    /// As a word for guard in a container, which sees only the volume.
    ///
    /// # Errors
    /// It lies elsewhere.
    pub(crate) fn word(&self) -> Result<String> {
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
    pub(crate) fn of_word(word: &str) -> Option<Self> {
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
        private_names::is_ours(OsStr::new(name)).then(|| Self::inside(name).known(object))
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
    pub(crate) fn open(&self, live: &Dir) -> Result<Option<Aside>> {
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
    pub(crate) fn make(&self, live: &Dir) -> Result<Aside> {
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
    pub(crate) fn shown(&self, live: &Path) -> PathBuf {
        let around = self.around.as_deref().and_then(unescaped);
        let around = around.map_or_else(|| live.to_owned(), |path| PathBuf::from(OsString::from_vec(path)));
        around.join(&self.name).join(OsStr::from_bytes(ENTRIES))
    }
}

/// guard's own directory, open, beside the live one.
#[derive(Debug)]
pub(crate) struct Aside {
    pub(crate) live: Dir,
    around: Dir,
    pub(crate) home: Home,
    pub(crate) dir: Dir,
}

impl Aside {
    /// Where staged and displaced entries lie.
    pub(crate) fn entries(&self) -> Result<Dir> {
        Ok(self.dir.dir(ENTRIES).at("open", &self.dir.shown_at(ENTRIES))?)
    }

    /// Where it is, for people.
    pub(crate) fn shown(&self) -> &Path {
        self.dir.shown()
    }

    /// How it stands with it; `None` where nothing is staged whole.
    pub(crate) fn seen(&self) -> Result<Option<Seen>> {
        Ok(State::read(&self.live, &self.dir)?.map(State::seen))
    }

    /// Empties it to stage in it.
    ///
    /// # Errors
    /// A swap is not finished, or something cannot be removed.
    pub(crate) fn clear(&self) -> Result<Dir> {
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
    pub(crate) fn take_all(&self) -> Result<()> {
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
        for record in [STATE, OLDER] {
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
    pub(crate) fn remove(&self) -> Result<()> {
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
    pub(crate) fn weight(&self) -> Result<u64> {
        Ok(self.entries()?.weight().at("weigh", self.shown())?)
    }
}
