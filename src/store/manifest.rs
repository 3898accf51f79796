//! The manifest of a backup: what it holds, under which circumstances it was made, and the seal over both.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::key::Key;
use super::{Result, StoreError};
use guard_model::artifact::{Artifact, FileEntry};
use guard_model::name::{ResourceName, RunId, Timestamp};

/// The newest schema of manifests that this guard reads.
pub const SCHEMA: u64 = 2;
/// That of backups that are not encrypted: an older guard reads them.
const PLAIN: u64 = 1;

/// The manifest's name in a backup.
pub(super) const FILE: &str = "manifest.json";

/// The names of resources, by resource: those that share one are the same thing.
pub type Identities = BTreeMap<ResourceName, Vec<String>>;

/// What a backup holds. It is never changed; what was learnt later stands beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The backup's name.
    pub timestamp: Timestamp,
    /// Higher than that of every backup before it, whatever the clock said.
    pub generation: u64,
    /// When it was begun, by the clock of its host.
    pub begun: DateTime<Utc>,
    /// The version of guard that made it.
    pub guard: String,
    /// The host.
    pub host: String,
    /// The run that made it.
    pub run: Option<RunId>,
    /// The environment, as in `--environment`.
    pub environment: Option<String>,
    /// What it was taken of, as the lock names it: engine and project, database system and name.
    pub target: Option<String>,
    /// Whether the system was well when it was taken.
    pub known_good: Knowledge,
    /// What the person who made it wrote.
    pub description: Option<String>,
    /// The deploy command before which it was taken, redacted; empty where there was none.
    pub command: Vec<String>,
    /// The checkout.
    pub git: Option<GitState>,
    /// The copies.
    pub artifacts: Vec<Artifact>,
    /// What each resource was, by names that tell it from every other one: `file /srv/app/app.db`. Empty before guard noted
    /// it, and where it could not be told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub identities: Identities,
    /// What was live when it was taken, by resource, for people: `1a2b3c4 Fix the basket (v1.4.1)`, `app shop/app:1.4.1`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub live: BTreeMap<ResourceName, Vec<String>>,
    /// The settings that were in force, as a file of the backup; a rollback reads these.
    #[serde(default)]
    pub settings: Option<FileEntry>,
    /// The side of a blue-green deployment that visitors were at; `None`: there were no sides, or nobody could tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<String>,
    /// The recipients for whom the copies are encrypted, sorted; empty: they are not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
}

impl Manifest {
    /// The copy of a resource.
    #[must_use]
    pub fn artifact(&self, name: &ResourceName) -> Option<&Artifact> {
        self.artifacts.iter().find(|artifact| &artifact.resource == name)
    }

    /// Bytes that the copies take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.artifacts.iter().map(Artifact::bytes).sum()
    }
}

/// Whether a backup is worth going back to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Knowledge {
    /// The probes passed while it was taken.
    KnownGood,
    /// They did not, or something was found later: this.
    Tainted(String),
    /// Nobody asked.
    #[default]
    Unknown,
}

/// The commit that was checked out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitState {
    /// Full id.
    pub commit: String,
    /// The branch; `None` for a detached head.
    pub branch: Option<String>,
}

#[derive(Deserialize)]
struct Schema {
    schema_version: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<'s> {
    schema_version: u64,
    key: String,
    mac: String,
    #[serde(borrow)]
    manifest: &'s RawValue,
}

fn envelope(schema: u64, key: &str, mac: &str, manifest: &str) -> String {
    format!("{{\"schema_version\":{schema},\"key\":\"{key}\",\"mac\":\"{mac}\",\"manifest\":{manifest}}}\n")
}

fn sign(key: &Key, schema: u64, timestamp: &Timestamp, manifest: &str) -> String {
    let schema = schema.to_string();
    key.sign(&[
        b"manifest",
        schema.as_bytes(),
        timestamp.as_str().as_bytes(),
        manifest.as_bytes(),
    ])
}

/// The file of a manifest.
pub(super) fn seal(manifest: &Manifest, key: &Key) -> Result<String> {
    let raw = serde_json::to_string_pretty(manifest).map_err(StoreError::Json)?;
    let schema = if manifest.recipients.is_empty() { PLAIN } else { SCHEMA };
    let mac = sign(key, schema, &manifest.timestamp, &raw);
    Ok(envelope(schema, &key.id(), &mac, &raw))
}

/// The manifest in a file, believed only where this key sealed it for a backup of this name.
pub(super) fn open(bytes: &[u8], timestamp: &Timestamp, key: &Key) -> Result<Manifest> {
    let refuse = |reason: String| StoreError::NotAuthentic {
        timestamp: timestamp.clone(),
        reason,
    };
    let unreadable = |error: &dyn std::fmt::Display| refuse(format!("it cannot be read ({error})"));
    let text = std::str::from_utf8(bytes).map_err(|error| unreadable(&error))?;
    let schema: Schema = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    if schema.schema_version > SCHEMA {
        return Err(StoreError::Newer {
            timestamp: timestamp.clone(),
            found: schema.schema_version,
            ours: SCHEMA,
        });
    }
    let sealed: Sealed<'_> = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    let raw = sealed.manifest.get();
    if sealed.key != key.id() {
        return Err(refuse(format!(
            "it was sealed with the key {}, and the key here is {}; it was made on another machine, by another user, or \
             the key has been lost since",
            guard_model::text::shortened(&guard_model::text::sanitised(&sealed.key), 16),
            key.id()
        )));
    }
    let schema = sealed.schema_version.to_string();
    let parts: [&[u8]; 4] = [
        b"manifest",
        schema.as_bytes(),
        timestamp.as_str().as_bytes(),
        raw.as_bytes(),
    ];
    if !key.has_signed(&parts, &sealed.mac) || envelope(sealed.schema_version, &sealed.key, &sealed.mac, raw) != text {
        return Err(refuse(
            "its seal does not fit; it was edited, damaged, or moved here from another backup".to_owned(),
        ));
    }
    let manifest: Manifest = serde_json::from_str(raw).map_err(|error| unreadable(&error))?;
    if &manifest.timestamp != timestamp {
        return Err(refuse(format!("it is that of {}", manifest.timestamp)));
    }
    Ok(manifest)
}
