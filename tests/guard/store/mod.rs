//! The store of backups, on real directories.

mod authenticity;
mod choosing;
mod foreign;
mod ground;
mod killed;
mod refusing;
mod removal;
mod retention;
mod sealing;
mod trial;

use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use guard::model::artifact::{Artifact, FileEntry};
use guard::model::fingerprint::Fingerprint;
use guard::model::name::Timestamp;
use guard::resources::Slot;
use guard::store::{Backup, Knowledge, Listed, ManifestInput, Scope, Store, candidates};

/// A store of its own, with its state beside it.
pub struct Place {
    root: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self {
            root: tempfile::Builder::new().prefix("guard-store-").tempdir().unwrap(),
        }
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn backups(&self) -> PathBuf {
        self.root.path().join("backups")
    }

    pub fn state(&self) -> PathBuf {
        self.root.path().join("state")
    }

    pub fn store(&self) -> Store {
        Store::open(&self.backups(), &self.state()).unwrap()
    }
}

/// `seconds` after a fixed moment.
pub fn moment(seconds: i64) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2025, 10, 22, 15, 30, 0).unwrap() + TimeDelta::seconds(seconds)
}

/// An artifact of these files, really written.
pub fn artifact(directory: &Path, name: &str, kind: &str, files: &[(&str, &[u8])]) -> Artifact {
    let resource = name.parse().unwrap();
    let slot = Slot::new(directory, &resource);
    let files: Vec<FileEntry> = files
        .iter()
        .map(|(name, bytes)| slot.keep_bytes(bytes, name).unwrap())
        .collect();
    Artifact {
        project: None,
        resource,
        kind: kind.to_owned(),
        fingerprint: Fingerprint::default(),
        files,
        details: serde_json::Value::Null,
        summary: "a copy".to_owned(),
        not_kept: Vec::new(),
        tools: vec![("pg_dump".to_owned(), "17.6".to_owned())],
    }
}

/// A sealed backup with a dump and an archive; the contents differ from moment to moment and have the same length.
pub fn backup(store: &Store, at: DateTime<Utc>, known_good: Knowledge) -> Backup {
    let draft = store.begin(at).unwrap();
    let dump = format!("dump of {:>20}", draft.timestamp().as_str());
    let input = ManifestInput {
        artifacts: vec![
            artifact(
                draft.directory(),
                "db",
                "postgres",
                &[("dump.pgc", dump.as_bytes()), ("roles.sql", b"roles")],
            ),
            artifact(
                draft.directory(),
                "objects",
                "volume",
                &[("volume.tar.zst", b"archive of objects")],
            ),
        ],
        known_good,
        description: Some("before 1.4.2".to_owned()),
        ..ManifestInput::default()
    };
    store.seal(&draft, input).unwrap()
}

/// What is listed, each as `kind name`.
pub fn shown(listed: &[Listed]) -> Vec<String> {
    listed
        .iter()
        .map(|listed| {
            let kind = match listed {
                Listed::Backup(_) => "backup",
                Listed::Foreign(_) => "foreign",
                Listed::Incomplete { .. } => "incomplete",
                Listed::Unreadable { .. } => "unreadable",
            };
            format!("{kind} {}", listed.name())
        })
        .collect()
}

/// The newest backup that would be chosen for a system without a name of its own, or for this one.
pub fn latest<'l>(listed: &'l [Listed], target: Option<&str>) -> Option<&'l Backup> {
    in_order(listed, target).first().copied()
}

/// The one before it.
pub fn previous<'l>(listed: &'l [Listed], target: Option<&str>) -> Option<&'l Backup> {
    in_order(listed, target).get(1).copied()
}

fn in_order<'l>(listed: &'l [Listed], target: Option<&str>) -> Vec<&'l Backup> {
    let scope = Scope {
        target: target.unwrap_or_default().to_owned(),
        ..Scope::default()
    };
    candidates(listed, &scope, &[])
}

/// A timestamp from text.
pub fn stamp(text: &str) -> Timestamp {
    text.parse().unwrap()
}
