//! Settings before they are understood: values with their places in the source, and what is wrong with them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

pub use super::problem::Problem;
use super::tables::Tables;

/// The text that settings were read from, to turn positions into lines.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The file's name as people know it.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The keys that its tables have, as far as they are read.
    pub tables: Tables,
}

impl Source {
    /// This text under this name.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            tables: Tables::default(),
        }
    }

    /// `guard.toml:12:8`: line and column of a position, both from 1. A source without text, as a flag or a variable is,
    /// has no lines: its place is its name.
    #[must_use]
    pub fn place(&self, at: &Range<usize>) -> String {
        if self.text.is_empty() {
            return self.name.clone();
        }
        let before = self.text.get(..at.start).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{}:{line}:{column}", self.name)
    }
}

/// A value with its position in the source, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The value.
    pub value: Value,
    /// Where it stands.
    pub at: Range<usize>,
}

/// What a setting can be.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// A number with a fraction; may be NaN or infinite, which no setting accepts.
    Real(f64),
    /// `true` or `false`.
    Flag(bool),
    /// A list.
    List(Vec<Item>),
    /// A table; each key with its own position.
    Table(BTreeMap<String, (Range<usize>, Item)>),
}

impl Value {
    /// Whether two values say the same, wherever they stand.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(one), Self::List(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.value.is_like(&two.value))
            }
            (Self::Table(one), Self::Table(two)) => {
                let is_in = |(key, (_, item)): (&String, &(Range<usize>, Item))| {
                    two.get(key).is_some_and(|(_, there)| item.value.is_like(&there.value))
                };
                one.len() == two.len() && one.iter().all(is_in)
            }
            (one, two) => one == two,
        }
    }

    /// What it is, for messages: `a string`.
    #[must_use]
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Whole(_) | Self::Real(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// `did you mean …?` for the nearest of some names, where one is near.
#[must_use]
pub fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    names
        .filter_map(|known| Some((distance(name, known)?, known)))
        .min()
        .map(|(_, known)| format!("did you mean `{known}`?"))
}

/// `did you mean …?` for the nearest of some names; where none is near, all of them: `there are: db, code`.
#[must_use]
pub fn nearest_or_all(name: &str, names: &[&str]) -> String {
    nearest(name, names.iter().copied()).unwrap_or_else(|| {
        if names.is_empty() {
            "there is none at all".to_owned()
        } else {
            format!("there are: {}", names.join(", "))
        }
    })
}

/// How far two names are from each other; `None` where nobody would write the one for the other. Near is what differs in
/// a third of its letters at most, capitals aside, or is a whole part of the other: `pictures` of `product-pictures`.
fn distance(name: &str, known: &str) -> Option<usize> {
    let (one, other) = (name.to_lowercase(), known.to_lowercase());
    let longer = one.chars().count().max(other.chars().count());
    let distance = strsim::damerau_levenshtein(&one, &other);
    let is_part = |part: &str, whole: &str| part.len() > 1 && whole.split(['-', '_', '.']).any(|word| word == part);
    (distance * 3 <= longer || is_part(&one, &other) || is_part(&other, &one)).then_some(distance)
}

/// A duration as people write it: `250ms`, `10s`, `5m`, `2h`, `1d`, or a plain number of seconds; over 0.
///
/// # Errors
/// A sentence that says which form is expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is not a duration: expected 10s, 5m, 2h, or a number of seconds, over 0");
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(bad()),
    };
    let number: f64 = number.trim().parse().map_err(|_| bad())?;
    let seconds = number * factor;
    if seconds.is_finite() && seconds > 0.0 && seconds < 1e9 {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(bad())
    }
}
