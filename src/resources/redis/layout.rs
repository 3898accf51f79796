//! What a copy says of itself, and where a server's files are.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::reading::Seen;
use crate::error::{ResourceError, Result};
use guard_model::artifact::Artifact;

/// The copy in the backup.
pub(crate) const COPY: &str = "dump.rdb";

/// Where a server's files are, from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layout {
    pub(crate) directory: PathBuf,
    /// The file's name.
    pub(crate) rdb: String,
    /// The log of writes, where one is kept: it counts, and not the file, when the server starts.
    pub(crate) log: Log,
}

/// In which form a server logs its writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Log {
    /// It keeps none.
    None,
    /// One file, as before version 7.
    File(String),
    /// A directory with a list of its files.
    Directory { directory: String, name: String },
}

/// What a restore has to know beside the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Details {
    pub(crate) version: String,
    pub(crate) layout: Layout,
    pub(crate) seen: Seen,
    pub(crate) taken_at: DateTime<Utc>,
    /// The digest of the file as the server wrote it.
    pub(crate) sha256: String,
    /// It is Valkey, whose later versions write what no Redis reads.
    #[serde(default)]
    pub(crate) valkey: bool,
}

impl Details {
    /// The details of an artifact.
    pub(crate) fn of(artifact: &Artifact) -> Result<Self> {
        serde_json::from_value(artifact.details.clone()).map_err(|error| ResourceError {
            copy_is_bad: true,
            ..ResourceError::because("could not read what the manifest says about the server", error)
        })
    }
}

/// The name of the file in a log's directory that holds what was there when it was begun.
pub(crate) fn base(name: &str) -> String {
    format!("{name}.1.base.rdb")
}
