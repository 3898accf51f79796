//! The place of one resource inside a backup: where its copy is written, listed and compared.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{ResourceError, Result};
use crate::reading::{Reader, shut};
use guard_model::artifact::{Artifact, FileEntry, SEALED};
use guard_model::name::ResourceName;
use guard_system::cipher::{Cipher, ReadSeek};
use guard_system::disk::{self, At, Staged};

/// In the directory of a run: files of copies, decrypted for as long as it is open.
pub const OPENED: &str = "opened";

/// A resource's own directory inside one backup.
#[derive(Debug, Clone)]
pub struct Slot {
    backup: PathBuf,
    resource: ResourceName,
    earlier: Option<(PathBuf, Artifact)>,
    cipher: Arc<Cipher>,
}

impl Slot {
    /// The slot of a resource in the backup at this directory.
    #[must_use]
    pub fn new(backup: &Path, resource: &ResourceName) -> Self {
        Self {
            backup: backup.to_owned(),
            resource: resource.clone(),
            earlier: None,
            cipher: Arc::default(),
        }
    }

    /// The same slot, whose files are encrypted when they are written, and decrypted when they are read.
    #[must_use]
    pub fn sealed(mut self, cipher: Arc<Cipher>) -> Self {
        self.cipher = cipher;
        self
    }

    /// The slot of an earlier copy, read with what this one is read with.
    #[must_use]
    pub fn beside(&self, backup: &Path, resource: &ResourceName) -> Self {
        Self::new(backup, resource).sealed(Arc::clone(&self.cipher))
    }

