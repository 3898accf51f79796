//! Removing backups: through the trash, never by a name alone, never the last one that is known to be good.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::listing::{Backup, is_draft};
use super::{Result, Store, StoreError, choose, manifest};
use guard_model::name::{ResourceName, Timestamp};
use guard_system::disk;

const TRASH: &str = ".trash";

/// What becomes of a backup that holds what no other does that is as good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// It is not removed.
    Stays,
    /// It is removed all the same, as a person has asked.
    Goes,
}

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
    /// It is not there, not authentic, pinned, or the last one of its kind, which `last` may allow, or cannot be removed.
    pub fn delete(&self, timestamp: &Timestamp, pinned: &[Timestamp], last: Last) -> Result<()> {
        let backup = self.get(timestamp)?;
        if pinned.contains(timestamp) {
            return Err(StoreError::Pinned {
                timestamp: timestamp.clone(),
            });
        }
        let of = self.held_by_no_other(&backup)?;
        if last == Last::Stays && !of.is_empty() {
            let timestamp = timestamp.clone();
            return Err(if backup.is_known_good() {
                StoreError::LastKnownGood { timestamp, of }
            } else {
                StoreError::OnlyOne { timestamp, of }
            });
        }
        disk::remove_tree(&backup.directory, &self.trash())?;
        self.note_removal(timestamp)?;
        // The markers tell of the newest one; whichever goes, the others are read again only where it was that.
        if self.is_marked(&backup)? {
            self.refresh_markers(&backup)?;
        }
        Ok(())
    }

    /// What no other backup of the same system and environment holds that is as good as this one; the newest are asked
    /// first, and no more of them than it takes.
    fn held_by_no_other(&self, backup: &Backup) -> Result<Vec<String>> {
        let mut left: Vec<&ResourceName> = backup.manifest.artifacts.iter().map(|one| &one.resource).collect();
        let mut names = self.names()?;
        names.retain(|name| name != backup.timestamp());
        let is_empty = left.is_empty();
        for other in names.iter().rev().filter_map(|name| self.get(name).ok()) {
            let is_as_good = other.is_known_good() || !backup.is_known_good();
            if !is_as_good || !choose::is_alike(&other, backup) {
                continue;
            }
            left.retain(|name| other.manifest.artifact(name).is_none() || !choose::is_same_thing(&other, backup, name));
            if left.is_empty() {
                return Ok(Vec::new());
            }
        }
        if is_empty {
            return Ok(vec!["nothing".to_owned()]);
        }
        Ok(left.into_iter().map(ToString::to_string).collect())
    }

    /// Sweeps what cut-off runs left: directories that guard began before `before` and never completed, and the trash. Call
    /// it under the lock, with the moment at which the oldest open run began, or now. Returns the names that are gone.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn sweep(&self, before: DateTime<Utc>, pinned: &[Timestamp]) -> Result<Vec<Timestamp>> {
        let mut swept = Vec::new();
        for timestamp in self.names()? {
            let directory = self.directory.join(timestamp.as_str());
            let is_real = std::fs::symlink_metadata(&directory).is_ok_and(|metadata| metadata.is_dir());
            if !is_real || pinned.contains(&timestamp) || timestamp.moment() >= before {
                continue;
            }
            if disk::exists(&directory.join(manifest::FILE))? || !is_draft(&directory)? {
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
