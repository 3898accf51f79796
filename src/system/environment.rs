//! The environment as it was when guard started; nobody else asks for a variable.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// A snapshot of the variables.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The variables of this process.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub fn of_this_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// Made of pairs, for library users and tests.
    #[must_use]
    pub fn of_pairs<N: Into<OsString>, V: Into<OsString>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }

    /// The same with these variables set, or not set.
    #[must_use]
    pub fn with<'v>(&self, changes: impl IntoIterator<Item = (&'v str, Option<&'v str>)>) -> Self {
        let mut variables = self.0.clone();
        for (name, value) in changes {
            match value {
                Some(value) => variables.insert(name.into(), value.into()),
                None => variables.remove(std::ffi::OsStr::new(name)),
            };
        }
        Self(variables)
    }

    /// The value of a variable that is set and not empty, where it is valid UTF-8.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0
            .get(&OsString::from(name))
            .and_then(|value| value.to_str())
            .filter(|value| !value.is_empty())
    }

    /// The value of a variable as a path, where it is set and not empty.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.0
            .get(&OsString::from(name))
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    }

    /// All names and values that are valid UTF-8.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)))
    }
}
