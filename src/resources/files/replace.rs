//! Replaces files one by one, each in one rename, and keeps what was there as blobs in the run's directory.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, chownat, fchmod, fchown, futimens, symlinkat,
};
use serde::{Deserialize, Serialize};

use super::list::{self, Content, Entry, Recorded, blob};
use super::selection::Files;
use crate::error::{ResourceError, Result};
use crate::names::unescaped;
use crate::trees::metadata::{Above, Metadata};
use guard_system::context::Context;
use guard_system::disk::{self, At, Digest, Dir, DiskError, Staged};

/// A set of entries, with a directory where the bytes of its files lie, each under its digest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stock {
    #[serde(flatten)]
    pub(super) recorded: Recorded,
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
    for entry in &stock.recorded.entries {
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
        let recorded = &stock.recorded;
        self.ready(recorded)?;
        // Where a link leads decides which files are meant behind it.
        let live = self.look(cx)?;
        for link in recorded.entries.iter().filter(|entry| is_link(entry)) {
            if !live.entries.iter().any(|other| other.is_like(link)) {
                self.put_one(link, recorded, &blobs)?;
            }
        }
        let live = self.look(cx)?;
        for entry in &recorded.entries {
            match live.entries.iter().find(|other| other.is_like(entry)) {
                None => self.put_one(entry, recorded, &blobs)?,
                Some(other) if other.time() != entry.time() => {
                    let place = self.place(entry)?;
                    rustix::fs::utimensat(CWD, &place, &times(entry), AtFlags::SYMLINK_NOFOLLOW)
                        .at("set the time of", &place)?;
                }
                Some(_) => {}
            }
        }
        for entry in &live.entries {
            let below = entry.below()?;
            // What lies behind a link that was not there is not the project's, nor is a link that only leads to something.
            let is_ours = self.patterns.is_match(&below)
                && (entry.through.is_none() || below.ancestors().any(|above| is_recorded_link(above, recorded)));
            if is_ours && !recorded.entries.iter().any(|other| other.path == entry.path) {
                let path = self.directory.join(below);
                match std::fs::remove_file(&path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at("remove", &path)?,
                    _ => {}
                }
                disk::sync_directory(path.parent().unwrap_or(&self.directory))?;
            }
        }
        self.put_directories(recorded, cx)
    }

    /// Says that nothing keeps these files from being put where they were.
    ///
    /// # Errors
    /// Something else stands in the place of one, or in the way there.
    pub(super) fn ready(&self, recorded: &Recorded) -> Result<()> {
        for entry in &recorded.entries {
            let below = entry.below()?;
            self.look_at_parents(&below, recorded)?;
            let place = self.directory.join(&below);
            if entry.through.is_none() && std::fs::symlink_metadata(&place).is_ok_and(|found| found.is_dir()) {
                return Err(in_the_way(&place, "a file or a link"));
            }
        }
        Ok(())
    }

    /// The directories above a file: one that is a link now and was none is not followed, since what is behind it is not the
    /// project's.
    fn look_at_parents(&self, below: &Path, recorded: &Recorded) -> Result<()> {
        let mut path = PathBuf::new();
        for part in below.parent().into_iter().flat_map(Path::components) {
            path.push(part);
            let place = self.directory.join(&path);
            match std::fs::symlink_metadata(&place) {
                Ok(metadata) if metadata.is_dir() => {
                    if is_recorded_link(&path, recorded) {
                        return Err(in_the_way(&place, "a link"));
                    }
                }
                Ok(metadata) if metadata.is_symlink() && is_recorded_link(&path, recorded) => return Ok(()),
                Ok(_) => return Err(in_the_way(&place, "a directory")),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                Err(error) => Err(error).at("look at", &place)?,
            }
        }
        Ok(())
    }

    /// Where an entry goes, in a directory that is there: behind a link, only where that led when it was copied.
    fn place(&self, entry: &Entry) -> Result<PathBuf> {
        let place = self.directory.join(entry.below()?);
        let Some(through) = &entry.through else {
            return Ok(place);
        };
        let malformed = || ResourceError::bad_copy(format!("the record of {} is malformed", entry.path));
        let around = through.around().ok_or_else(malformed)?;
        Above::make_missing(&through.above)?;
        if let Err(error) = Dir::open(&around) {
            let what = format!(
                "{} is not the directory any more that {} was in",
                around.display(),
                entry.path
            );
            return Err(ResourceError::because(what, error)
                .with_hint("see who changed it, put the directory back, and run the same command again"));
        }
        Ok(around.join(place.file_name().unwrap_or_default()))
    }

    /// Makes the directories that are missing, gives all of them what they had, and removes those that were not there.
    fn put_directories(&self, recorded: &Recorded, cx: &Context) -> Result<()> {
        let Some(directories) = &recorded.directories else {
            return Ok(());
        };
        for live in self.look(cx)?.directories.iter().rev() {
            if !directories.iter().any(|other| other.path == live.path) {
                let path = self.directory.join(live.below()?);
                match std::fs::remove_dir(&path) {
                    Err(error)
                        if !matches!(
                            error.kind(),
                            std::io::ErrorKind::NotFound | std::io::ErrorKind::DirectoryNotEmpty
                        ) =>
                    {
                        Err(error).at("remove", &path)?;
                    }
                    _ => {}
                }
            }
        }
        for directory in directories {
            self.make_directory(&directory.below()?, recorded)?;
        }
        // The innermost first: to give something to one changes nothing of the others.
        for directory in directories.iter().rev() {
            let path = self.directory.join(directory.below()?);
            if Metadata::of(&path)? != directory.metadata {
                directory.metadata.put_on_path(&path)?;
            }
        }
        Ok(())
    }

    fn put_one(&self, entry: &Entry, recorded: &Recorded, blobs: &Path) -> Result<()> {
        let below = entry.below()?;
        if let Some(parent) = below.parent() {
            self.make_directory(parent, recorded)?;
        }
        let place = self.place(entry)?;
        let times = times(entry);
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
                if let Some(metadata) = &entry.metadata {
                    metadata.put_on(staged.file()).at("set the owner and mode of", &place)?;
                } else {
                    let file = staged.file().as_fd();
                    fchown(file, owner, group).at("set the owner of", &place)?;
                    fchmod(file, Mode::from(entry.mode)).at("set the mode of", &place)?;
                    futimens(file, &times).at("set the time of", &place)?;
                }
                staged.replace(&place)?;
                Ok(())
            }
        }
    }

    /// A directory below the project's, made where it is not there, as it was; one behind a link is left to [`Self::place`].
    fn make_directory(&self, below: &Path, recorded: &Recorded) -> Result<()> {
        let mut path = PathBuf::new();
        for part in below.components() {
            path.push(part);
            let place = self.directory.join(&path);
            match std::fs::symlink_metadata(&place) {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(metadata) if metadata.is_symlink() && is_recorded_link(&path, recorded) => return Ok(()),
                Ok(_) => return Err(in_the_way(&place, "a directory")),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    std::fs::create_dir(&place).at("create the directory", &place)?;
                    let shown = crate::names::escaped(path.as_os_str().as_bytes());
                    let known = recorded.directories.iter().flatten().find(|known| known.path == shown);
                    known.map_or(Ok(()), |known| known.metadata.put_on_path(&place))?;
                }
                Err(error) => Err(error).at("look at", &place)?,
            }
        }
        Ok(())
    }
}

fn is_link(entry: &Entry) -> bool {
    matches!(entry.content, Content::Symlink { .. })
}

/// Whether there was a link at this path, by which files behind it were named.
fn is_recorded_link(below: &Path, recorded: &Recorded) -> bool {
    let shown = crate::names::escaped(below.as_os_str().as_bytes());
    recorded
        .entries
        .iter()
        .any(|entry| entry.path == shown && is_link(entry))
}

fn in_the_way(place: &Path, was: &str) -> ResourceError {
    ResourceError::new(format!("{} was {was} and is something else now", place.display()))
        .with_hint("move it away, then run the same command again")
}

fn times(entry: &Entry) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: entry.seconds,
            tv_nsec: entry.nanoseconds.into(),
        },
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
