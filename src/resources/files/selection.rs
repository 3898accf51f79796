//! The files of a project that are copied, as the settings choose them.

use std::path::PathBuf;

use globset::GlobSet;

use guard_model::name::ResourceName;

/// Files of the project.
pub(crate) struct Files {
    pub(crate) name: ResourceName,
    pub(crate) directory: PathBuf,
    /// As written, for messages.
    pub(crate) written: Vec<String>,
    pub(crate) patterns: GlobSet,
    /// The paths without wildcards under which matches can lie.
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) check: Vec<Vec<String>>,
    pub(crate) after: Vec<Vec<String>>,
}

/// The name of the list in the slot.
pub(crate) const LIST: &str = "files.json";

/// The directory in the slot in which the files lie, each under its digest.
pub(crate) const BLOBS: &str = "blobs";
