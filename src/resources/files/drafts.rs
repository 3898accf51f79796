//! Where the contents of files are written while they are copied: into the slot, or, where the slot encrypts, into a directory
//! of the run first.

use std::path::{Path, PathBuf};

use super::selection::BLOBS;
use crate::error::Result;
use crate::slot::Slot;
use guard_model::artifact::FileEntry;
use guard_system::context::Context;
use guard_system::disk::{self, At};

/// A directory of contents, each under its digest.
pub(super) struct Drafts {
    place: PathBuf,
    /// What is to be encrypted is nowhere in the backup as it is, not even for a moment.
    apart: Option<tempfile::TempDir>,
}

impl Drafts {
    pub(super) fn of(slot: &Slot, cx: &Context) -> Result<Self> {
        let apart = slot.is_sealed().then(|| tempfile::tempdir_in(&cx.scratch));
        let apart = apart.transpose().at("make a directory in", &cx.scratch)?;
        let place = match &apart {
            Some(apart) => apart.path().to_owned(),
            None => slot.directory().join(BLOBS),
        };
        disk::create_private_dir(&place)?;
        Ok(Self { place, apart })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.place
    }

    /// Encrypts them into the slot, where it encrypts. Returns what the manifest is to list.
    ///
    /// # Errors
    /// One cannot be read or written.
    pub(super) fn keep(self, files: Vec<FileEntry>, slot: &Slot) -> Result<Vec<FileEntry>> {
        if self.apart.is_none() {
            return Ok(files);
        }
        let kept = files.iter().map(|entry| {
            let name = format!("{BLOBS}/{}", entry.sha256);
            let path = self.place.join(&entry.sha256);
            let mut staged = slot.stage(&name)?;
            let mut file = std::fs::File::open(&path).at("open", &path)?;
            std::io::copy(&mut file, &mut staged).at("encrypt", &path)?;
            slot.keep(staged, &name)
        });
        kept.collect()
    }
}
