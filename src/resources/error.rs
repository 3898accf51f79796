//! Why an act on a resource failed, in the form that every kind uses.

use guard_system::disk::DiskError;

/// What an act on a resource returns.
pub type Result<T> = std::result::Result<T, ResourceError>;

/// Why an act on a resource failed: a chain of causes, and what to do where that is known.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ResourceError {
    /// What could not be done, and on what.
    pub what: String,
    /// What a person can do about it; a command where there is one.
    pub hint: Option<String>,
    /// The copy itself is at fault: missing, damaged, forged, or made by something newer.
    pub copy_is_bad: bool,
    /// Why.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ResourceError {
    /// An error without a further cause.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: None,
            copy_is_bad: false,
            source: None,
        }
    }

    /// An error with its cause.
    #[must_use]
    pub fn because(what: impl Into<String>, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self {
            what: what.into(),
            hint: None,
            copy_is_bad: false,
            source: Some(Box::new(source)),
        }
    }

    /// An error that says the copy is damaged or not what the manifest lists.
    #[must_use]
    pub fn bad_copy(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: None,
            copy_is_bad: true,
            source: None,
        }
    }

    /// The same error with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<DiskError> for ResourceError {
    fn from(error: DiskError) -> Self {
        let full = error.is_full();
        let error = Self::because("could not use the disk", error);
        if full {
            error.with_hint("free some space, or set `backup_dir` to a larger disk, and run the same command again")
        } else {
            error
        }
    }
}
