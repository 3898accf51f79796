//! A backup in the making: a directory under its final name, which is no backup until its manifest is there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::listing::{Backup, TAG};
use super::manifest::{self, GitState, Identities, Knowledge, Manifest};
use super::{Result, Store, StoreError, choose, ground, marker, sums, verify};
use guard_model::artifact::{Artifact, FileEntry};
use guard_model::name::{ResourceName, RunId, Timestamp};
use guard_system::{disk, privilege};

/// A backup in the making. The paths below it stay as they are when it is sealed.
#[derive(Debug, Clone)]
pub struct Draft {
    timestamp: Timestamp,
    directory: PathBuf,
    begun: DateTime<Utc>,
}

/// What the store does not know by itself about a backup.
#[derive(Debug, Clone, Default)]
pub struct ManifestInput {
    /// The side of a blue-green deployment that visitors are at.
    pub side: Option<String>,
    /// The copies, as their captures returned them.
    pub artifacts: Vec<Artifact>,
    /// Whether the system was well when they were taken.
    pub known_good: Knowledge,
    /// The run that made it.
    pub run: Option<RunId>,
    /// The environment, as in `--environment`.
    pub environment: Option<String>,
    /// What it was taken of, as the lock names it.
    pub target: Option<String>,
    /// What each resource is, by names that tell it from every other one.
    pub identities: Identities,
    /// What is live, by resource, for people.
    pub live: BTreeMap<ResourceName, Vec<String>>,
    /// What the person who made it wrote.
    pub description: Option<String>,
    /// The deploy command, redacted.
    pub command: Vec<String>,
    /// The checkout.
    pub git: Option<GitState>,
    /// The settings in force, a file of the draft's directory.
    pub settings: Option<FileEntry>,
    /// When it was begun, where its name does not say so.
    pub begun: Option<DateTime<Utc>>,
    /// The recipients for whom the copies are encrypted, sorted; empty: they are not.
    pub recipients: Vec<String>,
}

impl Store {
    /// Begins a backup, named by this moment. Where two fall into the same second, the later gets `-2`, `-3` …
    ///
    /// # Errors
    /// Its directory cannot be made.
    pub fn begin(&self, now: DateTime<Utc>) -> Result<Draft> {
        let mut collision = 0;
        loop {
            let timestamp = Timestamp::at(now, collision);
            match disk::create_new_dir(&self.directory.join(timestamp.as_str())) {
                Ok(()) => {}
                Err(error) if error.source.kind() == std::io::ErrorKind::AlreadyExists => {
                    collision += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            let draft = self.draft(&timestamp);
            disk::write_whole(
                &draft.directory.join(TAG),
                b"guard began this backup and has not completed it\n",
            )?;
            return Ok(draft);
        }
    }

    /// The draft of this name, to go on with one that a cut-off run began.
    #[must_use]
    pub fn draft(&self, timestamp: &Timestamp) -> Draft {
        Draft {
            directory: self.directory.join(timestamp.as_str()),
            begun: timestamp.moment(),
            timestamp: timestamp.clone(),
        }
    }

    /// Completes a backup: sums, then the manifest, then what older scripts read. From the manifest on it exists. A draft
    /// that an earlier call has sealed already keeps the manifest that it has.
    ///
    /// # Errors
    /// A file that it should list is not there, or something cannot be written.
    pub fn seal(&self, draft: &Draft, input: ManifestInput) -> Result<Backup> {
        match self.get(&draft.timestamp) {
            Ok(backup) => return self.finish(backup),
            Err(StoreError::NoManifest { .. }) => {}
            Err(error) => return Err(error),
        }
        for entry in input.artifacts.iter().flat_map(|artifact| &artifact.files) {
            if let Err(fault) = verify::look(&draft.directory, entry) {
                return Err(StoreError::Incomplete {
                    timestamp: draft.timestamp.clone(),
                    file: entry.path.clone(),
                    fault,
                });
            }
        }
        ground::close(&draft.directory)?;
        let manifest = Manifest {
            timestamp: draft.timestamp.clone(),
            generation: self.take_generation()?,
            begun: input.begun.unwrap_or(draft.begun),
            guard: env!("CARGO_PKG_VERSION").to_owned(),
            host: privilege::host_name(),
            run: input.run,
            environment: input.environment,
            target: input.target,
            side: input.side,
            known_good: input.known_good,
            description: input.description,
            command: input.command,
            git: input.git.or_else(|| marker::git_of(&input.artifacts)),
            artifacts: input.artifacts,
            identities: input.identities,
            live: input.live,
            settings: input.settings,
            recipients: input.recipients,
        };
        let listed = manifest
            .artifacts
            .iter()
            .flat_map(|artifact| &artifact.files)
            .chain(&manifest.settings);
        disk::write_whole(&draft.directory.join(sums::FILE), sums::text(listed).as_bytes())?;
        let sealed = manifest::seal(&manifest, &self.key)?;
        disk::write_whole(&draft.directory.join(manifest::FILE), sealed.as_bytes())?;
        self.finish(Backup {
            directory: draft.directory.clone(),
            verdict: None,
            manifest,
        })
    }

    /// What follows the manifest; safe to repeat.
    pub(super) fn finish(&self, backup: Backup) -> Result<Backup> {
        let is_newest = self.note_generation(&backup.manifest)?;
        let tag = backup.directory.join(TAG);
        if disk::exists(&tag)? {
            disk::remove_file(&tag)?;
        }
        if is_newest {
            self.write_markers(&backup)?;
        } else if let Some(newest) = choose::newest_alike(&self.own()?, &backup) {
            self.write_markers(newest)?;
        }
        Ok(backup)
    }
}

impl Draft {
    /// The name that the backup will have.
    #[must_use]
    pub fn timestamp(&self) -> &Timestamp {
        &self.timestamp
    }

    /// The directory; slots are made below it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}
