//! Builds a tree from an archive in a fresh directory: through open directories, never through a link, nothing overwritten
//! that was not made here.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, chownat, fchmod, fchown, fstat,
    futimens, ioctl_ficlone, linkat, mkdirat, mknodat, openat, symlinkat, syncfs, utimensat,
};

use super::attributes;
use super::node::{Node, Shape};
use guard_system::disk::Dir;

/// A tree being built.
pub(crate) struct Stage {
    root: OwnedFd,
    /// The directory that was opened last: entries come in order, so it serves most of them.
    open: (Vec<u8>, OwnedFd),
    /// Directories get their owner, mode and time last, when nothing is made in them any more.
    directories: Vec<Node>,
    /// What is immutable or append-only once everything else is done, and which of it.
    locked: Vec<(Vec<u8>, u32)>,
}

/// A file that is taken to hold the same.
pub(crate) struct Same<'s> {
    pub(crate) file: &'s File,
    /// Whether a file does hold what it is to hold, which reads it.
    pub(crate) holds: &'s dyn Fn(&File) -> io::Result<bool>,
}

impl Same<'_> {
    /// Gives a file the same blocks, and reads them where they will be live; else writes the data.
    fn fill(&self, file: &mut File, data: &mut dyn Read) -> io::Result<()> {
        if ioctl_ficlone(&*file, self.file).is_ok() && (self.holds)(file)? {
            return Ok(());
        }
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        fill(file, data)
    }
}

fn directory_at(parent: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}

impl Stage {
    /// A tree in this directory, which is empty and private.
    pub(crate) fn new(root: &Dir) -> io::Result<Self> {
        let root = root.as_fd().try_clone_to_owned()?;
        // What is made in it must not inherit the access list of the directory that it stands in.
        attributes::set_attributes(&root, &Vec::new())?;
        let open = (Vec::new(), root.try_clone()?);
        Ok(Self {
            root,
            open,
            directories: Vec::new(),
            locked: Vec::new(),
        })
    }

    /// Locks this entry, which is made by somebody else, with the others at the end.
    pub(crate) fn note(&mut self, node: &Node) {
        if attributes::is_locked(node.flags) && attributes::may_lock() && !node.path.is_empty() {
            self.locked.push((node.path.clone(), attributes::locks(node.flags)));
        }
    }

