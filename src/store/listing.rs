//! What is in the store: whole backups, foreign ones, and directories that are neither.

use std::path::{Path, PathBuf};

use super::foreign::{self, Foreign};
use super::manifest::{self, Knowledge, Manifest};
use super::{Result, Store, StoreError, verdict};
use guard_model::name::Timestamp;
use guard_model::text;
use guard_system::disk::{self, At};

/// The file that says that guard began the directory it is in and has not completed it. Only with it is a directory
/// without a manifest ever swept: another one may be somebody's only copy.
pub(super) const TAG: &str = ".draft";

/// A whole backup: its manifest is there and authentic.
#[derive(Debug, Clone, PartialEq)]
pub struct Backup {
    /// Its directory.
    pub directory: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// What was learnt about it after it was made.
    pub verdict: Option<Knowledge>,
}

impl Backup {
    /// Its name.
    #[must_use]
    pub fn timestamp(&self) -> &Timestamp {
        &self.manifest.timestamp
    }

    /// What is known about it now: the later verdict, else the one it was made with.
    #[must_use]
    pub fn knowledge(&self) -> &Knowledge {
        self.verdict.as_ref().unwrap_or(&self.manifest.known_good)
    }

    /// Whether it may be chosen without being named.
    #[must_use]
    pub fn is_known_good(&self) -> bool {
        self.knowledge() == &Knowledge::KnownGood
    }

    /// What backups are ordered by.
    pub(super) fn order(&self) -> (u64, &Timestamp) {
        (self.manifest.generation, &self.manifest.timestamp)
    }
}

/// Something in the store.
#[expect(clippy::large_enum_variant, reason = "nearly all that is listed are backups")]
#[derive(Debug, Clone, PartialEq)]
pub enum Listed {
    /// A whole backup.
    Backup(Backup),
    /// A backup that older scripts made by hand.
    Foreign(Foreign),
    /// A directory that guard began and has not completed, or an empty one.
    Incomplete {
        /// Its name.
        timestamp: Timestamp,
        /// Where it is.
        directory: PathBuf,
    },
    /// It has a backup's name and is not one that can be used. It is left alone.
    Unreadable {
        /// Its name, safe to show.
        name: String,
        /// Why.
        reason: String,
    },
}

impl Listed {
    /// Its name, safe to show.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Backup(backup) => backup.timestamp().as_str(),
            Self::Foreign(foreign) => foreign.timestamp.as_str(),
            Self::Incomplete { timestamp, .. } => timestamp.as_str(),
            Self::Unreadable { name, .. } => name,
        }
    }
}

impl Store {
    /// All that is in the store: whole backups by generation, the newest first; then foreign ones by their names, the newest
    /// first; then what is unusable. What has no backup's name is left out.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let mut listed = self.own()?;
        let ours: Vec<String> = listed
            .iter()
            .filter(|listed| matches!(listed, Listed::Backup(_)))
            .map(|listed| listed.name().to_owned())
            .collect();
        let mut foreigners = foreign::find(&self.directory, self.project.as_deref())?;
        let real = |path: &Path| std::fs::canonicalize(path).at("find the real path of", path);
        if let Some(project) = &self.project {
            for place in [project.clone(), project.join("backups")] {
                if disk::exists(&place)? && real(&place)? != real(&self.directory)? {
                    foreign::merge(&mut foreigners, foreign::find(&place, Some(project))?);
                }
            }
        }
        foreigners.retain(|foreign| !ours.iter().any(|name| name == foreign.timestamp.as_str()));
        // guard writes such a file as well: a commit without a copy beside it is no backup.
        foreigners.retain(|foreign| !foreign.parts.is_empty());
        foreigners.sort_by(|one, other| other.timestamp.cmp(&one.timestamp));
        // A directory without a manifest that holds a foreign backup is that, and nothing that could not be read.
        listed.retain(|listed| {
            !matches!(listed, Listed::Unreadable { name, .. } if foreigners.iter().any(|foreign| foreign.timestamp.as_str() == name))
        });
        let split = listed
            .iter()
            .take_while(|listed| matches!(listed, Listed::Backup(_)))
            .count();
        let rest = listed.split_off(split);
        listed.extend(foreigners.into_iter().map(Listed::Foreign));
        listed.extend(rest);
        Ok(listed)
    }

    /// What has a backup's name here, in the order of the names. The exact form only: whatever else lies here is not guard's
    /// to judge, and is never joined to a path.
    pub(super) fn names(&self) -> Result<Vec<Timestamp>> {
        let paths = disk::list(&self.directory)?;
        let names = paths.iter().filter_map(|path| path.file_name()?.to_str()?.parse().ok());
        let mut names: Vec<Timestamp> = names.collect();
        names.sort();
        Ok(names)
    }

    /// The same without foreign ones.
    pub(super) fn own(&self) -> Result<Vec<Listed>> {
        let mut backups = Vec::new();
        let mut rest = Vec::new();
        for timestamp in self.names()? {
            let path = self.directory.join(timestamp.as_str());
            let name = timestamp.as_str().to_owned();
            match self.get(&timestamp) {
                Ok(backup) => backups.push(backup),
                Err(StoreError::NoManifest { .. }) if is_draft(&path)? => rest.push(Listed::Incomplete {
                    timestamp,
                    directory: path,
                }),
                Err(error) => rest.push(Listed::Unreadable {
                    name: text::sanitised(&name),
                    reason: text::sanitised(&error.to_string()),
                }),
            }
        }
        backups.sort_by(|one, other| other.order().cmp(&one.order()));
        Ok(backups.into_iter().map(Listed::Backup).chain(rest).collect())
    }

    /// The backup of this name.
    ///
    /// # Errors
    /// There is none (`NotFound`, `NoManifest`), it is not authentic, of a newer guard, or cannot be read.
    pub fn get(&self, timestamp: &Timestamp) -> Result<Backup> {
        let directory = self.directory.join(timestamp.as_str());
        if !disk::exists(&directory)? {
            return Err(StoreError::NotFound {
                timestamp: timestamp.clone(),
            });
        }
        let metadata = std::fs::symlink_metadata(&directory).at("look at", &directory)?;
        let refuse = |reason: &str| StoreError::NotAuthentic {
            timestamp: timestamp.clone(),
            reason: reason.to_owned(),
        };
        if metadata.is_symlink() {
            return Err(refuse("its directory is a symbolic link, which is not followed"));
        }
        if !metadata.is_dir() {
            return Err(refuse("it is not a directory"));
        }
        let path = directory.join(manifest::FILE);
        if !disk::exists(&path)? {
            return Err(StoreError::NoManifest {
                timestamp: timestamp.clone(),
            });
        }
        if !std::fs::symlink_metadata(&path).at("look at", &path)?.is_file() {
            return Err(refuse("its manifest is a link or no file, and is not followed"));
        }
        let bytes = std::fs::read(&path).at("read", &path)?;
        Ok(Backup {
            manifest: manifest::open(&bytes, timestamp, &self.key)?,
            verdict: verdict::read(&directory, timestamp, &self.key)?,
            directory,
        })
    }
}

/// Whether guard began a directory and has not completed it. An empty one was cut off before its tag.
pub(super) fn is_draft(directory: &Path) -> Result<bool> {
    let names = disk::list(directory)?;
    let is_tag = |path: &PathBuf| path.file_name().is_some_and(|name| name == TAG);
    let is_rest = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(".guard-") && name.ends_with(".tmp")
    };
    Ok(names.iter().any(is_tag) || names.iter().all(is_rest))
}
