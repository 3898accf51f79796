//! The place of one resource inside a backup: where its copy is written, listed and compared.

use std::path::{Path, PathBuf};

use super::{ResourceError, Result};
use crate::model::artifact::{Artifact, FileEntry};
use crate::model::name::ResourceName;
use crate::system::disk::{self, Staged};

/// A resource's own directory inside one backup.
#[derive(Debug, Clone)]
pub struct Slot {
    backup: PathBuf,
    resource: ResourceName,
    earlier: Option<(PathBuf, Artifact)>,
}

impl Slot {
    /// The slot of a resource in the backup at this directory.
    #[must_use]
    pub fn new(backup: &Path, resource: &ResourceName) -> Self {
        Self {
            backup: backup.to_owned(),
            resource: resource.clone(),
            earlier: None,
        }
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

    /// A new file of the copy, being written.
    ///
    /// # Errors
    /// The slot's directory or the file cannot be made.
    pub fn stage(&self, name: &str) -> Result<Staged> {
        disk::create_private_dir(&self.directory())?;
        Ok(Staged::beside(&self.directory().join(name))?)
    }

    /// Puts a written file into the copy, over the leavings of an earlier try, and lists it.
    ///
    /// # Errors
    /// It cannot be synced or put there.
    pub fn keep(&self, staged: Staged, name: &str) -> Result<FileEntry> {
        let (bytes, sha256) = staged.replace(&self.directory().join(name))?;
        Ok(FileEntry {
            path: format!("{}/{name}", self.resource),
            bytes,
            sha256,
        })
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
