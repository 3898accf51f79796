//! Which keys each table of some settings has, so that a key in the wrong table is told where it belongs.

use std::sync::{Arc, Mutex, PoisonError};

use super::problem::Problem;

/// The most letters by which a key may be off to be taken for one of another table.
const OFF: usize = 2;
/// The most places that are named for one key.
const NAMED: usize = 3;

/// What the value of a key may be, as the reader of it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// The reader takes it as it is, and says no more.
    Any,
    /// A string.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number from one to the other.
    Whole(i64, i64),
    /// A duration: `"10s"`, or seconds.
    Duration,
    /// One of these words.
    Choice(Vec<String>),
    /// A string, or a list of strings.
    Texts,
    /// A command: a string, or a list of words.
    Words,
    /// A list of commands, or one as a string.
    Commands,
    /// A table.
    Table,
    /// A value of one of these types of JSON.
    Types(Vec<&'static str>),
}

/// A key of a table, and what its value may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The table's path; the table at the top has none.
    pub table: String,
    /// The key.
    pub key: String,
    /// What its value may be.
    pub form: Form,
    /// Whether it is a name that people give.
    pub is_name: bool,
}

/// What is known of the tables of one text. It is whole when the table at the top is done; what is read later is held
/// against it at once.
#[derive(Debug, Clone, Default)]
pub struct Tables(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    is_whole: bool,
    /// Table and key; the table at the top has no name.
    keys: Vec<(String, String)>,
    strays: Vec<Stray>,
    /// For a schema: every key that was asked for. `None`: nobody wants one.
    asked: Option<Vec<Key>>,
}

/// A key that its own table does not know.
#[derive(Debug)]
struct Stray {
    /// Where its problem stands in the list.
    at: usize,
    table: String,
    key: String,
}

impl Tables {
    /// Tables that remember what every key may be, for a schema.
    #[must_use]
    pub fn remembering() -> Self {
        let tables = Self::default();
        tables.0.lock().unwrap_or_else(PoisonError::into_inner).asked = Some(Vec::new());
        tables
    }

    /// Every key that was asked for, in the order in which they were; none where they are not remembered.
    #[must_use]
    pub fn asked(&self) -> Vec<Key> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.asked.clone().unwrap_or_default()
    }

    /// Remembers what a key may be, where somebody wants to know. What says more about a key stands.
    pub(super) fn remember(&self, table: &str, key: &str, form: impl FnOnce() -> Form) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(asked) = &mut known.asked else { return };
        let form = form();
        match asked.iter_mut().find(|one| one.table == table && one.key == key) {
            Some(one) if form == Form::Any || one.form == form => {}
            Some(one) => one.form = form,
            None => asked.push(Key {
                table: table.to_owned(),
                key: key.to_owned(),
                form,
                is_name: false,
            }),
        }
    }

    /// Remembers that a key is a name that people give.
    pub(super) fn remember_name(&self, table: &str, key: &str) {
        self.remember(table, key, || Form::Any);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = known.asked.iter_mut().flatten();
        asked
            .filter(|one| one.table == table && one.key == key)
            .for_each(|one| one.is_name = true);
    }

    /// Notes what a table that is done knows, and the keys in it that it does not, each with the place of its problem.
    pub(super) fn note(&self, table: &str, keys: &[&String], strays: Vec<(usize, String)>, problems: &mut [Problem]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.is_whole {
            let keys = keys.iter().map(|key| (table.to_owned(), (*key).clone()));
            known.keys.extend(keys);
            known.is_whole = table.is_empty();
        }
        let strays = strays.into_iter().map(|(at, key)| Stray {
            at,
            table: table.to_owned(),
            key,
        });
        known.strays.extend(strays);
        if known.is_whole {
            for stray in std::mem::take(&mut known.strays) {
                let Some(hint) = known.place_of(&stray) else { continue };
                if let Some(problem) = problems.get_mut(stray.at) {
                    problem.hint = Some(hint);
                }
            }
        }
    }
}

impl Known {
    /// Where a key belongs that is nearer to one of another table than to any of its own.
    fn place_of(&self, stray: &Stray) -> Option<String> {
        let distance = |key: &str| strsim::damerau_levenshtein(&stray.key, key);
        let (own, others): (Vec<_>, Vec<_>) = self.keys.iter().partition(|(table, _)| *table == stray.table);
        let own = own.iter().map(|(_, key)| distance(key)).min().unwrap_or(usize::MAX);
        let nearest = others.iter().map(|(_, key)| distance(key)).min()?;
        // Of a short word half the letters may be off, and that is another word.
        if nearest > OFF || nearest >= own || nearest * 2 >= stray.key.chars().count() {
            return None;
        }
        let near = others.iter().filter(|(_, key)| distance(key) == nearest);
        let names: Vec<String> = near
            .take(NAMED)
            .map(|(table, key)| match table.as_str() {
                "" => format!("`{key}` at the top, before the first table"),
                table => format!("`{table}.{key}`"),
            })
            .collect();
        Some(format!("did you mean {}?", names.join(" or ")))
    }
}
