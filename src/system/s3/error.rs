//! Why a storage did not do what it was asked.

use crate::disk::DiskError;

/// Why a storage did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct RemoteError {
    /// What could not be done.
    pub what: String,
    /// Why.
    pub why: String,
}

impl RemoteError {
    /// An error that says what was asked (`what`) and why it was not had (`why`).
    pub fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why: why.into(),
        }
    }
}

impl From<DiskError> for RemoteError {
    fn from(error: DiskError) -> Self {
        Self::new(error.to_string(), error.source.to_string())
    }
}

/// What a question to a storage returns.
pub type Result<T> = std::result::Result<T, RemoteError>;
