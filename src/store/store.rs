//! The store itself: the directory of backups, how it is opened, and what is known of it as a whole.

use std::path::{Path, PathBuf};

use super::error::Result;
use super::key::Key;
use super::{ground, mount};
use guard_system::disk;

/// The directory of backups.
#[derive(Debug)]
pub struct Store {
    pub(super) directory: PathBuf,
    pub(super) state: PathBuf,
    pub(super) project: Option<PathBuf>,
    pub(super) key: Key,
}

impl Store {
    /// Opens the store at this directory, keyed by `<state>/key`; both are made (0700) if they are not there, the key of
    /// 32 random bytes included.
    ///
    /// # Errors
    /// The directory is a link, belongs to somebody else, others could replace what is in it, or its file system is not
    /// mounted (`Unsafe`); or one of the two cannot be used.
    pub fn open(directory: &Path, state: &Path) -> Result<Self> {
        disk::create_private_dir(state)?;
        let key = Key::of(state)?;
        let is_link = std::fs::symlink_metadata(directory).is_ok_and(|metadata| metadata.is_symlink());
        if !is_link {
            disk::create_private_dir(directory)?;
        }
        ground::refuse_unsafe(directory)?;
        mount::refuse_unmounted(directory, state)?;
        let store = Self {
            directory: directory.to_owned(),
            state: state.to_owned(),
            project: None,
            key,
        };
        store.make_trash()?;
        Ok(store)
    }

    /// The same store, which also lists the backups that older scripts left in this project's directory and in its
    /// `backups` directory.
    #[must_use]
    pub fn beside_project(mut self, project: &Path) -> Self {
        self.project = Some(project.to_owned());
        self
    }

    /// The id of the key that seals the backups made here: it tells this installation from every other.
    #[must_use]
    pub fn installation(&self) -> String {
        self.key.id()
    }

    /// The directory of the backups.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Bytes that can still be written here.
    ///
    /// # Errors
    /// The file system does not tell.
    pub fn free_bytes(&self) -> Result<u64> {
        Ok(disk::free_bytes(&self.directory)?)
    }

    /// What is open to others that should not be, each a sentence with its remedy; for `guard check`.
    ///
    /// # Errors
    /// A directory cannot be looked at.
    pub fn exposures(&self) -> Result<Vec<String>> {
        ground::exposures(&self.directory, &self.state)
    }
}
