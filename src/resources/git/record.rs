//! What a snapshot and a journey say of themselves in the backup and in the journal.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::place::Link;
use super::snapshot::State;
use crate::error::{ResourceError, Result};
use guard_model::artifact::{Artifact, Displaced};

/// A snapshot, and where it is held.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) state: State,
    /// The commit that holds the snapshot; nobody but guard made it.
    #[serde(rename = "snapshot", alias = "commit")]
    pub(super) commit: String,
    pub(super) r#ref: String,
    /// The commit that `history.bundle` in the backup stands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) history: Option<String>,
    /// What the names of its bundles begin with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) bundles: String,
    /// The work trees of other repositories inside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) nested: Vec<Inner>,
    /// The links by which the work tree was reached, and where it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) links: Vec<Link>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<PathBuf>,
}

/// A work tree inside of another.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Inner {
    /// Below the top of the one around it, escaped.
    pub(super) path: String,
    /// What its file `.git` said, where that is a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<String>,
    pub(super) held: Held,
}

/// What a journey displaced.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Back {
    pub(super) state: State,
    /// The ref that holds it.
    pub(super) r#ref: String,
    /// The same of the work trees inside, by their paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) nested: Vec<(String, Back)>,
    /// Where the links led, and the work tree that was changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) links: Vec<Link>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<PathBuf>,
}

pub(super) fn value<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| ResourceError::because("could not describe the work tree", error))
}

pub(super) fn held(artifact: &Artifact) -> Result<Held> {
    serde_json::from_value(artifact.details.clone()).map_err(|error| ResourceError {
        copy_is_bad: true,
        ..ResourceError::because(
            format!("could not understand what the manifest says of {}", artifact.resource),
            error,
        )
    })
}

pub(super) fn back(displaced: &Displaced) -> Result<Back> {
    serde_json::from_value(displaced.details.clone())
        .map_err(|error| ResourceError::because("could not understand what a rollback displaced", error))
}
