//! What is behind a service of the settings: Compose, systemd, or commands.

use super::parts::Commands;

/// What is behind a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BehindSettings {
    /// A service of the Compose project.
    Compose(String),
    /// A unit of systemd.
    Systemd(String),
    /// Commands.
    Commands {
        /// Stop it.
        stop: Commands,
        /// Start it.
        start: Commands,
        /// Ends with 0 where it runs.
        status: Option<Vec<String>>,
    },
}

impl BehindSettings {
    /// What it is, in words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Compose(service) => format!("the Compose service {service}"),
            Self::Systemd(unit) => unit.clone(),
            Self::Commands { .. } => "its own commands".to_owned(),
        }
    }
}
