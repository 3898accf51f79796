//! Directories as open handles: what lies in one is found from there, never through a link, never on another file system.
//!
//! A path is a sentence that somebody else may change between two words. Where others may write, guard holds a directory
//! open, and names only what lies in it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, IFlags, Mode, OFlags, RenameFlags, ResolveFlags, Stat, StatxAttributes, StatxFlags, fchmod,
    fstat, fsync, ioctl_getflags, ioctl_setflags, mkdirat, openat, openat2, renameat_with, statat, statx, unlinkat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// How deep a tree is gone into by handles that stay open; what lies deeper is moved up first.
const DEEP: usize = 64;
/// So often is looked for what was moved up: a tree of 64,000 levels.
const PASSES: usize = 1000;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Which object of a file system is meant, whatever its name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// The number of its file system's device.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

impl Object {
    /// The one that the file system tells of.
    #[must_use]
    pub fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
        }
    }
}

/// A directory that is held open.
#[derive(Debug)]
pub struct Dir {
    handle: OwnedFd,
    /// Where it was when it was opened; for people.
    shown: PathBuf,
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

impl Dir {
    /// Opens the directory at a path of which no part is a link.
    ///
    /// # Errors
    /// It is not there, a part of the path is a link (`ELOOP`), or it is no directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let handle = match openat2(CWD, path, DIRECTORY, Mode::empty(), resolve) {
            Err(Errno::NOSYS | Errno::PERM) => {
                let start = if path.is_absolute() { "/" } else { "." };
                let mut handle = openat(CWD, start, DIRECTORY, Mode::empty())?;
                for part in parts(path.as_os_str().as_bytes()) {
                    handle = openat(&handle, part, DIRECTORY, Mode::empty())?;
                }
                handle
            }
            other => other?,
        };
        Ok(Self {
            handle,
            shown: path.to_owned(),
        })
    }

    /// Another handle of the same directory.
    ///
    /// # Errors
    /// The process holds as many as it may.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self {
            handle: self.handle.try_clone()?,
            shown: self.shown.clone(),
        })
    }

    /// Where it was when it was opened; for people.
    #[must_use]
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// Where something in it is; for people.
    #[must_use]
    pub fn shown_at(&self, path: &[u8]) -> PathBuf {
        if path.is_empty() {
            self.shown.clone()
        } else {
            self.shown.join(OsStr::from_bytes(path))
        }
    }

    /// A path by which the kernel comes to something that lies right in it, through the handle; for calls that take nothing
    /// but paths. The last component must not be followed.
    #[must_use]
    pub fn held(&self, name: &[u8]) -> PathBuf {
        let held = PathBuf::from(format!("/proc/self/fd/{}", self.handle.as_raw_fd()));
        held.join(OsStr::from_bytes(name))
    }

    /// Where it is now, as the kernel tells.
    ///
    /// # Errors
    /// It was removed, or there is no `/proc`.
    pub fn now_at(&self) -> io::Result<PathBuf> {
        std::fs::read_link(format!("/proc/self/fd/{}", self.handle.as_raw_fd()))
    }

    fn opened(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if path.is_empty() {
            return Ok(openat(&self.handle, ".", flags, Mode::empty())?);
        }
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        match openat2(&self.handle, path, flags, Mode::empty(), resolve) {
            // A kernel before 5.6, or a filter of system calls that does not know it.
            Err(Errno::NOSYS | Errno::PERM) => self.stepped(path, flags),
            other => Ok(other?),
        }
    }

    /// The same step by step.
    fn stepped(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let mut handle = self.handle.try_clone()?;
        let device = fstat(&handle)?.st_dev;
        let mut parts = parts(path).peekable();
        while let Some(part) = parts.next() {
            if matches!(part, b"." | b"..") {
                return Err(Errno::XDEV.into());
            }
            let flags = if parts.peek().is_some() { DIRECTORY } else { flags };
            let next = openat(&handle, part, flags, Mode::empty())?;
            if fstat(&next)?.st_dev != device || is_mount(&handle, part)? {
                return Err(Errno::XDEV.into());
            }
            handle = next;
        }
        Ok(handle)
    }

    /// Opens a directory below this one; the empty path is this one.
    ///
    /// # Errors
    /// It is not there, a part of the path is a link (`ELOOP`), leads to another file system (`EXDEV`), or is no directory.
    pub fn dir(&self, path: &[u8]) -> io::Result<Self> {
        Ok(Self {
            handle: self.opened(path, DIRECTORY)?,
            shown: self.shown_at(path),
        })
    }

    /// Opens a file below this one for reading, and never waits for a pipe.
    ///
    /// # Errors
    /// As for [`Dir::dir`].
    pub fn file(&self, path: &[u8]) -> io::Result<File> {
        Ok(File::from(self.opened(path, OFlags::RDONLY | OFlags::NONBLOCK)?))
    }

    /// What the file system says of this directory.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn stat(&self) -> io::Result<Stat> {
        Ok(fstat(&self.handle)?)
    }

    /// Which directory it is.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn object(&self) -> io::Result<Object> {
        Ok(Object::of(&self.stat()?))
    }

    /// What the file system says of an entry itself, and not of what a link leads to; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be asked for another reason than its absence.
    pub fn look(&self, name: &[u8]) -> io::Result<Option<Stat>> {
        match statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// When an entry was made, in nanoseconds since 1970; where its file system does not tell that, when it was last changed in
    /// any way. `None`: it is not there.
    ///
    /// # Errors
    /// It cannot be asked for another reason than its absence.
    pub fn born(&self, name: &[u8]) -> io::Result<Option<i64>> {
        let wanted = StatxFlags::BTIME | StatxFlags::CTIME;
        let told = match statx(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW, wanted) {
            Ok(told) => told,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let has_birth = told.stx_mask & StatxFlags::BTIME.bits() != 0 && told.stx_btime.tv_sec > 0;
        let at = if has_birth { told.stx_btime } else { told.stx_ctime };
        Ok(Some(
            at.tv_sec
                .saturating_mul(1_000_000_000)
                .saturating_add(at.tv_nsec.into()),
        ))
    }

    /// Whether something is mounted at this name.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn is_mount(&self, name: &[u8]) -> io::Result<bool> {
        is_mount(&self.handle, name)
    }

    /// Which of immutable and append-only an entry is, as `FS_IOC_GETFLAGS` numbers them; a link is not followed, and what is
    /// not there is neither.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn locks(&self, name: &[u8]) -> io::Result<u32> {
        let told = match statx(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty()) {
            Ok(told) => told.stx_attributes,
            Err(Errno::NOENT | Errno::NOSYS) => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let pairs = [
            (StatxAttributes::IMMUTABLE, IFlags::IMMUTABLE),
            (StatxAttributes::APPEND, IFlags::APPEND),
        ];
        let found = pairs.into_iter().filter(|(attribute, _)| told.contains(*attribute));
        Ok(found.fold(IFlags::empty(), |locks, (_, lock)| locks | lock).bits())
    }

    /// Makes an entry immutable or append-only, or neither, and leaves its other flags.
    ///
    /// # Errors
    /// It cannot be opened, or the flags cannot be set.
    pub fn set_locks(&self, name: &[u8], locks: u32) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        set_locks(openat(&self.handle, name, flags, Mode::empty())?, locks)
    }

    /// The same of the directory itself.
    ///
    /// # Errors
    /// The flags cannot be set.
    pub fn set_own_locks(&self, locks: u32) -> io::Result<()> {
        set_locks(&self.handle, locks)
    }

    /// The number of the mount that it lies on; `None` where the kernel does not tell.
    #[must_use]
    pub fn mount(&self) -> Option<u64> {
        let told = statx(&self.handle, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
        (told.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(told.stx_mnt_id)
    }

    /// The directory that holds a path below this one, and the last name of the path.
    ///
    /// # Errors
    /// As for [`Dir::dir`].
    pub fn around<'p>(&self, path: &'p [u8]) -> io::Result<(Self, &'p [u8])> {
        let (above, name) = split(path);
        Ok((self.dir(above)?, name))
    }

    /// The names in it, sorted.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        // Read through a handle of its own: where this one stands in the directory is nobody's matter.
        for entry in rustix::fs::Dir::new(openat(&self.handle, ".", DIRECTORY, Mode::empty())?)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(OsString::from_vec(name.to_vec()));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Makes a directory (0700) that must not be there yet, and opens it.
    ///
    /// # Errors
    /// It is there, or cannot be made.
    pub fn make(&self, name: &[u8]) -> io::Result<Self> {
        mkdirat(&self.handle, name, Mode::RWXU)?;
        let made = self.dir(name)?;
        // The umask, or an access list of the directory around, may have changed it.
        fchmod(&made.handle, Mode::RWXU)?;
        Ok(made)
    }

    /// Reads a file that lies right in it; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read, or is no file.
    pub fn read(&self, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut file = match self.file(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no file"));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Writes a file (0600) right into it, whole or not at all, durably.
    ///
    /// # Errors
    /// It cannot be written; what was there before is still there then.
    pub fn write_whole(&self, name: &[u8], bytes: &[u8]) -> io::Result<()> {
        use std::io::Write;
        let beside = [name, b".new"].concat();
        match unlinkat(&self.handle, beside.as_slice(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.handle, beside.as_slice(), flags, Mode::from(0o600))?);
        file.write_all(bytes)?;
        file.sync_all()?;
        rustix::fs::renameat(&self.handle, beside.as_slice(), &self.handle, name)?;
        self.sync()
    }

    /// Makes its entries durable.
    ///
    /// # Errors
    /// It cannot be synced.
    pub fn sync(&self) -> io::Result<()> {
        Ok(fsync(&self.handle)?)
    }

    /// Removes an empty directory in it; whether there was one.
    ///
    /// # Errors
    /// It is not empty, is no directory, or cannot be removed.
    pub fn remove_empty(&self, name: &[u8]) -> io::Result<bool> {
        match unlinkat(&self.handle, name, AtFlags::REMOVEDIR) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Bytes that what lies in it takes on disk, without what lies on another file system.
    ///
    /// # Errors
    /// Something cannot be looked at.
    pub fn weight(&self) -> io::Result<u64> {
        let own = self.stat()?;
        // In units of 512 bytes, whatever the blocks of the file system are.
        let mut sum = blocks(&own);
        let mut left = vec![Vec::new()];
        while let Some(path) = left.pop() {
            let dir = match self.dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound || is_elsewhere(&error) => continue,
                dir => dir?,
            };
            for name in dir.names()? {
                let name = name.as_bytes();
                let Some(stat) = dir.look(name)?.filter(|stat| stat.st_dev == own.st_dev) else {
                    continue;
                };
                sum += blocks(&stat);
                if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                    let below = if path.is_empty() {
                        name.to_vec()
                    } else {
                        [path.as_slice(), b"/", name].concat()
                    };
                    left.push(below);
                }
            }
        }
        Ok(sum * 512)
    }

    /// Removes what is in it. What lies on another file system, or has one mounted in it, stays and is told by its path; no
    /// link is followed.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn empty(&self) -> io::Result<Vec<PathBuf>> {
        let device = self.stat()?.st_dev;
        // What was moved up lies here now, under a name that was not there before.
        for _ in 0..PASSES {
            let mut kept = Vec::new();
            if !self.empty_to(self, device, 0, &mut kept)? {
                return Ok(kept);
            }
        }
        Err(io::Error::other("somebody goes on to make directories in it"))
    }

    /// Removes what is in this directory, which is so deep below `top`. Whether something was moved up instead.
    fn empty_to(&self, top: &Self, device: u64, depth: usize, kept: &mut Vec<PathBuf>) -> io::Result<bool> {
        let mut moved = false;
        // What was immutable or append-only once is so aside, too.
        self.set_own_locks(0)?;
        for name in self.names()? {
            let name = name.as_bytes();
            let Some(stat) = self.look(name)? else { continue };
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                let unlinked = match unlinkat(&self.handle, name, AtFlags::empty()) {
                    Err(Errno::PERM) if self.locks(name)? != 0 => {
                        self.set_locks(name, 0)?;
                        unlinkat(&self.handle, name, AtFlags::empty())
                    }
                    other => other,
                };
                match unlinked {
                    Ok(()) | Err(Errno::NOENT) => {}
                    // A mounted file.
                    Err(Errno::BUSY) => kept.push(self.shown_at(name)),
                    Err(error) => return Err(error.into()),
                }
                continue;
            }
            if stat.st_dev != device {
                kept.push(self.shown_at(name));
                continue;
            }
            if depth >= DEEP {
                let mut place = format!("deep-{:x}", stat.st_ino);
                while top.look(place.as_bytes())?.is_some() {
                    place.push('_');
                }
                renameat_with(&self.handle, name, &top.handle, place.as_str(), RenameFlags::NOREPLACE)?;
                moved = true;
                continue;
            }
            let before = kept.len();
            match self.dir(name) {
                Ok(below) => moved |= below.empty_to(top, device, depth + 1, kept)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                // Something is mounted there, or it is no directory any more.
                Err(error) if is_elsewhere(&error) => {
                    kept.push(self.shown_at(name));
                    continue;
                }
                Err(error) => return Err(error),
            }
            if kept.len() == before {
                match unlinkat(&self.handle, name, AtFlags::REMOVEDIR) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(Errno::BUSY) => kept.push(self.shown_at(name)),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(moved)
    }
}

fn set_locks(file: impl AsFd, locks: u32) -> io::Result<()> {
    let all = IFlags::IMMUTABLE | IFlags::APPEND;
    let wanted = IFlags::from_bits_retain(locks) & all;
    let now = match ioctl_getflags(&file) {
        Ok(now) => now,
        // A file system without flags.
        Err(_) if wanted.is_empty() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if now & all == wanted {
        return Ok(());
    }
    Ok(ioctl_setflags(&file, (now - all) | wanted)?)
}

fn blocks(stat: &Stat) -> u64 {
    u64::try_from(stat.st_blocks).unwrap_or_default()
}

/// Whether a step was refused because it leads to another file system.
#[must_use]
pub fn is_elsewhere(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::XDEV.raw_os_error())
}

fn is_mount(around: impl AsFd, name: &[u8]) -> io::Result<bool> {
    let told = statx(around, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty());
    match told {
        Ok(told) => {
            // Kernels before 5.8 do not tell; there only the device does.
            Ok(told.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
                && told.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
        }
        Err(Errno::NOENT | Errno::NOSYS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The directory of a path and its last name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (
            path.get(..at).unwrap_or_default(),
            path.get(at + 1..).unwrap_or_default(),
        ),
        None => (b"", path),
    }
}

fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
}
