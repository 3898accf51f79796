//! Replaces files one by one, each in one rename, and keeps what was there as blobs in the run's directory.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, chownat, fchmod, fchown, futimens, symlinkat,
};
use serde::{Deserialize, Serialize};

use super::Files;
use super::list::{self, Content, Entry, blob};
use crate::resources::names::unescaped;
use crate::resources::{ResourceError, Result};
use crate::system::context::Context;
use crate::system::disk::{self, At, Digest, DiskError, Staged};

/// A set of entries, with a directory where the bytes of its files lie, each under its digest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stock {
    pub(super) entries: Vec<Entry>,
    /// The directory, escaped.
    pub(super) blobs: String,
}

impl Stock {
    pub(super) fn directory(&self) -> Result<PathBuf> {
        let bytes = unescaped(&self.blobs).ok_or_else(|| ResourceError::new("a recorded path is malformed"))?;
        Ok(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
    }
}

/// Keeps a file's bytes in a directory of blobs while it is read; a link needs no blob.
pub(super) fn keep(directory: &Path, below: &Path, blobs: &Path) -> Result<Option<Entry>> {
    let mut staged = Staged::beside(&blobs.join("blob"))?;
    let entry = list::read(directory, below, &mut |bytes| Ok(staged.write(bytes)?))?;
    if let Some(Entry {
        content: content @ Content::File { .. },
        ..
    }) = &entry
    {
        staged.replace(&blobs.join(blob(content)))?;
    }
    Ok(entry)
}

/// Every blob that a stock needs is there, whole.
///
/// # Errors
/// One is not.
pub(super) fn prove(stock: &Stock) -> Result<()> {
    let directory = stock.directory()?;
    for entry in &stock.entries {
        entry.below()?;
        if let Content::File { bytes, sha256 } = &entry.content {
            let path = directory.join(sha256);
            if !disk::exists(&path)? {
                return Err(ResourceError::bad_copy(format!("{} is missing", path.display())));
            }
            if disk::sha256_file(&path)? != (*bytes, sha256.clone()) {
                return Err(ResourceError::bad_copy(format!("{} is damaged", path.display())));
            }
        }
    }
    Ok(())
}

impl Files {
    /// Makes the live files those of the stock: differing ones are replaced, others that match the patterns are removed.
    /// Safe to repeat.
    ///
    /// # Errors
    /// One cannot be replaced; it is whole as it was then, and a repeat goes on.
    pub(super) fn put(&self, stock: &Stock, cx: &Context) -> Result<()> {
        let blobs = stock.directory()?;
        let live = self.look(cx)?.entries;
        for entry in &stock.entries {
            if !live.iter().any(|other| other.is_like(entry)) {
                self.put_one(entry, &blobs)?;
            }
        }
        for entry in &live {
            if !stock.entries.iter().any(|other| other.path == entry.path) {
                let path = self.directory.join(entry.below()?);
                std::fs::remove_file(&path).at("remove", &path)?;
                disk::sync_directory(path.parent().unwrap_or(&self.directory))?;
            }
        }
        Ok(())
    }

    fn put_one(&self, entry: &Entry, blobs: &Path) -> Result<()> {
        let below = entry.below()?;
        let place = self.directory.join(&below);
        self.make_parents(&below)?;
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: entry.seconds,
                tv_nsec: entry.nanoseconds.into(),
            },
        };
        let (owner, group) = (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)));
        match &entry.content {
            Content::Symlink { target } => {
                let target =
                    unescaped(target).ok_or_else(|| ResourceError::bad_copy("a recorded link is malformed"))?;
                let staged = disk::sibling(&place, ".guard-link");
                match std::fs::remove_file(&staged) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at("remove", &staged)?,
                    _ => {}
                }
                symlinkat(target, CWD, &staged).at("create the link", &staged)?;
                chownat(CWD, &staged, owner, group, AtFlags::SYMLINK_NOFOLLOW).at("set the owner of", &staged)?;
                rustix::fs::utimensat(CWD, &staged, &times, AtFlags::SYMLINK_NOFOLLOW)
                    .at("set the time of", &staged)?;
                Ok(disk::replace(&staged, &place)?)
            }
            Content::File { sha256, bytes } => {
                let mut staged = Staged::beside(&place)?;
                let path = blobs.join(sha256);
                let digest = copy(&path, &mut staged)?;
                if (digest.bytes(), digest.hex()) != (*bytes, sha256.clone()) {
                    return Err(ResourceError::bad_copy(format!("{} is damaged", path.display())));
                }
                let file = staged.file().as_fd();
                fchown(file, owner, group).at("set the owner of", &place)?;
                fchmod(file, Mode::from(entry.mode)).at("set the mode of", &place)?;
                futimens(file, &times).at("set the time of", &place)?;
                staged.replace(&place)?;
                Ok(())
            }
        }
    }

    /// The directories above a file. One that is a link now is not followed: what is behind it is not the project's.
    fn make_parents(&self, below: &Path) -> Result<()> {
        let mut path = self.directory.clone();
        for part in below.parent().into_iter().flat_map(Path::components) {
            path.push(part);
            match std::fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) => {
                    return Err(ResourceError::new(format!(
                        "{} was a directory and is something else now",
                        path.display()
                    ))
                    .with_hint("move it away, then run the same command again"));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    std::fs::create_dir(&path).at("create the directory", &path)?;
                }
                Err(error) => Err(error).at("look at", &path)?,
            }
        }
        Ok(())
    }
}

fn copy(path: &Path, staged: &mut Staged) -> std::result::Result<Digest, DiskError> {
    let mut file = File::open(path).at("open", path)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = file.read(&mut buffer).at("read", path)?;
        if count == 0 {
            return Ok(staged.digest().clone());
        }
        staged
            .write_all(buffer.get(..count).unwrap_or_default())
            .at("write", staged.path())?;
    }
}
