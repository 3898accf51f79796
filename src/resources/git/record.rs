//! What a snapshot and a journey say of themselves in the backup and in the journal.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::snapshot::State;
use crate::model::artifact::{Artifact, Displaced};
use crate::resources::{ResourceError, Result};

/// A snapshot, and where it is held.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) state: State,
    pub(super) commit: String,
    pub(super) r#ref: String,
    /// The commit that `history.bundle` in the backup stands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) history: Option<String>,
}

/// What a journey displaced.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Back {
    pub(super) state: State,
    /// The ref that holds it.
    pub(super) r#ref: String,
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
