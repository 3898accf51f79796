//! What the manifest keeps of a project's images.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{ResourceError, Result};
use crate::trees::details::Details as Packed;
use guard_model::artifact::{Artifact, Work};
use guard_system::docker::{Compose, Pin};

/// The image of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Recorded {
    /// Its full id.
    pub(super) image: String,
    /// The names by which Compose asks for it.
    pub(super) names: Vec<String>,
    /// Its digests in registries, `name@sha256:…`.
    pub(super) digests: Vec<String>,
}

/// What the manifest keeps of a capture.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Details {
    pub(super) compose: Compose,
    pub(super) services: BTreeMap<String, Recorded>,
    /// One for each service.
    pub(super) pins: BTreeMap<String, Pin>,
    /// The images that are in the backup itself, in chunks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) saved: Option<Packed>,
}

impl Details {
    /// The name of the image that guard builds for a service whose recorded one is nowhere any more.
    pub(super) fn built(&self, service: &str) -> String {
        self.pins
            .get(service)
            .map(|pin| format!("{}-built", pin.tag))
            .unwrap_or_default()
    }
}

/// What a preparation notes for the way back.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Staged {
    /// The services whose containers going back replaces.
    pub(super) replaces: Vec<String>,
}

/// The services among what differs, as the fingerprint names its parts.
pub(super) fn services_in(work: &Work) -> Vec<String> {
    let Work::Changed(parts) = work else {
        return Vec::new();
    };
    let services = parts.iter().filter_map(|part| part.strip_prefix("service "));
    services.map(str::to_owned).collect()
}

/// Reads what the manifest says of a copy.
///
/// # Errors
/// It cannot be understood (`copy_is_bad`).
pub(super) fn details(artifact: &Artifact) -> Result<Details> {
    let read: std::result::Result<Details, _> = serde_json::from_value(artifact.details.clone());
    read.map_err(|error| ResourceError {
        copy_is_bad: true,
        ..ResourceError::because("could not read the copy's description", error)
    })
}

/// The file in the slot that lists the images for people.
pub(crate) const LISTING: &str = "images.json";
