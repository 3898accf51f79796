//! What a file or directory has beside its content: owner, mode, time, attributes, access lists and flags; noted and put on.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, Stat, lstat, openat};
use serde::{Deserialize, Serialize};

use super::attributes::{self, Features};
use super::node::{Node, Shape};
use super::stage::dress;
use crate::error::{ResourceError, Result};
use crate::names::{escaped, unescaped};
use guard_model::text::typed;
use guard_system::disk::{At, Digest};

/// What a file or directory has beside its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metadata {
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

impl Metadata {
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

    /// That of an entry of a tree.
    pub(crate) fn of_node(node: &Node) -> Self {
        Self {
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            time: node.mtime,
            xattrs: node
                .xattrs
                .iter()
                .map(|(name, value)| (name.clone(), escaped(value)))
                .collect(),
            flags: node.flags,
        }
    }

    /// The same as an entry of this shape, without a path.
    pub(crate) fn node(&self, shape: Shape) -> Node {
        let plain = |(name, value): &(String, String)| Some((name.clone(), unescaped(value)?));
        Node {
            path: Vec::new(),
            shape,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            size: 0,
            mtime: self.time,
            xattrs: self.xattrs.iter().filter_map(plain).collect(),
            flags: self.flags,
        }
    }

    /// Which of immutable and append-only it is to be, where this process can make it so.
    pub(crate) fn locks(&self) -> u32 {
        attributes::locks(attributes::settable(self.flags))
    }

    /// That of what is at a path, a file or a directory; a link is not followed.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let stat = lstat(path).at("look at", path)?;
        let (had, _) = attributes::of(path, path, &Shape::File)?;
        Ok(Self::new(&stat, &had))
    }

    /// That of an open file or directory; `path` is named where it cannot be looked at.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub(crate) fn of_open(file: &File, path: &Path) -> Result<Self> {
        let stat = rustix::fs::fstat(file).at("look at", path)?;
        let (had, _) = attributes::of_open(file, path)?;
        Ok(Self::new(&stat, &had))
    }

    /// Says that nothing keeps what has it, at this path, from being moved.
    ///
    /// # Errors
    /// A flag does.
    pub(crate) fn refuse_locked(&self, path: &Path) -> Result<()> {
        if !attributes::is_locked(self.flags) {
            return Ok(());
        }
        let what = format!("{} may not be moved: it is immutable or append-only", path.display());
        Err(ResourceError::new(what).with_hint(format!(
            "`chattr -i -a {}`, then run the same command again",
            typed(&path.display().to_string())
        )))
    }

    /// As a word for a fingerprint: mode, owner and, where there are any, a digest of attributes and flags.
    pub(crate) fn word(&self) -> String {
        let own = format!("{:04o} {}:{}", self.mode, self.uid, self.gid);
        let flags = attributes::unlocked(self.flags);
        if self.xattrs.is_empty() && flags == 0 {
            return own;
        }
        let mut digest = Digest::default();
        for (name, value) in &self.xattrs {
            digest.update(format!("{name}={value}\n").as_bytes());
        }
        digest.update(&flags.to_le_bytes());
        format!("{own} with {}", digest.hex())
    }

    /// Tries that a new file beside the one at this path may be given what that has, and that nothing keeps it in its place.
    ///
    /// # Errors
    /// It may not be.
    pub(crate) fn try_beside(&self, live: &Path) -> Result<()> {
        let around = live.parent().unwrap_or(live);
        let scratch = tempfile::tempfile_in(around).map_err(|error| {
            ResourceError::because(format!("no file can be made in {}", around.display()), error)
                .with_hint("let guard's user write there: the way back puts a new file beside the old one")
        })?;
        self.put_on(&scratch).map_err(|error| {
            ResourceError::because(
                format!("a new file cannot be given the owner and mode of {}", live.display()),
                error,
            )
            .with_hint("run guard as root, or as the user that the file belongs to")
        })?;
        self.refuse_locked(live)?;
        Self::of(around)?.refuse_locked(around)
    }

    /// Whether two are the same but for the time.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let own = |one: &Self| (one.mode, one.uid, one.gid, attributes::unlocked(one.flags));
        own(self) == own(other) && self.xattrs == other.xattrs
    }

    /// Puts it on an open file or directory.
    ///
    /// # Errors
    /// Something of it cannot be set, as for want of a privilege.
    pub(crate) fn put_on(&self, file: &File) -> io::Result<()> {
        dress(file, &self.node(Shape::File))
    }

    /// Puts it on what is at a path; a link is not followed.
    ///
    /// # Errors
    /// As for [`Metadata::put_on`].
    pub(crate) fn put_on_path(&self, path: &Path) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let put = openat(CWD, path, flags, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|file| self.put_on(&File::from(file)));
        Ok(put.at("set the owner and mode of", path)?)
    }
}

/// A directory above a file, as it was when the file was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Above {
    /// Its path, escaped.
    path: String,
    #[serde(alias = "attire")]
    metadata: Metadata,
}

impl Above {
    /// The directories above a path of which no part is a link, as far down from `below` as they are there; the outermost first.
    ///
    /// # Errors
    /// One cannot be looked at.
    pub(crate) fn of(path: &Path, below: &Path) -> Result<Vec<Self>> {
        use std::os::unix::ffi::OsStrExt;
        let mut found = Vec::new();
        for directory in path.ancestors().skip(1).take_while(|above| above.starts_with(below)) {
            if std::fs::symlink_metadata(directory).is_ok_and(|found| found.is_dir() && found.nlink() > 0) {
                let metadata = Metadata::of(directory)?;
                let path = escaped(directory.as_os_str().as_bytes());
                found.push(Self { path, metadata });
            }
        }
        found.reverse();
        Ok(found)
    }

    /// Makes those that are missing, as they were.
    ///
    /// # Errors
    /// One cannot be made, or something else stands in its place.
    pub(crate) fn make_missing(all: &[Self]) -> Result<()> {
        use std::ffi::OsString;
        use std::os::unix::ffi::OsStringExt;
        for above in all {
            let Some(path) = unescaped(&above.path).map(OsString::from_vec) else {
                continue;
            };
            let path = Path::new(&path);
            match std::fs::create_dir(path) {
                Ok(()) => above.metadata.put_on_path(path)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).at("create the directory", path)?,
            }
        }
        Ok(())
    }
}
