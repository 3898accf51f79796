//! A table of settings that remembers which keys were asked for, so that what nobody asked for can be named as unknown.

mod lists;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use super::secret::Secret;
use super::setting::{Item, Problem, Source, Value, nearest, parse_duration};
use super::tables::Form;

/// A table being read. Every `take` method returns `None` for a key that is not there; for a wrong value it notes a
/// problem and returns `None` as well.
pub struct Section<'a> {
    path: String,
    source: &'a Source,
    at: Range<usize>,
    entries: BTreeMap<String, (Range<usize>, Item)>,
    asked: Vec<String>,
    /// Those of them that are names which people give.
    names: Vec<String>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Section<'a> {
    /// The table at this path (`resources.db`; empty for the top).
    pub fn new(path: &str, source: &'a Source, item: Item, problems: &'a mut Vec<Problem>) -> Self {
        let at = item.at.clone();
        let entries = match item.value {
            Value::Table(entries) => entries,
            other => {
                let place = source.place(&item.at);
                problems.push(Problem {
                    place,
                    message: format!("`{path}` must be a table, not {}", other.noun()),
                    hint: None,
                    excerpt: None,
                });
                BTreeMap::new()
            }
        };
        Self {
            path: path.to_owned(),
            source,
            at,
            entries,
            asked: Vec::new(),
            names: Vec::new(),
            problems,
        }
    }

    fn full(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Notes a problem with a key, at its value where it has one.
    pub fn problem(&mut self, key: &str, message: impl Into<String>, hint: Option<String>) {
        let at = self.entries.get(key).map_or(&self.at, |(_, item)| &item.at);
        let place = self.source.place(at);
        self.problems.push(Problem {
            place,
            message: format!("`{}`: {}", self.full(key), message.into()),
            hint,
            excerpt: None,
        });
    }

    /// Notes a problem at a place inside a string, in bytes from its beginning; at the string where it is written with
    /// escapes, so that nobody can say where that is.
    pub fn problem_within(&mut self, key: &str, offset: usize, message: impl Into<String>, hint: Option<&str>) {
        let Some((_, item)) = self.entries.get(key) else {
            return self.problem(key, message, hint.map(str::to_owned));
        };
        let at = item.at.clone();
        let text = if let Value::Text(text) = &item.value {
            text.clone()
        } else {
            String::new()
        };
        let raw = self.source.text.get(at.clone()).unwrap_or_default();
        let start = raw.find(&text).map_or(at.start, |begin| at.start + begin + offset);
        self.problem_at(key, &(start..at.end), message, hint);
    }

    fn problem_at(&mut self, key: &str, at: &Range<usize>, message: impl Into<String>, hint: Option<&str>) {
        let place = self.source.place(at);
        let message = format!("`{}`: {}", self.full(key), message.into());
        self.problems.push(Problem {
            place,
            message,
            hint: hint.map(str::to_owned),
            excerpt: None,
        });
    }

    /// Says what a key may be, for a schema.
    pub fn form(&self, key: &str, form: impl FnOnce() -> Form) {
        self.source.tables.remember(&self.path, key, form);
    }

    fn note(&mut self, key: &str) {
        self.form(key, || Form::Any);
        if !self.asked.iter().any(|asked| asked == key) {
            self.asked.push(key.to_owned());
        }
    }

    /// The raw value; the other methods are made of it.
    pub fn take(&mut self, key: &str) -> Option<Item> {
        self.note(key);
        self.entries.get(key).map(|(_, item)| item.clone())
    }

    /// Says that this key is a name that people give, and none that a table always has.
    pub fn is_name(&mut self, key: &str) {
        self.names.push(key.to_owned());
        self.source.tables.remember_name(&self.path, key);
    }

    /// Whether the key is there.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Whether the key is there and its value is a table, or the `false` that takes a table of a base file away.
    #[must_use]
    pub fn has_table(&self, key: &str) -> bool {
        let value = self.entries.get(key).map(|(_, item)| &item.value);
        matches!(value, Some(Value::Table(_) | Value::Flag(false)))
    }

    /// The keys that are there, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    fn expected(&mut self, key: &str, item: &Item, form: &str) {
        self.problem_at(
            key,
            &item.at,
            format!("expected {form}, found {}", item.value.noun()),
            None,
        );
    }

    /// A string that is not empty and has no NUL.
    pub fn text(&mut self, key: &str) -> Option<String> {
        self.form(key, || Form::Text);
        let item = self.take(key)?;
        match &item.value {
            Value::Text(text) if text.is_empty() || text.contains('\0') => {
                self.problem_at(key, &item.at, "must not be empty or hold a NUL", None);
                None
            }
            Value::Text(text) => Some(text.clone()),
            _ => {
                self.expected(key, &item, "a string");
                None
            }
        }
    }

    /// A string without which the section makes no sense.
    pub fn required_text(&mut self, key: &str) -> Option<String> {
        if !self.has(key) {
            self.note(key);
            self.form(key, || Form::Text);
            self.problem(key, "is missing", None);
            return None;
        }
        self.text(key)
    }

    /// A string that will stand in an argument list where an option could: not beginning with `-`.
    pub fn word(&mut self, key: &str) -> Option<String> {
        let text = self.text(key)?;
        if text.starts_with('-') {
            self.problem(
                key,
                format!("{text:?} begins with `-`, which programs would take for an option"),
                None,
            );
            return None;
        }
        Some(text)
    }

    /// A string that must not be shown.
    pub fn secret(&mut self, key: &str) -> Option<Secret> {
        self.text(key).map(Secret::new)
    }

    /// A path, as written.
    pub fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &str) -> Option<bool> {
        self.form(key, || Form::Flag);
        let item = self.take(key)?;
        if let Value::Flag(flag) = item.value {
            return Some(flag);
        }
        self.expected(key, &item, "true or false");
        None
    }

    /// A whole number in a range.
    pub fn whole(&mut self, key: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        self.form(key, || Form::Whole(*range.start(), *range.end()));
        let item = self.take(key)?;
        match item.value {
            Value::Whole(number) if range.contains(&number) => Some(number),
            Value::Whole(number) => {
                self.problem_at(
                    key,
                    &item.at,
                    format!("{number} is not in {} to {}", range.start(), range.end()),
                    None,
                );
                None
            }
            _ => {
                self.expected(key, &item, "a whole number");
                None
            }
        }
    }

    /// A duration: `"10s"`, `"5m"`, `600` (seconds); over 0.
    pub fn duration(&mut self, key: &str) -> Option<Duration> {
        self.form(key, || Form::Duration);
        let item = self.take(key)?;
        let parsed = match &item.value {
            Value::Text(text) => parse_duration(text),
            Value::Whole(seconds) => parse_duration(&seconds.to_string()),
            Value::Real(seconds) => parse_duration(&seconds.to_string()),
            other => Err(format!("expected a duration, found {}", other.noun())),
        };
        parsed
            .map_err(|message| self.problem_at(key, &item.at, message, None))
            .ok()
    }

    /// One of some words.
    pub fn choice<T: Clone>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(key);
        let words = || choices.iter().map(|(word, _)| (*word).to_owned()).collect();
        self.form(key, || Form::Choice(words()));
        let text = text?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(value.clone());
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.problem(
            key,
            format!("{text:?} is not one of: {}", words.join(", ")),
            nearest(&text, words.iter().copied()),
        );
        None
    }

    /// A table inside, to be read by `read`; an absent one reads as an empty one.
    pub fn section<T>(&mut self, key: &str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        self.form(key, || Form::Table);
        let item = self.take(key).unwrap_or_else(|| Item {
            value: Value::Table(BTreeMap::new()),
            at: self.at.clone(),
        });
        let path = self.full(key);
        let mut inner = Section::new(&path, self.source, item, self.problems);
        let value = read(&mut inner);
        inner.finish();
        value
    }

    /// Notes every key that nobody asked for, each with the nearest that somebody did, here or in another table.
    pub fn finish(self) {
        let mut strays = Vec::new();
        for (key, (at, _)) in &self.entries {
            if self.asked.iter().any(|asked| asked == key) {
                continue;
            }
            let hint = nearest(key, self.asked.iter().map(String::as_str));
            let hint = hint
                .or_else(|| Some(format!("known here: {}", self.asked.join(", "))).filter(|_| !self.asked.is_empty()));
            let place = self.source.place(at);
            strays.push((self.problems.len(), key.clone()));
            self.problems.push(Problem {
                place,
                message: format!("unknown key `{}`", self.full(key)),
                hint,
                excerpt: None,
            });
        }
        let keys: Vec<&String> = self.asked.iter().filter(|key| !self.names.contains(key)).collect();
        self.source.tables.note(&self.path, &keys, strays, self.problems);
    }
}
