//! What the manifest says of a database beside its files: all that a restore has to know.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::catalog::{Catalog, Server};
use super::manner::Manner;
use super::moment::{Moment, Origin};
use super::properties::Properties;
use super::surroundings::Surroundings;
use crate::error::{ResourceError, Result};
use crate::sql::proof::Loaded;
use guard_model::artifact::Artifact;
use guard_model::fingerprint::Fingerprint;
use guard_system::disk::sha256_hex;

/// What a restore has to know beside the archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Details {
    pub(super) database: String,
    pub(super) server: Server,
    /// The `pg_dump` that wrote the archive.
    pub(super) dump_version: String,
    pub(super) properties: Properties,
    /// Extensions and their versions.
    pub(super) extensions: BTreeMap<String, String>,
    /// Extensions and their schemas.
    #[serde(default)]
    pub(super) extension_schemas: BTreeMap<String, String>,
    /// Roles that must exist where the archive is restored.
    pub(super) roles: Vec<String>,
    /// What the database relies on beside its extensions.
    #[serde(default)]
    pub(super) surroundings: Surroundings,
    pub(super) taken_at: DateTime<Utc>,
    /// Where the server was, where that stays the same when it is made anew: a compose service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<String>,
    /// In which manner it loads.
    #[serde(default, skip_serializing_if = "Manner::is_plain")]
    pub(super) manner: Manner,
    /// What a load has proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) loaded: Option<Loaded>,
    /// The moment at which it was looked at, as the server's transactions count time; `None` in backups of before it was kept,
    /// and where what the server said of it could still be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) moment: Option<Moment>,
}

impl Details {
    /// What a catalog says of the database that it was read from.
    pub(super) fn from_catalog(catalog: Catalog, database: &str, dump_version: &str, taken_at: DateTime<Utc>) -> Self {
        Self {
            database: database.to_owned(),
            server: catalog.server,
            dump_version: dump_version.to_owned(),
            properties: catalog.properties,
            extensions: catalog.extensions,
            extension_schemas: catalog.extension_schemas,
            roles: catalog.roles,
            surroundings: catalog.surroundings,
            taken_at,
            place: None,
            manner: Manner::default(),
            loaded: None,
            moment: catalog.moment,
        }
    }

    /// What has to be the same for a load to prove another copy as well.
    pub(super) fn shape(&self, print: &Fingerprint) -> String {
        let parts = ["schema", "extensions", "database"].map(|part| print.part(part).unwrap_or_default());
        let text = format!("{} {} {}", parts.join(" "), self.server.version, self.dump_version);
        sha256_hex(text.as_bytes())
    }

    /// What tells later which rows were written since.
    pub(super) fn origin(&self) -> Origin<'_> {
        Origin {
            moment: self.moment.as_ref(),
            server: (self.server.system_identifier.as_deref(), self.server.number),
        }
    }

    /// The same as an artifact holds it.
    pub(super) fn written(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self).map_err(|error| ResourceError::because("could not describe the database", error))
    }

    /// The details of an artifact.
    pub(super) fn of(artifact: &Artifact) -> Result<Self> {
        serde_json::from_value(artifact.details.clone()).map_err(|error| ResourceError {
            copy_is_bad: true,
            ..ResourceError::because("could not read what the manifest says about the database", error)
        })
    }
}
