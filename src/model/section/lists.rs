//! Settings that are lists: of strings, and of commands.

use super::Section;
use crate::setting::Value;
use crate::tables::Form;

impl Section<'_> {
    /// A list of strings; one string stands for a list of one.
    pub fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        self.form(key, || Form::Texts);
        let item = self.take(key)?;
        let items = match item.value {
            Value::List(items) => items,
            Value::Text(_) => vec![item],
            _ => {
                self.expected(key, &item, "a list of strings");
                return None;
            }
        };
        let mut texts = Vec::new();
        for item in items {
            match &item.value {
                Value::Text(text) if !text.is_empty() && !text.contains('\0') => texts.push(text.clone()),
                _ => self.problem_at(key, &item.at, "expected strings that are not empty", None),
            }
        }
        Some(texts)
    }

    /// A command without which the section makes no sense: a list of words, or a string that is split as a shell splits
    /// it. Nothing is expanded.
    pub fn words(&mut self, key: &str) -> Option<Vec<String>> {
        self.form(key, || Form::Words);
        let Some(item) = self.take(key) else {
            self.problem(key, "is missing", None);
            return None;
        };
        let words = split(&item.value).filter(|words| words.first().is_some_and(|program| !program.is_empty()));
        if words.is_none() {
            let hint = "a list of words, or a string with its quotes closed";
            self.problem_at(key, &item.at, "expected a command", Some(hint));
        }
        words
    }

    /// A list of commands, each a list of words, or a string that is split as a shell splits it. Nothing is expanded.
    pub fn commands(&mut self, key: &str) -> Option<Vec<Vec<String>>> {
        self.form(key, || Form::Commands);
        let item = self.take(key)?;
        let items = match item.value {
            Value::List(items) => items,
            Value::Text(_) => vec![item],
            _ => {
                self.expected(key, &item, "a list of commands");
                return None;
            }
        };
        let mut commands = Vec::new();
        for item in items {
            match split(&item.value).filter(|words| words.first().is_some_and(|program| !program.is_empty())) {
                Some(words) => commands.push(words),
                None => self.problem_at(
                    key,
                    &item.at,
                    "expected a command",
                    Some("a list of words, or a string with its quotes closed"),
                ),
            }
        }
        Some(commands)
    }
}

/// The words of a command; `None` where the value is none.
fn split(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Text(line) => shlex::split(line),
        Value::List(words) => words
            .iter()
            .map(|word| match &word.value {
                Value::Text(text) => Some(text.clone()),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}
