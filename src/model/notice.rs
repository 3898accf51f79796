//! What people outside are told of a run: one notice for each transition, never more.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::name::RunId;

/// The kinds of targets: the words of `kind = "…"` in `[notify.NAME]`.
pub const KINDS: &[&str] = &["slack", "webhook", "mail", "command"];

/// How much a notice matters. A target can ask for the graver ones only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth a look: a release was bad, and production is well.
    Warning,
    /// A person is needed.
    Critical,
}

impl Severity {
    /// The word in settings and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// One step graver; the gravest stays.
    #[must_use]
    pub fn raised(self) -> Self {
        match self {
            Self::Info => Self::Warning,
            Self::Warning | Self::Critical => Self::Critical,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// A deployment, or a rollback by hand, began.
    Began,
    /// The release is bad, and the way back begins.
    TurnedBack,
    /// The new release stays.
    Kept,
    /// Production is what it was before.
    RolledBack,
    /// Nothing was changed, and what was asked for was not done.
    Untouched,
    /// A person has to go on from here.
    NeedsPerson,
    /// A rule of the user's fired.
    Alert,
    /// `guard watch` found production not well.
    Unwell,
    /// Production is well again.
    Well,
    /// Somebody wants to see whether notices arrive.
    Test,
}

/// What is told. All texts are redacted and free of control characters before a target sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// The same for every try to deliver this notice, so that a receiver can drop what it has: `<run>/kept`.
    pub id: String,
    /// What happened.
    pub occasion: Occasion,
    /// How much it matters.
    pub severity: Severity,
    /// When.
    pub at: DateTime<Utc>,
    /// The project.
    pub project: String,
    /// The environment of the settings, where one was chosen.
    pub environment: Option<String>,
    /// The host's name.
    pub host: String,
    /// The run, where it belongs to one.
    pub run: Option<RunId>,
    /// One sentence.
    pub title: String,
    /// More sentences: why, the state of production, the next command.
    pub lines: Vec<String>,
}
