//! Removing backups: through the trash, never by a name alone, never the last one that is known to be good.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::listing::{Listed, is_draft};
use super::{Result, Store, StoreError, choose};
use crate::model::name::Timestamp;
use crate::system::disk;

const TRASH: &str = ".trash";

impl Store {
    fn trash(&self) -> PathBuf {
        self.directory.join(TRASH)
    }

    /// Makes the trash while there is room: on a full disk nothing could be removed without it.
    pub(super) fn make_trash(&self) -> Result<()> {
        match disk::create_private_dir(&self.trash()) {
            Err(error) if error.is_full() => Ok(()),
            other => Ok(other?),
        }
    }

    /// Removes a backup. Its name and its manifest are read first: what is not a backup of this guard is not removed.
    ///
    /// # Errors
    /// It is not there, not authentic, pinned, or the last known-good one (which `force` overrules), or cannot be removed.
    pub fn delete(&self, timestamp: &Timestamp, pinned: &[Timestamp], force: bool) -> Result<()> {
        let backup = self.get(timestamp)?;
        if pinned.contains(timestamp) {
            return Err(StoreError::Pinned {
                timestamp: timestamp.clone(),
            });
        }
        let listed = self.own()?;
        let mut good = choose::known_good(&listed, None);
        good.retain(|other| other.manifest.target == backup.manifest.target);
        if !force && good.len() == 1 && good.first().is_some_and(|only| only.timestamp() == timestamp) {
            return Err(StoreError::LastKnownGood {
                timestamp: timestamp.clone(),
            });
        }
        disk::remove_tree(&backup.directory, &self.trash())?;
        self.note_removal(timestamp)?;
        self.refresh_markers()
    }

    /// Sweeps what cut-off runs left: directories that guard began before `before` and never completed, and the trash. Call
    /// it under the lock, with the moment at which the oldest open run began, or now. Returns the names that are gone.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn sweep(&self, before: DateTime<Utc>, pinned: &[Timestamp]) -> Result<Vec<Timestamp>> {
        let mut swept = Vec::new();
        for listed in self.own()? {
            let Listed::Incomplete { timestamp, directory } = listed else {
                continue;
            };
            if pinned.contains(&timestamp) || timestamp.moment() >= before || !is_draft(&directory)? {
                continue;
            }
            disk::remove_tree(&directory, &self.trash())?;
            swept.push(timestamp);
        }
        let trash = self.trash();
        if disk::exists(&trash)? {
            // Nothing of this name is there: only what an interrupted removal has left goes.
            disk::remove_tree(&self.directory.join(".nothing"), &trash)?;
        }
        Ok(swept)
    }
}
