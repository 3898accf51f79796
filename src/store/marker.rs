//! The two files that older scripts read to find the newest backup, and the highest generation that was ever given.
//!
//! Each environment has the two with its name behind: `.latest_backup-staging`. The ones without a name are about one
//! environment as well, and never change to another while a backup of theirs is there.

use serde::{Deserialize, Serialize};

use super::foreign::DEPLOYMENT;
use super::listing::Backup;
use super::manifest::{GitState, Manifest};
use super::{Result, Store, StoreError, choose};
use guard_model::artifact::Artifact;
use guard_model::name::Timestamp;
use guard_system::disk;

/// Holds the newest timestamp.
pub(super) const LATEST: &str = ".latest_backup";
/// So many of the newest names are asked for their generation.
const ASKED: usize = 16;
/// In the state directory: the last backup that was sealed, so that its absence is seen.
const GENERATION: &str = "generation.json";

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Newest {
    generation: u64,
    /// The newest backup; `None` where guard itself has removed it.
    timestamp: Option<Timestamp>,
}

fn is_id(text: &str) -> bool {
    text.len() >= 7 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The checkout, as a copy of the kind `git` describes it.
pub(super) fn git_of(artifacts: &[Artifact]) -> Option<GitState> {
    let artifact = artifacts.iter().find(|artifact| artifact.kind == "git")?;
    // What HEAD stood on, which the user made, and not the commit by which guard holds the files.
    let commit = artifact.fingerprint.part("commit").filter(|commit| is_id(commit))?;
    let branch = artifact.fingerprint.part("branch");
    let branch = branch.and_then(|name| name.strip_prefix("refs/heads/").or(Some(name)));
    Some(GitState {
        commit: commit.to_owned(),
        branch: branch
            .filter(|name| !matches!(*name, "" | "detached"))
            .map(str::to_owned),
    })
}

/// The largest file of the first copy of one of these kinds: the dump, the archive.
fn file_of(backup: &Backup, kinds: &[&str]) -> String {
    let artifact = backup
        .manifest
        .artifacts
        .iter()
        .find(|artifact| kinds.contains(&artifact.kind.as_str()));
    artifact
        .and_then(|artifact| artifact.files.iter().max_by_key(|file| file.bytes))
        .map_or_else(String::new, |file| {
            backup.directory.join(&file.path).display().to_string()
        })
}

fn deployment(backup: &Backup) -> String {
    let git = backup.manifest.git.as_ref();
    let pairs = [
        ("DEPLOYMENT_TIMESTAMP", backup.timestamp().to_string()),
        ("BACKUP_DIR", backup.directory.display().to_string()),
        ("DB_BACKUP_FILE", file_of(backup, &["postgres", "mysql", "sqlite"])),
        ("MINIO_BACKUP_FILE", file_of(backup, &["volume"])),
        ("GIT_COMMIT", git.map_or_else(String::new, |git| git.commit.clone())),
        ("GIT_BRANCH", git.and_then(|git| git.branch.clone()).unwrap_or_default()),
    ];
    let mut text = String::new();
    for (name, value) in pairs {
        // A value with a NUL cannot stand in a shell's variable; none of these has one.
        let quoted = shlex::try_quote(&value).unwrap_or_default();
        text.extend([name, "=", &quoted, "\n"]);
    }
    text
}

/// The name of a marker of an environment.
fn named(marker: &str, environment: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let plain: String = environment.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    format!("{marker}-{plain}")
}

impl Store {
    pub(super) fn write_markers(&self, backup: &Backup) -> Result<()> {
        if let Some(environment) = &backup.manifest.environment {
            let names = [named(LATEST, environment), named(DEPLOYMENT, environment)];
            self.write_pair(backup, [&names[0], &names[1]])?;
        }
        let theirs = self.marked()?.and_then(|timestamp| self.get(&timestamp).ok());
        if theirs.is_none_or(|theirs| choose::is_alike(&theirs, backup)) {
            self.write_pair(backup, [LATEST, DEPLOYMENT])?;
        }
        Ok(())
    }

    fn write_pair(&self, backup: &Backup, names: [&str; 2]) -> Result<()> {
        let line = format!("{}\n", backup.timestamp());
        disk::write_whole(&self.directory.join(names[0]), line.as_bytes())?;
        disk::write_whole(&self.directory.join(names[1]), deployment(backup).as_bytes())?;
        Ok(())
    }

    /// The backup that the markers tell of.
    pub(super) fn marked(&self) -> Result<Option<Timestamp>> {
        self.told_by(LATEST)
    }

    fn told_by(&self, marker: &str) -> Result<Option<Timestamp>> {
        let text = disk::read_text_optional(&self.directory.join(marker))?;
        Ok(text.and_then(|text| text.trim().parse().ok()))
    }

    /// Whether a marker that it could stand in tells of this backup, or of none.
    pub(super) fn is_marked(&self, backup: &Backup) -> Result<bool> {
        let mut markers = vec![LATEST.to_owned()];
        markers.extend(backup.manifest.environment.iter().map(|name| named(LATEST, name)));
        for marker in markers {
            if self.told_by(&marker)?.is_none_or(|told| &told == backup.timestamp()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes the markers anew after a backup was removed, or a later one was found to be there already.
    pub(super) fn refresh_markers(&self, gone: &Backup) -> Result<()> {
        let listed = self.own()?;
        let alike = choose::alike(&listed, gone);
        if let Some(backup) = alike.first() {
            return self.write_markers(backup);
        }
        if let Some(environment) = &gone.manifest.environment {
            self.remove_pair([&named(LATEST, environment), &named(DEPLOYMENT, environment)])?;
        }
        // The ones without a name go over to whoever is left.
        match choose::newest(&listed) {
            Some(backup) => self.write_markers(backup),
            None => self.remove_pair([LATEST, DEPLOYMENT]),
        }
    }

    fn remove_pair(&self, names: [&str; 2]) -> Result<()> {
        for name in names {
            let path = self.directory.join(name);
            if disk::exists(&path)? {
                disk::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn recorded(&self) -> Result<Option<Newest>> {
        let path = self.state.join(GENERATION);
        let Some(text) = disk::read_text_optional(&path)? else {
            return Ok(None);
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| StoreError::Unfit {
                path,
                reason: format!("it cannot be read ({error}); once it is removed, the backups themselves are counted"),
            })
    }

    /// The highest generation that was given, also to backups that are gone. It is noted before a manifest is written, so
    /// that the record is enough, however many backups there are; a few of them are asked in case the state is an older one.
    fn last_generation(&self) -> Result<u64> {
        let Some(newest) = self.recorded()? else {
            let listed = self.own()?;
            return Ok(choose::newest(&listed).map_or(0, |backup| backup.manifest.generation));
        };
        let mut names = self.names()?;
        let asked = names.split_off(names.len().saturating_sub(ASKED));
        let present = asked.iter().filter_map(|name| self.get(name).ok());
        Ok(present
            .map(|backup| backup.manifest.generation)
            .fold(newest.generation, u64::max))
    }

    /// The next generation; no other backup gets it, whatever becomes of this one.
    pub(super) fn take_generation(&self) -> Result<u64> {
        let generation = self.last_generation()? + 1;
        let timestamp = self.recorded()?.and_then(|newest| newest.timestamp);
        self.record(&Newest { generation, timestamp })?;
        Ok(generation)
    }

    /// Notes that this backup is there. Whether it is the newest.
    pub(super) fn note_generation(&self, manifest: &Manifest) -> Result<bool> {
        if self
            .recorded()?
            .is_some_and(|newest| newest.generation > manifest.generation)
        {
            return Ok(false);
        }
        self.record(&Newest {
            generation: manifest.generation,
            timestamp: Some(manifest.timestamp.clone()),
        })?;
        Ok(true)
    }

    /// Notes that guard itself has removed a backup.
    pub(super) fn note_removal(&self, timestamp: &Timestamp) -> Result<()> {
        match self.recorded()? {
            Some(newest) if newest.timestamp.as_ref() == Some(timestamp) => self.record(&Newest {
                timestamp: None,
                ..newest
            }),
            _ => Ok(()),
        }
    }

    fn record(&self, newest: &Newest) -> Result<()> {
        let text = serde_json::to_string(newest).map_err(StoreError::Json)?;
        Ok(disk::write_whole(&self.state.join(GENERATION), text.as_bytes())?)
    }

    /// The newest backup that was sealed here, where it is missing and guard did not remove it.
    ///
    /// # Errors
    /// The counter or the directory cannot be read.
    pub fn missing_newest(&self) -> Result<Option<Timestamp>> {
        let Some(timestamp) = self.recorded()?.and_then(|newest| newest.timestamp) else {
            return Ok(None);
        };
        Ok(self.get(&timestamp).is_err().then_some(timestamp))
    }
}
