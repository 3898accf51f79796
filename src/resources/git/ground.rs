//! The work tree through one open handle: what lies in it is found from there, and never through a link that somebody put in
//! its way.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fchmod, fchown, openat, openat2, readlinkat, renameat,
    statat, unlinkat,
};
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;

use crate::trees::attributes::{self, Attributes};
use guard_system::disk::At;
use guard_system::privilege::is_root;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// What tells one state of a file from another without a look at its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: i64,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    mtime: (i64, u64),
    ctime: (i64, u64),
}

impl Seen {
    #[expect(clippy::unnecessary_cast, reason = "the widths differ between architectures")]
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size as i64,
            mode: stat.st_mode as u32,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as u64),
            ctime: (stat.st_ctime as i64, stat.st_ctime_nsec as u64),
        }
    }

    pub(super) fn shape(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    /// The permission bits.
    pub(super) fn bits(&self) -> u32 {
        self.mode & 0o7777
    }
}

/// The directory of a path, and its last name.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (
            path.get(..at).unwrap_or_default(),
            path.get(at + 1..).unwrap_or_default(),
        ),
        None => (&[], path),
    }
}

/// All directories above a path, the outermost first.
pub(super) fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let cuts = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    cuts.filter_map(|(at, _)| path.get(..at))
}

/// Whether a path is one of these directories, or lies below one.
pub(super) fn is_below<'a>(path: &[u8], directories: impl IntoIterator<Item = &'a [u8]>) -> bool {
    directories.into_iter().any(|directory| {
        path.strip_prefix(directory)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    })
}

/// A path for people.
pub(super) fn shown(path: &[u8]) -> String {
    crate::names::escaped(path)
}

/// A directory that is held open.
#[derive(Debug)]
pub(super) struct Ground {
    handle: OwnedFd,
    place: PathBuf,
}

fn missing(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}

impl Ground {
    /// Opens a directory by its path, which is one without links.
    pub(super) fn open(place: &Path) -> io::Result<Self> {
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let handle = match openat2(CWD, place, DIRECTORY, Mode::empty(), resolve) {
            Err(Errno::NOSYS | Errno::PERM) => openat(CWD, place, DIRECTORY, Mode::empty())?,
            other => other?,
        };
        Ok(Self {
            handle,
            place: place.to_owned(),
        })
    }

    /// Where something in it is; for people.
    pub(super) fn at(&self, path: &[u8]) -> PathBuf {
        self.place.join(OsStr::from_bytes(path))
    }

    fn opened(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if path.is_empty() {
            return openat(&self.handle, ".", flags, Mode::empty());
        }
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match openat2(&self.handle, path, flags, Mode::empty(), resolve) {
            // A kernel before 5.6, or a filter of system calls that does not know it: step by step.
            Err(Errno::NOSYS | Errno::PERM) => {
                let mut handle = openat(&self.handle, ".", DIRECTORY, Mode::empty())?;
                let mut parts = path.split(|byte| *byte == b'/').peekable();
                while let Some(part) = parts.next() {
                    if matches!(part, b"" | b"." | b"..") {
                        return Err(Errno::XDEV);
                    }
                    let flags = if parts.peek().is_some() { DIRECTORY } else { flags };
                    handle = openat(&handle, part, flags, Mode::empty())?;
                }
                Ok(handle)
            }
            other => other,
        }
    }

    /// A directory in it; the empty path is itself.
    pub(super) fn directory(&self, path: &[u8]) -> io::Result<OwnedFd> {
        Ok(self.opened(path, OFlags::RDONLY | OFlags::DIRECTORY)?)
    }

    /// What is at this path, itself; `None` where nothing is, also where a part of the path is a link or no directory.
    pub(super) fn look(&self, path: &[u8]) -> io::Result<Option<Seen>> {
        let (around, name) = split(path);
        let around = match self.opened(around, OFlags::RDONLY | OFlags::DIRECTORY) {
            Err(error) if missing(error) => return Ok(None),
            other => other?,
        };
        look_in(&around, name)
    }

    /// A file in it, for reading; never waits for a pipe.
    pub(super) fn file(&self, path: &[u8]) -> io::Result<File> {
        Ok(File::from(self.opened(path, OFlags::RDONLY | OFlags::NONBLOCK)?))
    }

    /// The target of a link in it.
    pub(super) fn target(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        let (around, name) = split(path);
        Ok(readlinkat(self.directory(around)?, name, Vec::new())?.into_bytes())
    }

    /// The names in a directory, sorted.
    pub(super) fn names(&self, path: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        names_in(&self.directory(path)?)
    }

    /// Makes a directory in it.
    pub(super) fn make(&self, path: &[u8], mode: u32) -> io::Result<()> {
        let (around, name) = split(path);
        Ok(rustix::fs::mkdirat(
            self.directory(around)?,
            name,
            Mode::from(mode & 0o7777),
        )?)
    }

    /// Removes a file or link.
    pub(super) fn unlink(&self, path: &[u8]) -> io::Result<()> {
        let (around, name) = split(path);
        Ok(unlinkat(self.directory(around)?, name, AtFlags::empty())?)
    }