    /// Whether what is written here is encrypted: nothing of it may lie in the backup as it is.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.cipher.seals()
    }

    /// The same slot, which knows the copy of the same resource in an earlier backup: a copy may share files with it.
    #[must_use]
    pub fn after(mut self, backup: &Path, artifact: Artifact) -> Self {
        self.earlier = Some((backup.to_owned(), artifact));
        self
    }

    /// The directory of an earlier backup, and its copy of the same resource.
    #[must_use]
    pub fn earlier(&self) -> Option<(&Path, &Artifact)> {
        let earlier = self.earlier.as_ref()?;
        Some((&earlier.0, &earlier.1))
    }

    /// The backup's directory.
    #[must_use]
    pub fn backup(&self) -> PathBuf {
        self.backup.clone()
    }

    /// The slot's directory.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.backup.join(self.resource.as_str())
    }

    /// The path of a file that a manifest lists; `None` for one that would lead out of the backup.
    #[must_use]
    pub fn path_of(&self, entry: &FileEntry) -> Option<PathBuf> {
        let path = Path::new(&entry.path);
        let inside = path
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        inside.then(|| self.backup.join(path))
    }

    /// A file of a copy, read from its beginning to its end; where it is encrypted, what is in it.
    ///
    /// # Errors
    /// Its path leads out of the backup, it is not there (`copy_is_bad`), or nothing here opens it.
    pub fn read(&self, entry: &FileEntry) -> Result<Reader> {
        let (path, file) = self.open(entry)?;
        Reader::of(file, &path, entry, &self.cipher)
    }

    /// The same, read at any place. Its digest is not compared.
    ///
    /// # Errors
    /// As for [`Slot::read`].
    pub fn seek(&self, entry: &FileEntry) -> Result<Box<dyn ReadSeek>> {
        let (path, file) = self.open(entry)?;
        if !entry.is_sealed() {
            return Ok(Box::new(file));
        }
        let reader = self.cipher.reader(file).map_err(|error| shut(&path, error))?;
        Ok(Box::new(reader))
    }

    fn open(&self, entry: &FileEntry) -> Result<(PathBuf, File)> {
        let outside = || {
            let what = format!("the manifest lists {:?}, which leads out of the backup", entry.path);
            ResourceError::bad_copy(what)
        };
        let path = self.path_of(entry).ok_or_else(outside)?;
        let file = File::open(&path).at("open", &path).map_err(|error| ResourceError {
            copy_is_bad: true,
            ..error.into()
        })?;
        Ok((path, file))
    }

    /// The directory in which the files of a copy lie as they were kept: the slot's own, or, where they are encrypted, one
    /// below `scratch` into which they are decrypted.
    ///
    /// # Errors
    /// A file is not the one of the manifest (`copy_is_bad`), nothing here opens it, or it cannot be written.
    pub fn opened(&self, artifact: &Artifact, scratch: &Path) -> Result<PathBuf> {
        Ok(self.thawed(artifact, scratch)?.0.directory())
    }

    /// The same as a slot, with the copy as it lists the files there.
    ///
    /// # Errors
    /// As for [`Slot::opened`].
    pub fn thawed<'a>(&self, artifact: &'a Artifact, scratch: &Path) -> Result<(Self, Cow<'a, Artifact>)> {
        if !artifact.files.iter().any(FileEntry::is_sealed) {
            return Ok((self.clone(), Cow::Borrowed(artifact)));
        }
        let slot = Self::new(&scratch.join(OPENED), &self.resource);
        let mut plain = artifact.clone();
        for entry in &mut plain.files {
            let mut reader = self.read(entry)?;
            let below = entry.path.strip_suffix(SEALED).unwrap_or(&entry.path);
            let name = below
                .strip_prefix(&format!("{}/", self.resource))
                .ok_or_else(|| ResourceError::bad_copy(format!("{below:?} is not in its resource's directory")))?;
            let mut staged = slot.stage(name)?;
            io::copy(&mut reader, &mut staged).at("decrypt into", staged.path())?;
            reader.finish()?;
            *entry = slot.keep(staged, name)?;
        }
        Ok((slot, Cow::Owned(plain)))
    }

    /// A file of this slot, decrypted into a directory that is private.
    ///
    /// # Errors
    /// It cannot be decrypted here or written.
    pub fn unsealed(&self, entry: &FileEntry, into: &Path) -> Result<PathBuf> {
        let place = into.join(entry.name());
        let mut reader = self.read(entry)?;
        let mut staged = Staged::beside(&place)?;
        io::copy(&mut reader, &mut staged).at("decrypt into", &place)?;
        reader.finish()?;
        staged.replace(&place)?;
        Ok(place)
    }

    /// Encrypts what a copy still holds as it is, as where a program wrote the file itself; then proves that all of it can be
    /// decrypted here.
    ///
    /// # Errors
    /// A file cannot be read, written, or opened again.
    pub fn shut(&self, artifact: &mut Artifact) -> Result<()> {
        if !self.is_sealed() {
            return Ok(());
        }
        for entry in artifact.files.iter_mut().filter(|entry| !entry.is_sealed()) {
            let below = Path::new(&entry.path).strip_prefix(self.resource.as_str());
            let name = below.unwrap_or(Path::new(&entry.path)).to_string_lossy().into_owned();
            let (path, mut file) = self.open(entry)?;
            let mut staged = self.stage(&name)?;
            io::copy(&mut file, &mut staged).at("encrypt", &path)?;
            *entry = self.keep(staged, &name)?;
            disk::remove_file(&path)?;
        }
        self.unlock(artifact)
    }

    /// Decrypts every file of a copy that is encrypted, and makes nothing of it.
    ///
    /// # Errors
    /// One cannot be decrypted here, or is not the one of the manifest (`copy_is_bad`).
    pub fn unlock(&self, artifact: &Artifact) -> Result<()> {
        for entry in artifact.files.iter().filter(|entry| entry.is_sealed()) {
            let mut reader = self.read(entry)?;
            io::copy(&mut reader.by_ref(), &mut io::sink())
                .map_err(|error| ResourceError::because(format!("could not decrypt {} again", entry.path), error))?;
            reader.finish()?;
        }
        Ok(())
    }

    /// A new file of the copy, being written.
    ///
    /// # Errors
    /// The slot's directory or the file cannot be made.
    pub fn stage(&self, name: &str) -> Result<Staged> {
        let place = self.directory().join(name);
        disk::create_private_dir(place.parent().unwrap_or(&place))?;
        let staged = Staged::beside(&place)?;
        Ok(if self.is_sealed() {
            staged.sealed(&self.cipher)?
        } else {
            staged
        })
    }

    /// Puts a written file into the copy, over the leavings of an earlier try, and lists it.
    ///
    /// # Errors
    /// It cannot be synced or put there.
    pub fn keep(&self, staged: Staged, name: &str) -> Result<FileEntry> {
        let name = format!("{name}{}", if self.is_sealed() { SEALED } else { "" });
        let (bytes, sha256) = staged.replace(&self.directory().join(&name))?;
        Ok(self.listed(&name, bytes, &sha256))
    }

    /// Lists a file that a program has put into the copy, `/` between the components of its name.
    #[must_use]
    pub fn listed(&self, name: &str, bytes: u64, sha256: &str) -> FileEntry {
        FileEntry {
            path: format!("{}/{name}", self.resource),
            bytes,
            sha256: sha256.to_owned(),
        }
    }

    /// Writes a small file of the copy, and lists it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep_bytes(&self, bytes: &[u8], name: &str) -> Result<FileEntry> {
        let mut staged = self.stage(name)?;
        staged.write(bytes)?;
        self.keep(staged, name)
    }

    /// Compares every file of a copy with its manifest: present, of this length, of this digest.
    ///
    /// # Errors
    /// One is not (`copy_is_bad`), or cannot be read.
    pub fn compare(&self, artifact: &Artifact) -> Result<()> {
        for entry in &artifact.files {
            let outside = || {
                ResourceError::bad_copy(format!(
                    "the manifest lists {:?}, which leads out of the backup",
                    entry.path
                ))
            };
            let path = self.path_of(entry).ok_or_else(outside)?;
            if !disk::exists(&path)? {
                return Err(ResourceError::bad_copy(format!("{} is missing", path.display())));
            }
            let (bytes, sha256) = disk::sha256_file(&path)?;
            if bytes != entry.bytes {
                let what = format!(
                    "{} has {bytes} bytes, its manifest says {}",
                    path.display(),
                    entry.bytes
                );
                return Err(ResourceError::bad_copy(what));
            }
            if sha256 != entry.sha256 {
                return Err(ResourceError::bad_copy(format!(
                    "{} is damaged: its SHA-256 is not the manifest's",
                    path.display()
                )));
            }
        }
        Ok(())
    }
}
