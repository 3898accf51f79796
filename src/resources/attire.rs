//! What a file or directory has beside its content: owner, mode, time, attributes, access lists and flags; noted and put on.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, Stat, lstat, openat};
use serde::{Deserialize, Serialize};

use super::names::{escaped, unescaped};
use super::volume::features::{self, Features};
use super::volume::node::{Node, Shape};
use super::volume::stage::dress;
use super::{ResourceError, Result};
use crate::system::disk::At;

/// What a file or directory has beside its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attire {
    mode: u32,
    uid: u32,
    gid: u32,
    /// Time of the last change of its content.
    time: (i64, u32),
    /// Attributes and access lists, their values escaped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    xattrs: Vec<(String, String)>,
    /// Flags that `chattr` sets.
    #[serde(default)]
    flags: u32,
}

impl Attire {
    fn new(stat: &Stat, had: &Features) -> Self {
        Self {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            time: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or_default()),
            xattrs: had
                .xattrs
                .iter()
                .map(|(name, value)| (name.clone(), escaped(value)))
                .collect(),
            flags: had.flags,
        }
    }

    /// That of what is at a path, a file or a directory; a link is not followed.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let stat = lstat(path).at("look at", path)?;
        let (had, _) = features::of(path, path, &Shape::File)?;
        Ok(Self::new(&stat, &had))
    }

    /// Says that nothing keeps what has it, at this path, from being moved.
    ///
    /// # Errors
    /// A flag does.
    pub(super) fn refuse_locked(&self, path: &Path) -> Result<()> {
        if !features::is_locked(self.flags) {
            return Ok(());
        }
        let what = format!("{} may not be moved: it is immutable or append-only", path.display());
        Err(ResourceError::new(what).with_hint(format!(
            "`chattr -i -a {}`, then run the same command again",
            path.display()
        )))
    }

    /// Whether two are the same but for the time.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let own = |one: &Self| (one.mode, one.uid, one.gid, features::unlocked(one.flags));
        own(self) == own(other) && self.xattrs == other.xattrs
    }

    /// Puts it on an open file or directory.
    ///
    /// # Errors
    /// Something of it cannot be set, as for want of a privilege.
    pub(super) fn put_on(&self, file: &File) -> io::Result<()> {
        let plain = |(name, value): &(String, String)| Some((name.clone(), unescaped(value)?));
        let node = Node {
            path: Vec::new(),
            shape: Shape::File,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            size: 0,
            mtime: self.time,
            xattrs: self.xattrs.iter().filter_map(plain).collect(),
            flags: self.flags,
        };
        dress(file, &node)
    }

    /// Puts it on what is at a path; a link is not followed.
    ///
    /// # Errors
    /// As for [`Attire::put_on`].
    pub(super) fn put_on_path(&self, path: &Path) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let put = openat(CWD, path, flags, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|file| self.put_on(&File::from(file)));
        Ok(put.at("set the owner and mode of", path)?)
    }
}

/// A directory above a file, as it was when the file was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Above {
    /// Its path, escaped.
    path: String,
    attire: Attire,
}

impl Above {
    /// The directories above a path of which no part is a link, as far down from `below` as they are there; the outermost first.
    ///
    /// # Errors
    /// One cannot be looked at.
    pub(super) fn of(path: &Path, below: &Path) -> Result<Vec<Self>> {
        use std::os::unix::ffi::OsStrExt;
        let mut found = Vec::new();
        for directory in path.ancestors().skip(1).take_while(|above| above.starts_with(below)) {
            if std::fs::symlink_metadata(directory).is_ok_and(|found| found.is_dir() && found.nlink() > 0) {
                let attire = Attire::of(directory)?;
                let path = escaped(directory.as_os_str().as_bytes());
                found.push(Self { path, attire });
            }
        }
        found.reverse();
        Ok(found)
    }

    /// Makes those that are missing, as they were.
    ///
    /// # Errors
    /// One cannot be made, or something else stands in its place.
    pub(super) fn make_missing(all: &[Self]) -> Result<()> {
        use std::ffi::OsString;
        use std::os::unix::ffi::OsStringExt;
        for above in all {
            let Some(path) = unescaped(&above.path).map(OsString::from_vec) else {
                continue;
            };
            let path = Path::new(&path);
            match std::fs::create_dir(path) {
                Ok(()) => above.attire.put_on_path(path)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).at("create the directory", path)?,
            }
        }
        Ok(())
    }
}
