//! Why a journal cannot be used.

use std::path::PathBuf;

use guard_system::disk::DiskError;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// There is no journal.
    #[error("there is no journal at {}", path.display())]
    Absent {
        /// Where it would be.
        path: PathBuf,
    },
    /// A line is not what was written, and it is not merely the torn end of the file.
    #[error("{} is damaged at line {line} of {lines}: {reason}; nothing after line {} can be trusted", path.display(), line - 1)]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The first line that is wrong, from 1.
        line: usize,
        /// How many lines there are.
        lines: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer guard wrote it.
    #[error("{} has the format {found}; this guard knows it up to {ours}: use the guard that wrote it, or a newer one", path.display())]
    Newer {
        /// The journal.
        path: PathBuf,
        /// The version of its lines.
        found: u64,
        /// The newest version that is known here.
        ours: u64,
    },
    /// An earlier write could not be made durable, so nothing can be promised about what follows it.
    #[error("{} takes no more records: an earlier one could not be made durable", path.display())]
    Poisoned {
        /// The journal.
        path: PathBuf,
    },
    /// Somebody has removed the file while it was written to.
    #[error("{} was removed while the run went on", path.display())]
    Removed {
        /// Where the journal was.
        path: PathBuf,
    },
    /// A record cannot be written as JSON.
    #[error("could not write a record as JSON")]
    Record(#[source] serde_json::Error),
}
