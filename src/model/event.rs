//! What is told while it happens: facts, which must arrive, and progress, which may be lost.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fact::Record;
use super::health::{Reading, Tally};
use super::name::{RuleName, RunId};
use super::notice::Severity;
use super::plan::StepId;
use super::standing::{Phase, Standing};

/// Something that can be shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A fact; it is in the journal already.
    Fact {
        /// The run.
        run: RunId,
        /// The record.
        record: Box<Record>,
    },
    /// Long work moves on.
    Progress {
        /// The step, where it belongs to one.
        step: Option<StepId>,
        /// What is being done: `dump app`.
        what: String,
        /// Bytes done.
        done: u64,
        /// Bytes in all, where it is known.
        total: Option<u64>,
    },
    /// A probe has answered.
    Reading(Reading),
    /// Where the watch stands; told after every round.
    Watching {
        /// Seconds since the window began.
        elapsed: f64,
        /// Seconds in all.
        window: f64,
        /// The counts.
        tally: Tally,
    },
    /// How the probes stand; told several times a second at most, and only to be looked at.
    Standing {
        /// What is waited for.
        phase: Phase,
        /// Seconds since the phase began.
        elapsed: f64,
        /// Seconds until it is over.
        of: f64,
        /// The probes that decide.
        probes: Vec<Standing>,
        /// What the release has to come up for yet, in words; `None` where nothing is known to be missing.
        waits_for: Option<String>,
    },
    /// A rule of the user's fired.
    Alert {
        /// Its name.
        rule: RuleName,
        /// How much it matters.
        severity: Severity,
        /// What holds, with its figures, and what follows.
        text: String,
    },
    /// A line of the deploy command or of a hook, redacted.
    Output {
        /// Who wrote it: `deploy`, `verify`.
        source: String,
        /// One line, without its end.
        line: String,
    },
    /// Something worth saying.
    Note {
        /// How much it matters.
        level: Level,
        /// A sentence.
        text: String,
    },
}

/// How much a note matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Only with `-v`.
    Detail,
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warn,
    /// Wrong.
    Error,
}

/// Where events go. Telling never fails, never blocks, and never changes what is done.
pub trait Audience: Send + Sync {
    /// Takes an event.
    fn tell(&self, event: &Event);
}

/// A shared audience.
#[derive(Clone)]
pub struct Voice(Arc<dyn Audience>);

impl Voice {
    /// Speaks to this audience.
    #[must_use]
    pub fn new(audience: Arc<dyn Audience>) -> Self {
        Self(audience)
    }

    /// Speaks to nobody.
    #[must_use]
    pub fn silent() -> Self {
        struct Nobody;
        impl Audience for Nobody {
            fn tell(&self, _: &Event) {}
        }
        Self(Arc::new(Nobody))
    }

    /// Tells an event.
    pub fn tell(&self, event: &Event) {
        self.0.tell(event);
    }

    /// Tells a note.
    pub fn note(&self, level: Level, text: impl Into<String>) {
        self.tell(&Event::Note {
            level,
            text: text.into(),
        });
    }
}

impl fmt::Debug for Voice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Voice(…)")
    }
}
