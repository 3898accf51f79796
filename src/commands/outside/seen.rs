//! What this machine has heard of the last visit to a host: enough to go on where it left, by another process as well.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use guard_system::disk;
use guard_system::environment::Environment;

/// How far the words of a visit were heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// The visit.
    pub(super) visit: String,
    /// The digest of the program that it was begun with.
    pub(super) program: String,
    /// The run, once it is known.
    pub(super) run: Option<String>,
    /// Bytes of standard output.
    pub(super) out: u64,
    /// Bytes of standard error.
    pub(super) err: u64,
}

/// Where it is kept, for one host and one project there.
#[derive(Debug, Clone)]
pub(super) struct Place(Option<PathBuf>);

impl Place {
    /// The place for this host and directory; nowhere for a user without a home.
    pub(super) fn of(host: &str, directory: &Path, environment: &Environment) -> Self {
        let cache = environment
            .path("XDG_CACHE_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| environment.path("HOME").map(|home| home.join(".cache")));
        let name = disk::sha256_hex(format!("{host}\n{}", directory.display()).as_bytes());
        Self(cache.map(|cache| cache.join("guard/seen").join(name)))
    }

    /// What is known.
    pub(super) fn read(&self) -> Option<Seen> {
        let bytes = disk::read_optional(self.0.as_deref()?).ok().flatten()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Keeps it. Where that cannot be, all is told again by the next one.
    pub(super) fn write(&self, seen: &Seen) {
        let Some(path) = &self.0 else { return };
        if let (Some(parent), Ok(bytes)) = (path.parent(), serde_json::to_vec(seen)) {
            let _optional = disk::create_private_dir(parent).and_then(|()| disk::write_whole(path, &bytes));
        }
    }

    /// Forgets it: all was heard.
    pub(super) fn forget(&self) {
        if let Some(path) = &self.0 {
            let _optional = std::fs::remove_file(path);
        }
    }
}
