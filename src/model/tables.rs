//! Which keys each table of some settings has, so that a key in the wrong table is told where it belongs.

use std::sync::{Arc, Mutex, PoisonError};

use super::problem::Problem;

/// The most letters by which a key may be off to be taken for one of another table.
const OFF: usize = 2;
/// The most places that are named for one key.
const NAMED: usize = 3;

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
