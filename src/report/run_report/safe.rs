//! Texts that may be shown anywhere: without secrets, escape sequences and control characters.

use std::fmt;

use serde::Serialize;

use crate::sink::safe_lines;
use guard_model::secret::Redaction;

/// A text that may be shown; only redaction makes one, so that a report cannot hold any other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Safe(String);

impl Safe {
    /// The text, made safe; its lines stay lines.
    #[must_use]
    pub fn of(foreign: &str, redaction: &Redaction) -> Self {
        Self(safe_lines(foreign, redaction).join("\n"))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as a sentence: with one full stop at its end.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{}.", self.0.trim_end_matches('.'))
    }
}

impl fmt::Display for Safe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl maud::Render for Safe {
    fn render_to(&self, buffer: &mut String) {
        maud::Render::render_to(self.as_str(), buffer);
    }
}
