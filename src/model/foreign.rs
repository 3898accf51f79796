//! A part of a backup that somebody made by hand, as a resource is given it to make a copy of its own from.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

/// A part of a backup made by hand, and the time that its maker gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Material {
    /// What it is.
    pub part: Part,
    /// When it was made, as its name says.
    pub taken_at: DateTime<Utc>,
}

/// What a part of a backup made by hand is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A database as a plain SQL script.
    Sql {
        /// The file.
        path: PathBuf,
        /// Whether it went through gzip.
        gzip: bool,
    },
    /// A tree of files: tar through gzip.
    Archive {
        /// The file.
        path: PathBuf,
    },
    /// A commit of the project's repository.
    Commit {
        /// Its id, whole or abbreviated.
        commit: String,
        /// The branch that was checked out.
        branch: Option<String>,
    },
}
