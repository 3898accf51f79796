//! Why a backup cannot be made, found, believed or removed.

use std::path::PathBuf;

use guard_model::name::Timestamp;
use guard_system::disk::DiskError;

/// Why the store refused.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file cannot be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The place is not safe to keep backups in.
    #[error("the backup directory is not safe: {0}")]
    Unsafe(String),
    /// A file of guard's own, in the state directory, is not what it should be.
    #[error("{} cannot be used: {reason}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such backup.
    #[error("there is no backup {timestamp}; `guard list` shows those that there are")]
    NotFound {
        /// What was asked for.
        timestamp: Timestamp,
    },
    /// A directory of this name is there, without a manifest.
    #[error("{timestamp} is not a backup: it has no manifest, so it was never completed or has lost it")]
    NoManifest {
        /// The directory's name.
        timestamp: Timestamp,
    },
    /// A guard on this machine did not write this manifest.
    #[error("the manifest of {timestamp} is not authentic: {reason}")]
    NotAuthentic {
        /// The backup.
        timestamp: Timestamp,
        /// Why it is not believed.
        reason: String,
    },
    /// A newer guard wrote this manifest.
    #[error(
        "the backup {timestamp} has the schema {found}; this guard knows it up to {ours}: use the guard that made it, or a newer one"
    )]
    Newer {
        /// The backup.
        timestamp: Timestamp,
        /// Its schema.
        found: u64,
        /// The newest schema that is known here.
        ours: u64,
    },
    /// A file of a backup is not what its manifest lists.
    #[error("the backup {timestamp} is damaged: {file} {fault}; {}", advice(newest_good.as_ref()))]
    Damaged {
        /// The backup.
        timestamp: Timestamp,
        /// The file, below the backup's directory.
        file: String,
        /// What is wrong with it.
        fault: Fault,
        /// The newest other known-good backup, every byte of which was found sound just now.
        newest_good: Option<Timestamp>,
    },
    /// A backup cannot be completed, since what it should list is not there.
    #[error("could not complete the backup {timestamp}: {file} {fault}")]
    Incomplete {
        /// The backup.
        timestamp: Timestamp,
        /// The file.
        file: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The backup is the last one that is known to be good.
    #[error("{timestamp} is the last known-good backup of {}: without it there is no way back", of.join(", "))]
    LastKnownGood {
        /// The backup.
        timestamp: Timestamp,
        /// What no other known-good backup holds.
        of: Vec<String>,
    },
    /// Nobody knows whether the backup is good, and no other one holds what it holds.
    #[error("{timestamp} is the only backup of {}: without it there is no way back", of.join(", "))]
    OnlyOne {
        /// The backup.
        timestamp: Timestamp,
        /// What no other backup holds.
        of: Vec<String>,
    },
    /// A run still needs the backup.
    #[error("{timestamp} is needed by a run that is not over, or by the way back from the last one")]
    Pinned {
        /// The backup.
        timestamp: Timestamp,
    },
    /// A manifest cannot be written as JSON.
    #[error("could not write a manifest as JSON")]
    Json(#[source] serde_json::Error),
    /// Stopped by a signal.
    #[error("stopped")]
    Stopped,
}

fn advice(newest_good: Option<&Timestamp>) -> String {
    newest_good.map_or_else(
        || "no other known-good backup is sound".to_owned(),
        |timestamp| format!("the newest known-good backup that is sound is {timestamp}"),
    )
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is not there.
    Missing,
    /// It, or a directory on the way to it, is a link or something else that is not an ordinary file.
    NotPlain,
    /// Its path leads out of the backup.
    Outside,
    /// Its length is another.
    Length {
        /// What it has.
        found: u64,
        /// What the manifest lists.
        listed: u64,
    },
    /// Its length is right and its contents are not.
    Contents,
    /// It cannot be read, for this reason.
    Unreadable(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::NotPlain => f.write_str("is not an ordinary file below the backup"),
            Self::Outside => f.write_str("has a path that leads out of the backup"),
            Self::Length { found, listed } if found < listed => {
                write!(f, "is cut off: it has {found} bytes, and the manifest lists {listed}")
            }
            Self::Length { found, listed } => write!(f, "has {found} bytes, and the manifest lists {listed}"),
            Self::Contents => f.write_str("has other contents than the manifest lists (same length, other SHA-256)"),
            Self::Unreadable(reason) => write!(f, "cannot be read: {reason}"),
        }
    }
}

/// What a store's act returns.
pub type Result<T> = std::result::Result<T, StoreError>;
