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
    /// The images of a release, wherever the engine has them.
    Release {
        /// The release.
        release: NamedRelease,
        /// The one that is live now: an image of it was built from the same repository.
        live: NamedRelease,
    },
}

/// A release by the commit that it was built from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedRelease {
    /// The commit, whole.
    pub commit: String,
    /// What it is called, as tags and labels have it: `v3.9.0`, `3.9.0`.
    pub names: Vec<String>,
    /// The branch that is to be checked out; `None`: the commit alone.
    pub branch: Option<String>,
    /// For people: `1a2b3c4 Fix the basket`.
    pub shown: String,
}

/// What is known of a name that is to be a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// One release has it.
    Release(NamedRelease),
    /// Several have it, each in words: `tag 3.9 (1a2b3c4)`.
    Several(Vec<String>),
    /// None has it; the names that there are.
    Unknown(Vec<String>),
}
