//! An error as guard tells it, in four parts: what failed, why, what guard did about it, what can be done now.

use serde::Serialize;

use super::line::{Line, Tone};
use guard_model::fact::Failure;

/// A command to run next, and what for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Next {
    /// What for, to stand before a colon: `to continue`.
    pub purpose: String,
    /// The command, as it is typed.
    pub command: String,
}

impl Next {
    /// A command and what it is for.
    #[must_use]
    pub fn new(purpose: impl Into<String>, command: impl Into<String>) -> Self {
        Self {
            purpose: purpose.into(),
            command: command.into(),
        }
    }
}

/// The four parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// What failed, as a sentence without its full stop.
    pub failed: String,
    /// Why: the chain of causes, outermost first; may be empty. What follows the first line of one is the text that it is about.
    pub why: Vec<String>,
    /// What guard did about it and in which state production is, each a sentence.
    pub did: Vec<String>,
    /// What can be done now.
    pub next: Option<Next>,
}

impl Account {
    /// The account of an error with its chain of causes.
    #[must_use]
    pub fn of_error(error: &(dyn std::error::Error + 'static), did: impl Into<String>, next: Option<Next>) -> Self {
        Self::of_failure(&Failure::from_error(error), did, next)
    }

    /// The account of a recorded failure; its hint stands among the reasons.
    #[must_use]
    pub fn of_failure(failure: &Failure, did: impl Into<String>, next: Option<Next>) -> Self {
        let mut chain = failure.chain.iter().filter(|cause| !cause.is_empty()).cloned();
        let failed = chain.next().unwrap_or_else(|| "something failed".to_owned());
        let why = chain
            .chain(failure.hint.iter().map(|hint| format!("hint: {hint}")))
            .collect();
        Self {
            failed,
            why,
            did: vec![did.into()],
            next,
        }
    }

    /// The parts as lines for people.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let error = |text: String| Line {
            tone: Tone::Error,
            text,
        };
        let mut lines = vec![error(self.failed.clone())];
        for why in &self.why {
            // The lines after the first are what it is about, as it is written.
            let mut parts = why.split('\n');
            lines.extend(parts.next().map(|first| error(format!("  why: {first}"))));
            lines.extend(parts.map(|more| error(format!("       {more}"))));
        }
        lines.extend(self.did.iter().map(|did| error(format!("  guard: {did}"))));
        lines.extend(
            self.next
                .iter()
                .map(|next| error(format!("  now, {}: {}", next.purpose, next.command))),
        );
        lines
    }

    /// The parts as Markdown paragraphs.
    #[must_use]
    pub fn markdown(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!("**What failed.** {}.\n", self.failed.trim_end_matches('.'));
        if !self.why.is_empty() {
            text.push_str("\n**Why.**\n\n");
            for why in &self.why {
                let _infallible = writeln!(text, "- {}", why.replace('\n', "\n      "));
            }
        }
        if !self.did.is_empty() {
            let _infallible = writeln!(text, "\n**What guard did.** {}", self.did.join(" "));
        }
        if let Some(next) = &self.next {
            let _infallible = writeln!(
                text,
                "\n**What you can do now,** {}:\n\n```\n{}\n```",
                next.purpose, next.command
            );
        }
        text
    }
}
