//! Telling people outside: Slack, webhooks, mail, commands. No target can hold a run up or change what it decides.

mod address;
mod command;
mod mail;
mod notifier;
mod post;
mod words;

use std::sync::Arc;

use async_trait::async_trait;

use guard_model::name::TargetName;
use guard_model::notice::{Notice, Severity};
use guard_model::section::Section;
use guard_system::context::Context;

pub use address::{Standing, standing};
pub use notifier::{Notifier, TOTAL};

/// All kinds. To add one: a file here, its line in this list, and its word in `model::notice::KINDS`.
pub const KINDS: &[Kind] = &[post::SLACK, post::WEBHOOK, mail::KIND, command::KIND];

/// A kind of target.
pub struct Kind {
    /// As in `kind = "slack"`.
    pub key: &'static str,
    /// One line for the docs.
    pub about: &'static str,
    /// Reads the kind's own keys. Problems are told to the section; `None` where there are any.
    build: fn(&mut Section<'_>) -> Option<Arc<dyn Way>>,
}

/// How one kind hands a notice over.
#[async_trait]
trait Way: Send + Sync {
    /// Hands it over once. The notice is clean already; what the target's own form needs is escaped here.
    async fn tell(&self, notice: &Notice, cx: &Context) -> Result<(), Trouble>;

    /// Where it goes, for people, without secrets.
    fn describe(&self) -> String;

    /// What must be in no text.
    fn secrets(&self) -> Vec<&str> {
        Vec::new()
    }
}

/// Why a notice was not handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trouble {
    /// In a few words, without the address.
    why: String,
    /// Another try cannot help.
    is_lasting: bool,
}

impl Trouble {
    fn lasting(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            is_lasting: true,
        }
    }

    fn passing(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            is_lasting: false,
        }
    }
}

/// Somebody who is told.
#[derive(Clone)]
pub struct Target {
    name: TargetName,
    from: Severity,
    way: Arc<dyn Way>,
}

impl Target {
    /// Reads a target of this kind from its table; `None` where something is wrong with it, which the section knows.
    pub fn read(kind: &str, name: TargetName, section: &mut Section<'_>) -> Option<Self> {
        let kind = KINDS.iter().find(|known| known.key == kind)?;
        let choices = [Severity::Info, Severity::Warning, Severity::Critical].map(|from| (from.as_str(), from));
        let from = section.choice("severity", &choices).unwrap_or(Severity::Info);
        let way = (kind.build)(section)?;
        Some(Self { name, from, way })
    }

    /// Its name in `guard.toml`.
    #[must_use]
    pub fn name(&self) -> &TargetName {
        &self.name
    }

    /// Where it goes and from which severity on, for people, without secrets.
    #[must_use]
    pub fn describe(&self) -> String {
        let from = match self.from {
            Severity::Info => "every notice".to_owned(),
            Severity::Warning => "warnings and graver".to_owned(),
            Severity::Critical => "only where a person is needed".to_owned(),
        };
        format!("{}: {from}", self.way.describe())
    }

    /// What must be in no text: whoever has a webhook's address can post to it.
    #[must_use]
    pub fn secrets(&self) -> Vec<&str> {
        self.way.secrets()
    }
}
