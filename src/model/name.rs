//! Names of resources, probes and runs, and the timestamp that names a backup: checked once, when they are made.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

/// Why a text cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Empty, too long, or with a character that would be dangerous in a path or an argument list.
    #[error("{0:?} cannot be a name: use 1 to 64 letters, digits, `_`, `.` or `-`, beginning with a letter or digit")]
    Name(String),
    /// Not `YYYYMMDD_HHMMSS`, optionally followed by `-2`, `-3` …
    #[error("{0:?} is not a backup timestamp: expected YYYYMMDD_HHMMSS, as in 20251022_153000")]
    Timestamp(String),
    /// Not `TIMESTAMP-KIND`.
    #[error("{0:?} is not a run: expected a timestamp and a kind, as in 20251022_153000-deploy")]
    Run(String),
}

fn is_plain(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                if is_plain(text) { Ok(Self(text.to_owned())) } else { Err(BadName::Name(text.to_owned())) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name!(
    /// What a resource is called in `guard.toml`: `[resources.NAME]`. Safe as a path component and as an argument.
    ResourceName
);
name!(
    /// What a probe is called in `guard.toml`: `[probes.NAME]`. Safe as a path component and as an argument.
    ProbeName
);
name!(
    /// What a rule of the user's is called: its `name`, or `rule-1`, `rule-2` … in the order of the file.
    RuleName
);
name!(
    /// What a target of notices is called in `guard.toml`: `[notify.NAME]`.
    TargetName
);

impl RuleName {
    /// The name of what is watched where nothing is: in a simulation.
    #[must_use]
    pub fn simulated() -> Self {
        Self("simulated".to_owned())
    }
}

impl From<&RuleName> for ProbeName {
    /// For what is found by a rule that asks about no probe: both kinds of name have one form.
    fn from(name: &RuleName) -> Self {
        Self(name.0.clone())
    }
}

/// The name of a backup: its UTC time `YYYYMMDD_HHMMSS`, with `-2`, `-3` … where two fell into the same second.
///
/// It is also the name of the backup's directory, so nothing else than this form is ever joined to a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(String);

const STAMP: &str = "%Y%m%d_%H%M%S";

impl Timestamp {
    /// The timestamp of a moment; `collision` 0 has no suffix, 1 gives `-2`, and so on.
    #[must_use]
    pub fn at(moment: DateTime<Utc>, collision: u32) -> Self {
        let stamp = moment.format(STAMP);
        if collision == 0 {
            Self(stamp.to_string())
        } else {
            Self(format!("{stamp}-{}", collision + 1))
        }
    }

    /// The moment that it names, to the second.
    #[must_use]
    pub fn moment(&self) -> DateTime<Utc> {
        NaiveDateTime::parse_from_str(self.second(), STAMP).map_or(DateTime::UNIX_EPOCH, |naive| naive.and_utc())
    }

    /// The second that it names, as text: `20251022_153000`.
    #[must_use]
    pub fn second(&self) -> &str {
        self.0.get(..15).unwrap_or_default()
    }

    /// Its place among those of the same second, from 1.
    #[must_use]
    pub fn place(&self) -> u32 {
        let suffix = self.0.get(15..).and_then(|rest| rest.strip_prefix('-'));
        suffix.and_then(|count| count.parse().ok()).unwrap_or(1)
    }

    /// The timestamp as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Timestamp {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName::Timestamp(text.to_owned());
        let (stamp, suffix) = text.split_at_checked(15).ok_or_else(bad)?;
        NaiveDateTime::parse_from_str(stamp, STAMP).map_err(|_| bad())?;
        let shape = stamp
            .char_indices()
            .all(|(at, c)| if at == 8 { c == '_' } else { c.is_ascii_digit() });
        let counted = match suffix.strip_prefix('-') {
            None => suffix.is_empty(),
            Some(count) => {
                !count.starts_with('0')
                    && count.chars().all(|c| c.is_ascii_digit())
                    && count.parse::<u32>().is_ok_and(|count| count >= 2)
            }
        };
        if shape && counted {
            Ok(Self(text.to_owned()))
        } else {
            Err(bad())
        }
    }
}

impl TryFrom<String> for Timestamp {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What kind of journey a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunKind {
    /// `guard backup`: captures, and nothing else.
    Backup,
    /// `guard deploy`: the whole way ahead, and back if the release is bad.
    Deploy,
    /// `guard rollback`: only the way back.
    Rollback,
    /// `guard rollback --undo`: what a rollback displaced is put back.
    Undo,
}

impl RunKind {
    const ALL: [Self; 4] = [Self::Backup, Self::Deploy, Self::Rollback, Self::Undo];

    /// The kind as it stands in a run's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
            Self::Undo => "undo",
        }
    }
}

/// The name of a run, `TIMESTAMP-KIND`; also the name of its directory, and part of every name that guard makes outside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId {
    /// First, so that runs are ordered as their names are.
    text: String,
    timestamp: Timestamp,
    kind: RunKind,
}

impl RunId {
    /// The run of this kind that began at this timestamp.
    #[must_use]
    pub fn new(timestamp: &Timestamp, kind: RunKind) -> Self {
        Self {
            text: format!("{timestamp}-{}", kind.as_str()),
            timestamp: timestamp.clone(),
            kind,
        }
    }

    /// The run as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The timestamp in the name.
    #[must_use]
    pub fn timestamp(&self) -> &Timestamp {
        &self.timestamp
    }

    /// What kind of journey it is.
    #[must_use]
    pub fn kind(&self) -> RunKind {
        self.kind
    }

    /// The run in the form that databases and containers accept in their names: lower case letters, digits and `_`.
    #[must_use]
    pub fn token(&self) -> String {
        self.text.replace('-', "_")
    }
}

impl FromStr for RunId {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName::Run(text.to_owned());
        let (stamp, kind) = text.rsplit_once('-').ok_or_else(bad)?;
        let timestamp = stamp.parse::<Timestamp>().map_err(|_| bad())?;
        let kind = RunKind::ALL.into_iter().find(|known| known.as_str() == kind);
        kind.map(|kind| Self::new(&timestamp, kind)).ok_or_else(bad)
    }
}

impl TryFrom<String> for RunId {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(run: RunId) -> Self {
        run.text
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}
