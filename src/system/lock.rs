//! The lock on a target: the kernel's own, so it dies with its holder and never has to be broken by hand.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::disk::{At, DiskError};
use guard_model::fact::Actor;

/// The lock, held as long as this lives.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

/// Why the lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("another guard is at work here: {owner}")]
    Held {
        /// What the holder wrote about itself.
        owner: String,
    },
    /// The lock file cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// How a lock in common is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// With all who hold it so.
    Shared,
    /// By one alone.
    Alone,
}

impl Lock {
    /// Takes the lock, or says who has it. Does not wait.
    ///
    /// # Errors
    /// Held by another process, or the file cannot be used.
    pub fn take(path: &Path, actor: &Actor, doing: &str, since: &str) -> Result<Self, LockError> {
        loop {
            // O_CLOEXEC, as always with std: a daemon that the deploy command leaves behind must not hold the lock.
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default())
                .open(path)
                .at("open the lock", path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let mut owner = String::new();
                    file.read_to_string(&mut owner).at("read the lock", path)?;
                    let owner = guard_model::text::sanitised(owner.trim());
                    return Err(LockError::Held {
                        owner: if owner.is_empty() {
                            "it has just begun".to_owned()
                        } else {
                            owner
                        },
                    });
                }
                Err(error) => {
                    return Err(DiskError {
                        verb: "lock",
                        path: path.to_owned(),
                        source: error.into(),
                    }
                    .into());
                }
            }
            // Somebody may have removed or replaced the file between open and lock: then this lock is on nothing.
            let ours = file.metadata().at("look at the lock", path)?;
            match std::fs::symlink_metadata(path) {
                Ok(there) if there.ino() == ours.ino() && there.dev() == ours.dev() => {}
                _ => continue,
            }
            let owner = format!(
                "`{doing}` since {since} by {} (pid {} on {})\n",
                actor.user, actor.pid, actor.host
            );
            file.set_len(0)
                .and_then(|()| file.seek(SeekFrom::Start(0)))
                .and_then(|_| file.write_all(owner.as_bytes()))
                .at("write the lock", path)?;
            return Ok(Self {
                file,
                path: path.to_owned(),
            });
        }
    }

    /// Takes a lock that users of this machine have in common. The file may belong
    /// to somebody else, so nothing in it is believed to be more than a text, and nothing is written into theirs.
    ///
    /// # Errors
    /// Held by another process; or the file cannot be used, as where its owner closed it to others.
    pub fn take_common(path: &Path, owner: &str, sharing: Sharing) -> Result<Common, LockError> {
        loop {
            let Some(file) = open_common(path)? else { continue };
            let operation = match sharing {
                Sharing::Shared => FlockOperation::NonBlockingLockShared,
                Sharing::Alone => FlockOperation::NonBlockingLockExclusive,
            };
            match flock(&file, operation) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let mut text = String::new();
                    // What is said there is for people; whoever may not be read is somebody all the same.
                    let _unreadable = Read::take(&file, 300).read_to_string(&mut text);
                    let owner = guard_model::text::sanitised(text.trim());
                    return Err(LockError::Held {
                        owner: if owner.is_empty() {
                            "another guard".to_owned()
                        } else {
                            owner
                        },
                    });
                }
                Err(error) => {
                    return Err(DiskError {
                        verb: "lock",
                        path: path.to_owned(),
                        source: error.into(),
                    }
                    .into());
                }
            }
            let ours = file.metadata().at("look at the lock", path)?;
            match std::fs::symlink_metadata(path) {
                Ok(there) if there.ino() == ours.ino() && there.dev() == ours.dev() => {}
                _ => continue,
            }
            let is_mine = ours.uid() == rustix::process::geteuid().as_raw() && ours.nlink() == 1;
            if is_mine && sharing == Sharing::Alone {
                // A lock without a word is a lock: a full file system does not open it.
                let mut file = &file;
                let _information = file.set_len(0).and_then(|()| file.write_all(owner.as_bytes()));
            }
            return Ok(Common {
                file,
                path: path.to_owned(),
                is_mine,
            });
        }
    }

    /// Whether somebody holds the lock now, and who.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn holder(path: &Path) -> Result<Option<String>, DiskError> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).at("open the lock", path),
        };
        if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
            return Ok(None);
        }
        let mut owner = String::new();
        file.read_to_string(&mut owner).at("read the lock", path)?;
        Ok(Some(guard_model::text::sanitised(owner.trim())))
    }

    /// Where the lock is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The owner line is information: an empty one says that nobody is there. The lock itself goes with the descriptor.
        let _information = self.file.set_len(0);
    }
}

/// A lock that users of this machine share, held as long as this lives.
#[derive(Debug)]
pub struct Common {
    file: File,
    path: PathBuf,
    is_mine: bool,
}

impl Drop for Common {
    fn drop(&mut self) {
        // Nobody else is there: the file is not needed. Whoever opened it meanwhile sees that it is not at its place.
        if self.is_mine && flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _litter = std::fs::remove_file(&self.path);
        }
    }
}

/// Opens the file of a common lock, made where it is not there; `None`: it came or went meanwhile.
fn open_common(path: &Path) -> Result<Option<File>, DiskError> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let open = |writes: bool| {
        OpenOptions::new()
            .read(true)
            .write(writes)
            .custom_flags(flags)
            .open(path)
    };
    // A kernel that protects shared directories refuses to open another's file where it might be made, even to root.
    let opened = match open(true) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => open(false),
        other => other,
    };
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let made = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o644)
                .custom_flags(flags)
                .open(path);
            match made {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(None),
                Err(error) => return Err(error).at("make the lock", path),
            }
        }
        Err(error) => return Err(error).at("open the lock", path),
    };
    if file.metadata().at("look at the lock", path)?.is_file() {
        return Ok(Some(file));
    }
    Err(DiskError {
        verb: "use as a lock",
        path: path.to_owned(),
        source: std::io::Error::other("it is not an ordinary file"),
    })
}
