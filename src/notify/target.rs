//! Somebody who is told: a way, and from which severity on.

use std::sync::Arc;

use super::kinds::KINDS;
use super::way::Way;
use guard_model::name::TargetName;
use guard_model::notice::Severity;
use guard_model::section::Section;

/// Somebody who is told.
#[derive(Clone)]
pub struct Target {
    pub(super) name: TargetName,
    pub(super) from: Severity,
    pub(super) way: Arc<dyn Way>,
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
