//! What a copy of a tree says of itself in the manifest.

use serde::{Deserialize, Serialize};

use super::chunks::form::{Form, Packed};
use super::copied::Copied;
use super::made_volume::Made;
use super::node::Precision;
use super::pin::Pin;
use crate::error::{ResourceError, Result};
use guard_model::artifact::Artifact;

/// How a volume is copied while its containers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// They go on writing.
    Live,
    /// They are frozen (`docker pause`).
    Pause,
    /// They are stopped and started again.
    Stop,
}

/// What stands by beside a copy, on the same disk and in the same blocks as what was live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "kebab-case")]
pub(crate) enum Standby {
    /// A snapshot, of which the copy itself was made.
    Snapshot {
        /// The name of guard's own directory.
        home: String,
        /// Where the volume is in it, escaped.
        below: String,
        /// Where it is, for people.
        place: String,
        /// Whether it goes with the backup; else it goes when the run is over.
        kept: bool,
    },
    /// Clones of files that were as they had been read.
    Clones {
        /// The name of guard's own directory.
        home: String,
        /// Where they are, for people.
        place: String,
        /// How many there are.
        files: u64,
    },
    /// Nothing.
    None {
        /// Why.
        why: String,
    },
}

/// What the artifact says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Details {
    pub(crate) source: String,
    pub(crate) mode: Mode,
    pub(crate) precision: Precision,
    pub(crate) entries: u64,
    pub(crate) content_bytes: u64,
    pub(crate) tar_bytes: u64,
    #[serde(default)]
    pub(crate) form: Form,
    #[serde(default)]
    pub(crate) packed: Packed,
    /// Which directory it was; backups of older guards do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pin: Option<Pin>,
    /// How the engine's volume was made; backups of older guards do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) made: Option<Made>,
    /// What stands by, or why nothing does; backups of older guards do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) standby: Option<Standby>,
}

impl Details {
    /// The description of entries that are no volume, in chunks.
    pub(crate) fn of_entries(source: String, copied: &Copied, packed: Packed) -> Self {
        Self {
            source,
            mode: Mode::Live,
            precision: Precision::Seconds,
            entries: copied.entries,
            content_bytes: copied.content_bytes,
            tar_bytes: 0,
            form: Form::Chunks,
            packed,
            pin: None,
            made: None,
            standby: None,
        }
    }
}

pub(crate) fn details(artifact: &Artifact) -> Result<Details> {
    serde_json::from_value(artifact.details.clone()).map_err(|error| ResourceError {
        copy_is_bad: true,
        ..ResourceError::because(
            format!("could not understand what the manifest says of {}", artifact.resource),
            error,
        )
    })
}