    /// Removes a directory where it is empty; whether it is gone.
    pub(super) fn remove_empty(&self, path: &[u8]) -> io::Result<bool> {
        let (around, name) = split(path);
        let around = match self.opened(around, OFlags::RDONLY | OFlags::DIRECTORY) {
            Err(error) if missing(error) => return Ok(true),
            other => other?,
        };
        match unlinkat(around, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR | Errno::BUSY) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Moves what is at a path here to a path there; what is at that path is replaced where it is no directory.
    pub(super) fn rename(&self, path: &[u8], there: &Self, to: &[u8]) -> io::Result<()> {
        let ((around, name), (around_to, name_to)) = (split(path), split(to));
        let (around, around_to) = (self.directory(around)?, there.directory(around_to)?);
        Ok(renameat(around, name, around_to, name_to)?)
    }

    /// Makes a link.
    pub(super) fn link(&self, path: &[u8], target: &[u8]) -> io::Result<()> {
        let (around, name) = split(path);
        Ok(rustix::fs::symlinkat(target, self.directory(around)?, name)?)
    }

    /// A new file, for writing.
    pub(super) fn new_file(&self, path: &[u8]) -> io::Result<File> {
        let (around, name) = split(path);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(openat(
            self.directory(around)?,
            name,
            flags,
            Mode::from(0o600),
        )?))
    }

    /// Gives an entry its mode and, where that is allowed, its owner. A link has no mode of its own.
    pub(super) fn dress(&self, path: &[u8], mode: u32, owner: (u32, u32)) -> io::Result<()> {
        let Some(seen) = self.look(path)? else { return Ok(()) };
        let (around, name) = split(path);
        let is_link = seen.shape() == FileType::Symlink;
        if (seen.uid, seen.gid) != owner {
            let around = self.directory(around)?;
            let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
            let given = rustix::fs::chownat(&around, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW);
            match given {
                Ok(()) => {}
                // Only root gives files away; a group of one's own is still given.
                Err(Errno::PERM) => {
                    let _of_another = rustix::fs::chownat(&around, name, None, Some(gid), AtFlags::SYMLINK_NOFOLLOW);
                }
                Err(error) => return Err(error.into()),
            }
        }
        // A change of the owner takes special bits away, so the mode comes after it.
        if !is_link && self.look(path)?.is_some_and(|seen| seen.bits() != mode) {
            let flags = if seen.shape() == FileType::Directory {
                OFlags::RDONLY | OFlags::DIRECTORY
            } else {
                OFlags::RDONLY | OFlags::NONBLOCK
            };
            match self.opened(path, flags) {
                Ok(file) => fchmod(&file, Mode::from(mode))?,
                // One that its own owner must not read.
                Err(Errno::ACCESS) => {
                    rustix::fs::chmodat(self.directory(around)?, name, Mode::from(mode), AtFlags::empty())?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The attributes and access lists of what is at this path, a link's own, as far as this user may set them; none where
    /// nothing is.
    ///
    /// # Errors
    /// They cannot be read.
    pub(super) fn attributes(&self, path: &[u8]) -> crate::error::Result<Attributes> {
        let (around, name) = split(path);
        let around = match self.opened(around, OFlags::PATH | OFlags::DIRECTORY) {
            Err(error) if missing(error) => return Ok(Attributes::new()),
            other => other.map_err(io::Error::from).at("open", &self.at(around))?,
        };
        // By the open directory: no link that somebody plants leads elsewhere.
        let through = Path::new("/proc/self/fd")
            .join(around.as_raw_fd().to_string())
            .join(OsStr::from_bytes(name));
        let mut found = attributes::attributes_at(&through, &self.at(path))?;
        found.retain(|(name, _)| is_root() || is_of_owner(name));
        Ok(found)
    }

    /// Gives a file or directory these attributes and access lists, and no others.
    ///
    /// # Errors
    /// One cannot be set.
    pub(super) fn set_attributes(&self, path: &[u8], wanted: &Attributes) -> io::Result<()> {
        attributes::set_attributes(&self.file(path)?, wanted)
    }

    /// Puts all that was written on its file system on disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.handle)?)
    }

    /// Makes the entries of the directory itself durable.
    pub(super) fn sync_entries(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.handle)?)
    }
}

/// Whether a file's owner may set an attribute: one of his own, or an access list. Capabilities and labels are root's to give.
pub(super) fn is_of_owner(name: &str) -> bool {
    name.starts_with("user.") || name.starts_with("system.")
}

/// Gives an open file its owner, where that is allowed, and its mode.
pub(super) fn dress_file(file: &File, mode: u32, owner: (u32, u32)) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
    match fchown(file, Some(uid), Some(gid)) {
        Ok(()) => {}
        Err(Errno::PERM) => {
            let _of_another = fchown(file, None, Some(gid));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(fchmod(file, Mode::from(mode & 0o7777))?)
}

/// What is right in a directory under this name.
pub(super) fn look_in(around: impl AsFd, name: &[u8]) -> io::Result<Option<Seen>> {
    match statat(around, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(Seen::of(&stat))),
        Err(error) if missing(error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn names_in(directory: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// A path as bytes.
pub(super) fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

/// Bytes as a path.
pub(super) fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()))
}
