//! A way back of some services alone: which they are, and the image that was named for them. It travels with the run.

use serde::{Deserialize, Serialize};

use guard_config::{BehindSettings, Settings};
use guard_resources::Narrowed;

/// Which services a way back is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Narrowing {
    /// Their names, in the settings or in the Compose project; empty: all.
    pub services: Vec<String>,
    /// The image that they are to run in place of the recorded one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

impl Narrowing {
    /// Whether it leaves nothing out.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.services.is_empty()
    }

    /// The same for images: by the names that Compose has for the services.
    #[must_use]
    pub fn images(&self, settings: &Settings) -> Narrowed {
        Narrowed {
            services: self
                .services
                .iter()
                .filter_map(|name| container(name, settings))
                .collect(),
            image: self.image.clone(),
        }
    }
}

/// The Compose service that a name means: that of a named service, else the one of this name. `None`: a named service that is
/// no container.
#[must_use]
pub fn container(name: &str, settings: &Settings) -> Option<String> {
    match settings.services.named.iter().find(|service| service.name == name) {
        None => Some(name.to_owned()),
        Some(service) => match &service.behind {
            BehindSettings::Compose(service) => Some(service.clone()),
            BehindSettings::Systemd(_) | BehindSettings::Commands { .. } => None,
        },
    }
}
