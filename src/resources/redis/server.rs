//! One server, as its settings describe it.

use std::path::PathBuf;

use crate::way::Way;
use guard_model::name::ResourceName;

/// The kind's name in the settings.
pub(crate) const KEY: &str = "redis";

/// One server, with all of its databases.
#[derive(Debug, Clone)]
pub(crate) struct Redis {
    pub(crate) name: ResourceName,
    pub(crate) way: Way,
    pub(crate) user: Option<String>,
    pub(crate) password_env: Option<String>,
    /// The directory of its files, where the server may not tell.
    pub(crate) path: Option<PathBuf>,
    /// The settings know how to stop what is no Compose project.
    pub(crate) is_stopped: bool,
}
