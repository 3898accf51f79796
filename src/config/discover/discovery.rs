//! What was found in a directory.

use std::path::Path;

use super::found::Found;

/// What was found, in the order in which it is written down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// The compose files, from the directory where they lie in it.
    pub compose_files: Vec<String>,
    /// What can be copied and put back.
    pub resources: Vec<Found>,
    /// What can be asked.
    pub probes: Vec<Found>,
    /// What was seen and could not be taken up, each a sentence.
    pub notes: Vec<String>,
}

impl Discovery {
    /// Whether there is nothing to go back to here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.probes.is_empty()
    }
}

/// A path from the directory where it lies in it.
pub(super) fn shown(path: &Path, directory: &Path) -> String {
    path.strip_prefix(directory).unwrap_or(path).display().to_string()
}
