//! `${NAME}` in the file's strings, from the environment. Commands stay as they are written.

use std::ops::Range;

use guard_model::secret::{Secret, is_secret_name};
use guard_model::setting::{Item, Problem, Source, Value};
use guard_system::environment::Environment;

/// The keys that hold commands, everywhere in the file: nothing under them is expanded, so that a value can never become
/// part of a script. `tests/guard/config/expansion.rs` holds this list to the keys that are read as commands.
pub const COMMAND_KEYS: &[&str] = &[
    "after",
    "after_copy",
    "after_start",
    "after_stop",
    "ask",
    "before",
    "before_copy",
    "before_start",
    "before_stop",
    "check",
    "command",
    "commands",
    "down",
    "drain",
    "off",
    "on",
    "post",
    "pre",
    "reload",
    "run",
    "start",
    "status",
    "stop",
    "switch",
    "then",
    "up",
];

/// Expands a tree in place, and collects what must not be shown.
pub(super) struct Expansion<'a> {
    pub(super) source: &'a Source,
    pub(super) environment: &'a Environment,
    pub(super) problems: Vec<Problem>,
    /// Values of variables whose name says that they are secret, and of such keys.
    pub(super) secrets: Vec<Secret>,
    /// Places of secrets that are written out in the file.
    pub(super) literal_secrets: Vec<String>,
}

impl<'a> Expansion<'a> {
    pub(super) fn new(source: &'a Source, environment: &'a Environment) -> Self {
        Self {
            source,
            environment,
            problems: Vec::new(),
            secrets: Vec::new(),
            literal_secrets: Vec::new(),
        }
    }

    /// Expands everything under a key.
    pub(super) fn expand(&mut self, key: &str, item: &mut Item) {
        match &mut item.value {
            Value::Table(entries) => {
                for (key, (_, item)) in entries {
                    if !COMMAND_KEYS.contains(&key.as_str()) {
                        self.expand(key, item);
                    }
                }
            }
            Value::List(items) => {
                for item in items {
                    self.expand(key, item);
                }
            }
            Value::Text(text) => {
                let expanded = self.text(text, &item.at);
                let is_header = ["authorization", "cookie"]
                    .iter()
                    .any(|name| key.eq_ignore_ascii_case(name));
                let is_secret = is_header || is_secret_name(key) && !names_a_place(key);
                if is_secret || password_in(&expanded).is_some() {
                    if *text == expanded {
                        self.literal_secrets.push(self.source.place(&item.at));
                    }
                    self.secrets
                        .push(Secret::new(password_in(&expanded).unwrap_or_else(|| expanded.clone())));
                }
                *text = expanded;
            }
            Value::Whole(_) | Value::Real(_) | Value::Flag(_) => {}
        }
    }

    fn text(&mut self, text: &str, at: &Range<usize>) -> String {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(dollar) = rest.find("${") {
            // `$${` is a literal `${`, as in Compose.
            if rest[..dollar].ends_with('$') {
                expanded.push_str(&rest[..dollar]);
                expanded.push('{');
                rest = &rest[dollar + 2..];
                continue;
            }
            expanded.push_str(&rest[..dollar]);
            let Some(end) = rest[dollar..].find('}') else {
                self.problem(at, "`${` is not closed".to_owned(), "write `$${` for a literal `${`");
                return text.to_owned();
            };
            let name = &rest[dollar + 2..dollar + end];
            expanded.push_str(&self.variable(name, at));
            rest = &rest[dollar + end + 1..];
        }
        expanded.push_str(rest);
        expanded
    }

    fn variable(&mut self, name: &str, at: &Range<usize>) -> String {
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            let message = format!("`${{{name}}}` does not name a variable");
            self.problem(at, message, "only `${NAME}` is known; `$${` is a literal `${`");
            return String::new();
        }
        let Some(value) = self.environment.text(name) else {
            let message = format!("the variable {name} is not set, or is empty");
            self.problem(at, message, "export it, or write the value");
            return String::new();
        };
        if is_secret_name(name) {
            self.secrets.push(Secret::new(value));
        }
        value.to_owned()
    }

    fn problem(&mut self, at: &Range<usize>, message: String, hint: &str) {
        self.problems.push(Problem {
            place: self.source.place(at),
            message,
            hint: Some(hint.to_owned()),
            excerpt: None,
        });
    }
}

/// Whether a key of this name says where a secret is and not what it is: `token_file`, `password_env`.
fn names_a_place(key: &str) -> bool {
    ["_file", "_env", "_path", "_name"]
        .iter()
        .any(|ending| key.ends_with(ending))
}

/// The password in a URL.
fn password_in(text: &str) -> Option<String> {
    if !text.contains("://") {
        return None;
    }
    let url = url::Url::parse(text).ok()?;
    url.password()
        .filter(|password| !password.is_empty())
        .map(str::to_owned)
}
