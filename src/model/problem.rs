//! What is wrong with the settings: one thing, its place, and what would be right.

use std::fmt;

/// One thing wrong with the settings. They are collected, so that a person sees all of them at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: `guard.toml:12:8`, `GUARD_ERROR_THRESHOLD`, `--interval`.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// The nearest right name, or the form that is expected.
    pub hint: Option<String>,
    /// The line of the file and a caret below the place, on two lines, without secrets; `None` where it is about no line.
    pub excerpt: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}
