//! What a copy says of itself in the manifest, and the names of its files.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::{ResourceError, Result};
use crate::sql::proof::Loaded;
use guard_model::artifact::Artifact;

/// The tables' copy in the backup.
pub(crate) const DUMP: &str = "dump.sql.zst";

/// The script of views, triggers, routines and events.
pub(crate) const CODE: &str = "code.sql";

/// What a restore has to know beside the files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Details {
    pub(crate) database: String,
    /// The server's own words: `10.11.19-MariaDB`.
    pub(crate) server: String,
    pub(crate) charset: String,
    pub(crate) collation: String,
    pub(crate) taken_at: DateTime<Utc>,
    /// What a load has proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) loaded: Option<Loaded>,
}

impl Details {
    /// The details of an artifact.
    pub(crate) fn of(artifact: &Artifact) -> Result<Self> {
        serde_json::from_value(artifact.details.clone()).map_err(|error| ResourceError {
            copy_is_bad: true,
            ..ResourceError::because("could not read what the manifest says about the database", error)
        })
    }

    /// The same as an artifact holds it.
    pub(crate) fn written(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self).map_err(|error| ResourceError::because("could not describe the database", error))
    }
}