    /// Opens the directory that holds this path, and returns the last component.
    fn parent<'n>(&mut self, path: &'n [u8]) -> io::Result<&'n [u8]> {
        let (above, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (
                path.get(..at).unwrap_or_default(),
                path.get(at + 1..).unwrap_or_default(),
            ),
            None => (&b""[..], path),
        };
        if above != self.open.0 {
            let mut directory = self.root.try_clone()?;
            for part in above.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
                directory = directory_at(&directory, part)?;
            }
            self.open = (above.to_owned(), directory);
        }
        Ok(name)
    }

    /// Makes an entry. One that was made before under the same path is written anew, its other names with it.
    pub(crate) fn make(&mut self, node: Node, data: &mut dyn Read) -> io::Result<()> {
        self.make_of(node, None, data)
    }

    /// The same; a file shares the blocks of this one, where there is one, the file system can, and it holds what it is to hold:
    /// then `data` is not read.
    pub(crate) fn make_of(&mut self, node: Node, same: Option<Same<'_>>, data: &mut dyn Read) -> io::Result<()> {
        self.note(&node);
        let name = self.parent(&node.path)?;
        let directory = &self.open.1;
        match &node.shape {
            Shape::Directory => {
                if !node.path.is_empty() {
                    mkdirat(directory, name, Mode::RWXU)?;
                }
                self.directories.push(node);
                return Ok(());
            }
            Shape::File => {
                let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let fresh = openat(
                    directory,
                    name,
                    flags | OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
                    Mode::from(0o600),
                );
                let (file, same) = match fresh {
                    Ok(file) => (file, same),
                    Err(rustix::io::Errno::EXIST) => {
                        let over = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::TRUNC;
                        let file = openat(directory, name, flags | over, Mode::empty())?;
                        if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
                            return Err(io::Error::new(
                                io::ErrorKind::InvalidData,
                                "a file takes another entry's place",
                            ));
                        }
                        (file, None)
                    }
                    Err(error) => return Err(error.into()),
                };
                let mut file = File::from(file);
                // Whether a file is written in place can be said only while it is empty.
                attributes::set_flags(&file, attributes::unlocked(node.flags))?;
                match same {
                    Some(same) => same.fill(&mut file, data)?,
                    None => fill(&mut file, data)?,
                }
                return dress(&file, &node);
            }
            Shape::Hardlink(target) => {
                let target = target.clone();
                let place = directory.try_clone()?;
                let first = self.parent(&target)?;
                linkat(&self.open.1, first, &place, name, AtFlags::empty())?;
                return Ok(());
            }
            Shape::Symlink(target) => symlinkat(target.as_slice(), directory, name)?,
            Shape::Fifo => mknodat(directory, name, FileType::Fifo, Mode::from(node.mode), 0)?,
        }
        let (owner, group) = ids(&node);
        chownat(directory, name, owner, group, AtFlags::SYMLINK_NOFOLLOW)?;
        if node.shape == Shape::Fifo {
            // A pipe that was just made here, in a directory nobody else can enter.
            rustix::fs::chmodat(directory, name, Mode::from(node.mode), AtFlags::empty())?;
        }
        if !node.xattrs.is_empty() {
            let by_handle = format!("/proc/self/fd/{}", directory.as_raw_fd());
            attributes::add_attributes(&Path::new(&by_handle).join(OsStr::from_bytes(name)), &node.xattrs)?;
        }
        Ok(utimensat(directory, name, &times(&node), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Makes a further name of a file that lies elsewhere on the same file system.
    pub(crate) fn link(&mut self, from: &Dir, file: &[u8], path: &[u8]) -> io::Result<()> {
        let name = self.parent(path)?;
        Ok(linkat(from, file, &self.open.1, name, AtFlags::empty())?)
    }

    /// Gives the directories their owners, modes and times, and makes the whole durable. Returns the root's own entry.
    pub(crate) fn finish(mut self) -> io::Result<Node> {
        let mut own = None;
        while let Some(node) = self.directories.pop() {
            if node.path.is_empty() {
                own = Some(node);
                continue;
            }
            let name = self.parent(&node.path)?;
            let directory = directory_at(&self.open.1, name)?;
            dress(&File::from(directory), &node)?;
        }
        for (path, locks) in std::mem::take(&mut self.locked) {
            let name = self.parent(&path)?;
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let entry = openat(&self.open.1, name, flags, Mode::empty())?;
            let now = attributes::flags_of(&entry);
            attributes::set_flags(&File::from(entry), attributes::unlocked(now) | locks)?;
        }
        syncfs(&self.root)?;
        own.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "the archive has no entry for the volume itself",
            )
        })
    }
}

fn ids(node: &Node) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(node.uid)), Some(Gid::from_raw(node.gid)))
}

fn times(node: &Node) -> Timestamps {
    modified(node.mtime)
}

/// This time of the last modification, seconds and nanoseconds; that of the last access stays.
pub(crate) fn modified((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds.into(),
        },
    }
}

/// Sets owner, attributes, mode, time and flags: in this order, since a change of owner takes setuid bits and capabilities
/// away, the mode lies over an access list, and a flag may forbid everything else. Attributes that the entry does not have are
/// taken away.
pub(crate) fn dress(file: &File, node: &Node) -> io::Result<()> {
    let (owner, group) = ids(node);
    fchown(file, owner, group)?;
    attributes::set_attributes(file, &node.xattrs)?;
    fchmod(file, Mode::from(node.mode))?;
    futimens(file, &times(node))?;
    attributes::set_flags(file, attributes::unlocked(node.flags))
}

/// Writes data, leaving a hole where a whole block is zero.
fn fill(file: &mut File, data: &mut dyn Read) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let (mut length, mut ends_in_hole) = (0_u64, false);
    loop {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match data.read(rest) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let block = buffer.get(..filled).unwrap_or_default();
        if block.is_empty() {
            // A file system does much for a truncation, also for one that changes nothing.
            return if ends_in_hole { file.set_len(length) } else { Ok(()) };
        }
        ends_in_hole = block.iter().all(|byte| *byte == 0);
        if ends_in_hole {
            file.seek(SeekFrom::Current(i64::try_from(filled).unwrap_or_default()))?;
        } else {
            file.write_all(block)?;
        }
        length += filled as u64;
    }
}
