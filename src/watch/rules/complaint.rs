//! What is wrong with a condition, and where.

/// What is wrong with a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Where, in bytes from its beginning.
    pub at: usize,
    /// What.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl Complaint {
    pub(super) fn new(at: usize, message: impl Into<String>, hint: Option<String>) -> Self {
        Self {
            at,
            message: message.into(),
            hint,
        }
    }
}
