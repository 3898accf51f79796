//! One thing that was found, as the lines of its table.

use std::collections::BTreeSet;

use guard_model::name::ResourceName;

/// A resource or probe that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// What it is, for the comment above its table.
    pub about: String,
    /// Its keys in order.
    pub entries: Vec<Entry>,
}

/// A key of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: &'static str,
    /// Its value as TOML.
    pub value: String,
    /// What it means here.
    pub comment: String,
}

impl Found {
    pub(super) fn new(name: String, kind: &'static str, about: impl Into<String>) -> Self {
        Self {
            name,
            kind,
            about: about.into(),
            entries: Vec::new(),
        }
    }

    pub(super) fn text(mut self, key: &'static str, value: &str, comment: impl Into<String>) -> Self {
        self.entries.push(Entry {
            key,
            value: quoted(value),
            comment: comment.into(),
        });
        self
    }

    /// A value that refers to a variable, `${NAME}`.
    pub(super) fn reference(mut self, key: &'static str, value: &str, comment: impl Into<String>) -> Self {
        self.entries.push(Entry {
            key,
            value: escaped(value),
            comment: comment.into(),
        });
        self
    }

    pub(super) fn texts(mut self, key: &'static str, values: &[String], comment: impl Into<String>) -> Self {
        let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
        self.entries.push(Entry {
            key,
            value: format!("[{}]", values.join(", ")),
            comment: comment.into(),
        });
        self
    }

    /// A list of commands, each written as one string.
    pub(super) fn command(mut self, key: &'static str, line: &str, comment: impl Into<String>) -> Self {
        self.entries.push(Entry {
            key,
            value: format!("[{}]", escaped(line)),
            comment: comment.into(),
        });
        self
    }
}

/// A string for the file, in which `${` stays `${`.
pub(super) fn quoted(text: &str) -> String {
    escaped(&text.replace("${", "$${"))
}

/// TOML's basic string. Its escapes are those of JSON, but for DEL, which only TOML wants escaped.
fn escaped(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

/// The names given so far: each thing gets one of its own.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// The wish, made a valid name, with a number where it is taken.
    pub(super) fn give(&mut self, wish: &str) -> String {
        let mut base: String = wish
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') {
                    c
                } else {
                    '_'
                }
            })
            .take(48)
            .collect();
        if base.parse::<ResourceName>().is_err() {
            base.insert(0, 'x');
        }
        let mut name = base.clone();
        let mut number = 2;
        while !self.0.insert(name.clone()) {
            name = format!("{base}-{number}");
            number += 1;
        }
        name
    }
}
