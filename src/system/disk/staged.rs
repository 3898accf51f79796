//! A file that is being written beside its place, encrypted where that is asked, digest running along; it takes its place in
//! one rename.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use age::stream::StreamWriter;

use super::digest::Digest;
use super::error::{At, DiskError};
use super::look::list;
use super::make::{remove_file, sync_directory};
use crate::cipher::Cipher;

/// A file (0600) of a random name beside its later place; it vanishes unless it is put there.
pub struct Staged {
    file: tempfile::NamedTempFile,
    digest: Digest,
    seal: Option<Seal>,
}

/// What is written, on its way through the encryption.
struct Seal {
    stream: StreamWriter<Sealed>,
    sealed: Sealed,
}

/// Bytes that are encrypted and wait to be written.
#[derive(Clone, Default)]
struct Sealed(Arc<Mutex<Vec<u8>>>);

impl Sealed {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Sealed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Staged {
    /// A new file in the directory of `place`.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn beside(place: &Path) -> Result<Self, DiskError> {
        let directory = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let file = tempfile::Builder::new()
            .prefix(".guard-")
            .suffix(".tmp")
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(directory)
            .at("create a file in", directory)?;
        Ok(Self {
            file,
            digest: Digest::default(),
            seal: None,
        })
    }

    /// The same, encrypted from its first byte on: nothing of what is written is on the disk as it was given. Length and
    /// digest are those of what lies there.
    ///
    /// # Errors
    /// There is nobody to encrypt for, or it cannot be written.
    pub fn sealed(mut self, cipher: &Cipher) -> Result<Self, DiskError> {
        let sealed = Sealed::default();
        let stream = cipher.writer(sealed.clone()).at("encrypt", self.file.path())?;
        self.seal = Some(Seal { stream, sealed });
        Ok(self)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.digest.update(bytes);
        Ok(())
    }

    /// Writes what the encryption still holds, and that this was all.
    fn end(&mut self) -> io::Result<()> {
        let Some(seal) = self.seal.take() else { return Ok(()) };
        seal.stream.finish()?;
        self.put(&seal.sealed.take())
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// Where they cannot be written, as on a full disk.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.write_all(bytes).at("write", self.file.path())
    }

    /// The path it has while it is being written.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The open file, for its owner and mode to be set before it takes its place.
    #[must_use]
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// The digest of what was written so far.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Syncs it and puts it in its place, over what is there; returns its length and SHA-256.
    ///
    /// # Errors
    /// Where any part of that fails; what was in the place before is there then. A failed sync is never tried again.
    pub fn replace(mut self, place: &Path) -> Result<(u64, String), DiskError> {
        self.end().at("write", place)?;
        self.file.as_file().sync_all().at("sync", place)?;
        let digest = (self.digest.bytes(), self.digest.hex());
        self.file
            .persist(place)
            .map_err(|error| error.error)
            .at("put in its place", place)?;
        place.parent().map_or(Ok(()), sync_directory)?;
        Ok(digest)
    }

    /// Syncs it and puts it in its place, which must be free; returns its length and SHA-256.
    ///
    /// # Errors
    /// Where the place is taken, or any part of that fails.
    pub fn place_new(mut self, place: &Path) -> Result<(u64, String), DiskError> {
        self.end().at("write", place)?;
        self.file.as_file().sync_all().at("sync", place)?;
        let digest = (self.digest.bytes(), self.digest.hex());
        self.file
            .persist_noclobber(place)
            .map_err(|error| error.error)
            .at("put in its place", place)?;
        place.parent().map_or(Ok(()), sync_directory)?;
        Ok(digest)
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(seal) = &mut self.seal {
            seal.stream.write_all(bytes)?;
            let sealed = seal.sealed.take();
            self.put(&sealed)?;
            return Ok(bytes.len());
        }
        let count = self.file.write(bytes)?;
        self.digest.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a file whole or not at all (0600): beside its place, synced, then renamed.
///
/// # Errors
/// Where any part of that fails; what was there before is still there then.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let mut staged = Staged::beside(path)?;
    staged.write(bytes)?;
    staged.replace(path).map(|_| ())
}

/// Removes from a directory the files that a killed guard was writing beside their places. Only while nobody writes.
///
/// # Errors
/// The directory cannot be read, or one of them cannot be removed.
pub fn remove_strays(directory: &Path) -> Result<(), DiskError> {
    for path in list(directory)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let random = name.strip_prefix(".guard-").and_then(|rest| rest.strip_suffix(".tmp"));
        if random.is_some_and(|random| random.len() == 6) && path.is_file() && !path.is_symlink() {
            remove_file(&path)?;
        }
    }
    Ok(())
}
