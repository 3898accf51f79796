//! What a kind of target is: a way to hand one notice over.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use guard_model::notice::Notice;
use guard_model::section::Section;
use guard_system::context::Context;

/// How long a target may take for a notice, both tries together.
pub const TOTAL: Duration = Duration::from_secs(5);

/// A kind of target.
pub struct Kind {
    /// As in `kind = "slack"`.
    pub key: &'static str,
    /// One line for the docs.
    pub about: &'static str,
    /// Reads the kind's own keys. Problems are told to the section; `None` where there are any.
    pub(super) build: fn(&mut Section<'_>) -> Option<Arc<dyn Way>>,
}

/// How one kind hands a notice over.
#[async_trait]
pub(super) trait Way: Send + Sync {
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
pub(super) struct Trouble {
    /// In a few words, without the address.
    pub(super) why: String,
    /// Another try cannot help.
    pub(super) is_lasting: bool,
}

impl Trouble {
    pub(super) fn lasting(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            is_lasting: true,
        }
    }

    pub(super) fn passing(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            is_lasting: false,
        }
    }
}
