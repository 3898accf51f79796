//! The form of a copy: one archive, or chunks shared with the backups before.

use serde::{Deserialize, Serialize};

/// Bytes of content from which a copy is made in chunks, where nobody says otherwise: below it a whole archive costs less
/// than a look at what is known already.
pub(crate) const LARGE: u64 = 256 * 1024 * 1024;

/// The form of a copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Form {
    /// One tar through zstd, which those two read alone.
    #[default]
    Archive,
    /// Chunks, shared with the backups before.
    Chunks,
}

impl Form {
    /// As an act's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Chunks => "chunks",
        }
    }
}

/// What the manifest says of a copy in chunks, beside what it says of every copy.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Packed {
    /// When the tree began to be read, in seconds since 1970; of an archive, too. 0: not known.
    #[serde(default)]
    pub(crate) begun: i64,
    /// Bytes of content in all blocks of all packs, also of those that only other backups need.
    pub(crate) bytes: u64,
    /// Bytes of content that this copy stored anew.
    pub(crate) stored: u64,
}

impl Packed {
    /// Of an archive, whose tree began to be read then.
    pub(crate) fn begun(begun: i64) -> Self {
        Self {
            begun,
            ..Self::default()
        }
    }
}
