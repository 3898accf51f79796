//! The volume or directory that is copied, as its settings describe it.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::carry_over::CarryOver;
use crate::trees::chunks::form::Form;
use crate::trees::details::Mode;
use guard_model::name::ResourceName;
use guard_system::docker::Compose;

/// The kind's name in the settings.
pub(crate) const KEY: &str = "volume";

/// A Docker volume, or a directory.
pub(crate) struct Volume {
    pub(crate) name: ResourceName,
    pub(crate) target: Target,
    pub(crate) mode: Mode,
    /// zstd's level.
    pub(crate) level: i32,
    /// The form of a copy; `None`: by its size.
    pub(crate) form: Option<Form>,
    /// Reads also what cannot have changed.
    pub(crate) force_read: bool,
    /// Whether something stands by of it, on ground that copies in an instant.
    pub(crate) stands_by: bool,
    /// Reaches the volume as if the engine were on another host.
    pub(crate) through_engine: bool,
    /// Which files a rollback leaves where they are.
    pub(crate) carry_over: CarryOver,
    pub(crate) project: Option<String>,
    /// The Compose project's files.
    pub(crate) compose: Option<Compose>,
    /// What containers mount, once it was found.
    pub(crate) found: OnceLock<String>,
    /// What its files came to when they were last counted.
    pub(crate) bytes: OnceLock<u64>,
}

/// What the settings name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A volume, by its key in the compose file or its name in the engine.
    Volume(String),
    /// A directory, relative to the project's.
    Path(PathBuf),
}
