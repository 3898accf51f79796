//! A tree whose directories are opened from its root, one in the other: what lies at a path in it, its time and its locks.

use std::io;

use rustix::fs::{AtFlags, FileType, Stat, mkdirat, utimensat};

use super::exchange_record::Time;
use super::stage::modified;
use guard_system::disk::Dir;

/// A tree whose directories are opened from its root.
pub(crate) struct Tree<'t> {
    root: &'t Dir,
    /// The directory that was opened last.
    open: (Vec<u8>, Dir),
}

impl<'t> Tree<'t> {
    pub(crate) fn at(root: &'t Dir) -> io::Result<Self> {
        let open = (Vec::new(), root.again()?);
        Ok(Self { root, open })
    }

    /// The directory at this path; `made`: those that are missing are made.
    pub(crate) fn directory(&mut self, path: &[u8], made: bool) -> io::Result<&Dir> {
        if self.open.0 != path {
            let directory = match self.root.dir(path) {
                Err(error) if made && error.kind() == io::ErrorKind::NotFound => {
                    let mut directory = self.root.again()?;
                    for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
                        directory = match directory.dir(part) {
                            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                                mkdirat(&directory, part, rustix::fs::Mode::RWXU)?;
                                directory.dir(part)?
                            }
                            other => other?,
                        };
                    }
                    directory
                }
                other => other?,
            };
            self.open = (path.to_owned(), directory);
        }
        Ok(&self.open.1)
    }

    /// The directory around a path, and the name in it.
    pub(crate) fn around<'p>(&mut self, path: &'p [u8], made: bool) -> io::Result<(&Dir, &'p [u8])> {
        let at = path.iter().rposition(|byte| *byte == b'/');
        let (above, name) = at.map_or((&b""[..], path), |at| {
            (
                path.get(..at).unwrap_or_default(),
                path.get(at + 1..).unwrap_or_default(),
            )
        });
        Ok((self.directory(above, made)?, name))
    }

    pub(crate) fn inode(&mut self, path: &[u8]) -> io::Result<Option<u64>> {
        Ok(self.look(path)?.map(|stat| stat.st_ino))
    }

    /// What is at this path: its inode number, the time of a directory, and its locks.
    pub(crate) fn seen(&mut self, path: &[u8]) -> io::Result<(Option<u64>, Option<Time>, u32)> {
        let Some(found) = self.look(path)? else {
            return Ok((None, None, 0));
        };
        let is_directory = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
        let (around, name) = self.around(path, false)?;
        Ok((
            Some(found.st_ino),
            is_directory.then(|| time_of(&found)),
            around.locks(name)?,
        ))
    }

    /// Takes away what keeps an entry from being moved, where it is there.
    pub(crate) fn unlock(&mut self, path: &[u8]) -> io::Result<()> {
        if self.look(path)?.is_none() {
            return Ok(());
        }
        let (around, name) = self.around(path, false)?;
        if around.locks(name)? == 0 {
            return Ok(());
        }
        around.set_locks(name, 0)
    }

    /// Locks what is at this path again, where it is still the one that was locked.
    pub(crate) fn lock(&mut self, path: &[u8], inode: Option<u64>, locks: u32) -> io::Result<()> {
        if locks == 0 || inode.is_none() || self.inode(path)? != inode {
            return Ok(());
        }
        let (around, name) = self.around(path, false)?;
        around.set_locks(name, locks)
    }

    /// Gives what is at this path its time again, where it is still the one that had it and another time by now.
    pub(crate) fn set_time(&mut self, path: &[u8], inode: Option<u64>, time: Option<Time>) -> io::Result<()> {
        let (Some(time), Some(now)) = (time, self.look(path)?) else {
            return Ok(());
        };
        if Some(now.st_ino) != inode || time_of(&now) == time {
            return Ok(());
        }
        let (around, name) = self.around(path, false)?;
        Ok(utimensat(around, name, &modified(time), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    pub(crate) fn look(&mut self, path: &[u8]) -> io::Result<Option<Stat>> {
        let looked = self.around(path, false).and_then(|(around, name)| around.look(name));
        match looked {
            Ok(stat) => Ok(stat),
            // A directory may have become a file or a link meanwhile: nothing lies below it.
            Err(error) if is_nothing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

pub(crate) fn time_of(stat: &Stat) -> Time {
    (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or_default())
}

pub(crate) fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
