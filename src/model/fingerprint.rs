//! What a resource was like at one moment, in parts, so that a difference can be named.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A resource's state in named parts. Two fingerprints are equal when every part is.
///
/// Parts are small: a digest, a commit, an image id, a count. `{"schema": "9f2c…", "table users": "48210"}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(BTreeMap<String, String>);

impl Fingerprint {
    /// Adds a part; a second part of the same name replaces the first.
    #[must_use]
    pub fn with(mut self, part: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.insert(part.into(), value.into());
        self
    }

    /// The value of a part.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All parts in order of their names.
    pub fn parts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The names of the parts in which the two differ, in order; a part that only one of them has counts.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let names: std::collections::BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        names
            .into_iter()
            .filter(|name| self.0.get(*name) != other.0.get(*name))
            .cloned()
            .collect()
    }
}
