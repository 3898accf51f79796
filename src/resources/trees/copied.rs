//! What a copy of a tree came to: its files by their names, its figures, and what could not be kept.

use std::io;
use std::path::Path;

use crate::error::{ResourceError, Result};
use guard_model::artifact::{Artifact, FileEntry};
use guard_model::fingerprint::Fingerprint;

/// The archive's name in the slot.
pub(crate) const ARCHIVE: &str = "data.tar.zst";

/// The index's name in the slot.
pub(crate) const INDEX: &str = "index.jsonl.zst";

/// How often a file that changes while it is read is read again. A guess.
pub(crate) const ATTEMPTS: u32 = 3;

/// So many sentences about what was not kept are listed one by one.
pub(crate) const LISTED: usize = 100;

/// What a copy came to.
pub(crate) struct Copied {
    pub(crate) files: Vec<FileEntry>,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) entries: u64,
    pub(crate) content_bytes: u64,
    pub(crate) tar_bytes: u64,
    pub(crate) not_kept: Vec<String>,
    /// Files that were never still.
    pub(crate) restless: Vec<String>,
}

pub(crate) fn not_copied(path: &Path, error: io::Error) -> ResourceError {
    let full = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    );
    let error = ResourceError::because(format!("could not copy {}", path.display()), error);
    if full {
        error.with_hint("free some space, or set `backup_dir` to a larger disk, and run the same command again")
    } else {
        error
    }
}

/// The digest by which a copy is known to what was staged from it.
///
/// # Errors
/// The manifest lists no index.
pub(crate) fn mark(artifact: &Artifact) -> Result<&str> {
    let found = artifact
        .file(INDEX)
        .ok_or_else(|| ResourceError::bad_copy("the manifest lists no index"))?;
    Ok(&found.sha256)
}
