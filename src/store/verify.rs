//! Verifying a backup: every byte is read again and compared with the manifest.

use std::path::{Component, Path, PathBuf};

use super::listing::Backup;
use super::{Fault, Result, Store, StoreError, choose};
use guard_model::artifact::FileEntry;
use guard_model::name::Timestamp;
use guard_system::context::Context;
use guard_system::disk;

/// What was read, all of it sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Looks at a listed file without reading it: an ordinary file below the backup, of the listed length.
pub(super) fn look(backup: &Path, entry: &FileEntry) -> std::result::Result<PathBuf, Fault> {
    let mut path = backup.to_owned();
    let mut parts = Path::new(&entry.path).components().peekable();
    if parts.peek().is_none() {
        return Err(Fault::Outside);
    }
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else {
            return Err(Fault::Outside);
        };
        path.push(name);
        let metadata = match std::fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Fault::Missing),
            Err(error) => return Err(Fault::Unreadable(error.to_string())),
        };
        if parts.peek().is_some() {
            // A link on the way would lead the reader, root perhaps, to somebody else's file.
            if !metadata.is_dir() {
                return Err(Fault::NotPlain);
            }
        } else if !metadata.is_file() {
            return Err(Fault::NotPlain);
        } else if metadata.len() != entry.bytes {
            return Err(Fault::Length {
                found: metadata.len(),
                listed: entry.bytes,
            });
        }
    }
    Ok(path)
}

pub(super) fn compare(backup: &Path, entry: &FileEntry) -> std::result::Result<(), Fault> {
    let path = look(backup, entry)?;
    let (bytes, sha256) = disk::sha256_file(&path).map_err(|error| Fault::Unreadable(error.source.to_string()))?;
    if bytes != entry.bytes {
        return Err(Fault::Length {
            found: bytes,
            listed: entry.bytes,
        });
    }
    if sha256 == entry.sha256 {
        Ok(())
    } else {
        Err(Fault::Contents)
    }
}

/// Reads a whole backup; the first file that is wrong, where one is.
fn read_through(backup: &Backup, cx: &Context) -> Result<std::result::Result<Verified, (String, Fault)>> {
    let what = format!("verify {}", backup.timestamp());
    let total = backup.manifest.bytes();
    let mut verified = Verified { files: 0, bytes: 0 };
    for entry in backup.manifest.artifacts.iter().flat_map(|artifact| &artifact.files) {
        if cx.stop.is_asked() {
            return Err(StoreError::Stopped);
        }
        if let Err(fault) = compare(&backup.directory, entry) {
            return Ok(Err((entry.path.clone(), fault)));
        }
        verified.files += 1;
        verified.bytes += entry.bytes;
        cx.progress(&what, verified.bytes, Some(total));
    }
    Ok(Ok(verified))
}

impl Store {
    /// Looks at each file of a backup without reading it: there, ordinary, of the listed length.
    ///
    /// # Errors
    /// One is not (`Damaged`).
    pub fn look_through(&self, backup: &Backup) -> Result<()> {
        for entry in backup.manifest.artifacts.iter().flat_map(|artifact| &artifact.files) {
            look(&backup.directory, entry).map_err(|fault| StoreError::Damaged {
                timestamp: backup.timestamp().clone(),
                file: entry.path.clone(),
                fault,
                newest_good: None,
            })?;
        }
        Ok(())
    }

    /// Reads every byte of a backup and compares it with the manifest.
    ///
    /// # Errors
    /// A file is not what is listed (`Damaged`, with the newest other known-good backup that is sound); or it was stopped.
    pub fn verify(&self, backup: &Backup, cx: &Context) -> Result<Verified> {
        match read_through(backup, cx)? {
            Ok(verified) => Ok(verified),
            Err((file, fault)) => Err(StoreError::Damaged {
                timestamp: backup.timestamp().clone(),
                file,
                fault,
                newest_good: self.newest_sound(backup, cx)?,
            }),
        }
    }

    /// That a file of a backup is not what is listed, with the newest other known-good backup that is sound.
    pub(super) fn damaged(&self, backup: &Backup, entry: &FileEntry, fault: Fault, cx: &Context) -> Result<StoreError> {
        Ok(StoreError::Damaged {
            timestamp: backup.timestamp().clone(),
            file: entry.path.clone(),
            fault,
            newest_good: self.newest_sound(backup, cx)?,
        })
    }

    fn newest_sound(&self, except: &Backup, cx: &Context) -> Result<Option<Timestamp>> {
        let listed = self.own()?;
        for backup in choose::alike(&listed, except) {
            if backup.is_known_good() && backup.timestamp() != except.timestamp() && read_through(backup, cx)?.is_ok() {
                return Ok(Some(backup.timestamp().clone()));
            }
        }
        Ok(None)
    }
}
