//! How a volume of the engine's was made: its driver, its options and its labels.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{ResourceError, Result};
use guard_system::context::Context;
use guard_system::docker;

/// Labels that say nothing of the volume: which Compose made it.
const PASSING: &str = "com.docker.compose.version";

/// How a volume was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) driver: String,
    #[serde(default)]
    pub(crate) options: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
}

impl Made {
    pub(crate) fn of(found: &docker::Volume) -> Self {
        Self {
            driver: found.driver.clone(),
            options: found.options.clone(),
            labels: found.labels.clone(),
        }
    }

    /// One that only its labels are known of, as guards before noted them: it had no options.
    pub(crate) fn plain(labels: &BTreeMap<String, String>) -> Self {
        Self {
            driver: "local".to_owned(),
            options: BTreeMap::new(),
            labels: labels.clone(),
        }
    }

    /// Whether Compose made it for this key of this project.
    pub(crate) fn is_of(&self, project: Option<&str>, key: &str) -> bool {
        let label = |name: &str| {
            self.labels
                .get(&format!("com.docker.compose.{name}"))
                .map(String::as_str)
        };
        project.is_some() && label("project") == project && label("volume") == Some(key)
    }

    /// For people: `local (type=tmpfs, device=tmpfs)`.
    pub(crate) fn shown(&self) -> String {
        // Options may hold a password, as for a share of another server.
        let hide = |text: &str| {
            let words = text.split(',').map(|word| match word.split_once('=') {
                Some((name, _)) if ["password", "pass", "credentials"].contains(&name) => format!("{name}=…"),
                _ => word.to_owned(),
            });
            words.collect::<Vec<_>>().join(",")
        };
        let options: Vec<String> = self
            .options
            .iter()
            .map(|(name, value)| format!("{name}={}", hide(value)))
            .collect();
        if options.is_empty() {
            format!("{} without options", self.driver)
        } else {
            format!("{} with {}", self.driver, options.join(" "))
        }
    }

    /// In which words one that is there was made otherwise.
    pub(crate) fn otherwise(&self, now: &Self) -> Option<String> {
        let is_alike = self.driver == now.driver && self.options == now.options;
        (!is_alike).then(|| {
            format!(
                "the volume itself: it was made by the driver {}, and now is one by {}",
                self.shown(),
                now.shown()
            )
        })
    }

    /// The labels that differ, but for those that pass.
    pub(crate) fn relabelled(&self, now: &Self) -> Vec<String> {
        let names = self.labels.keys().chain(now.labels.keys());
        let mut differing: Vec<String> = names
            .filter(|name| *name != PASSING && self.labels.get(*name) != now.labels.get(*name))
            .cloned()
            .collect();
        differing.sort();
        differing.dedup();
        differing
    }

    /// The directory of this host that it shows.
    pub(crate) fn bound(&self) -> Option<PathBuf> {
        let bound = self
            .options
            .get("o")
            .is_some_and(|options| options.split(',').any(|one| one == "bind"));
        self.options.get("device").map(PathBuf::from).filter(|_| bound)
    }

    /// Makes a volume like it.
    ///
    /// # Errors
    /// The engine refuses it.
    pub(crate) fn make(&self, name: &str, cx: &Context) -> Result<()> {
        let mut call = docker::docker().args(["volume", "create", "--driver", &self.driver]);
        for (flag, words) in [("--opt", &self.options), ("--label", &self.labels)] {
            for (key, value) in words {
                call = call.args([flag, &format!("{key}={value}")]);
            }
        }
        let made = cx.output(&call.arg(name)).map(drop);
        made.map_err(|error| ResourceError::because(format!("could not make the volume {name} anew"), error))
    }
}
