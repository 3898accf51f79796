//! What a person decides about a release while it is watched: roll back now, accept it now, or hold.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A person's decision. It stands in the run's directory until the watch takes it up, and in the journal from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intervention {
    /// What is to be done.
    pub choice: Choice,
    /// Who decided: `ada@build-1`.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// How it was said.
    pub via: Via,
    /// Why, where somebody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What can be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// Go back now.
    Rollback,
    /// The release stays; the watch ends.
    Accept,
    /// The release stays for a person to look at; nothing is called good or bad.
    Hold,
}

/// How a decision reached guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// By a key, in the terminal of the run.
    Key,
    /// By `guard decide`, from elsewhere.
    Command,
}

impl Choice {
    /// The word that is typed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rollback => "rollback",
            Self::Accept => "accept",
            Self::Hold => "hold",
        }
    }
}

impl Intervention {
    /// `ada@build-1 decided to roll back (the shop is down)`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let what = match self.choice {
            Choice::Rollback => "decided to roll back",
            Choice::Accept => "accepted the release",
            Choice::Hold => "decided to hold: the release is left as it is",
        };
        let why = self.reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        format!("{} {what}{why}", self.by)
    }
}
