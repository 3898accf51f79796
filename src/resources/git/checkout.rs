//! The checkout that is copied, as the settings describe it.

use std::path::PathBuf;

use guard_model::name::ResourceName;

/// The name of the kind in the settings.
pub(crate) const KEY: &str = "git";

/// A work tree.
pub(crate) struct Git {
    pub(crate) name: ResourceName,
    pub(crate) directory: PathBuf,
    /// The project's directory.
    pub(crate) project: PathBuf,
    /// The directories of all resources of this kind.
    pub(crate) others: Vec<PathBuf>,
    /// Whether backups hold what the repository holds for them.
    pub(crate) bundles: bool,
}
