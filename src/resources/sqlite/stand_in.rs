//! Stand-ins for collations and functions that an application brings along, so that its database can be read without it.
//!
//! They say nothing of order or value: what is read does not use indexes, and nothing is ever written with them.

use std::collections::BTreeSet;

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

/// A database does not need more parts of its own than these.
const MOST: usize = 200;

/// A part of the application's own that a database needs to be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// An order of texts, by its name.
    Collation(String),
    /// A function, by its name.
    Function(String),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Collation(name) => write!(f, "collation {name}"),
            Self::Function(name) => write!(f, "function {name}"),
        }
    }
}

/// The part that an error says is missing.
pub(super) fn missing(error: &rusqlite::Error) -> Option<Part> {
    let said = error.to_string();
    let behind = |sign: &str| {
        let rest = said.split_once(sign)?.1;
        let name: String = rest.chars().take_while(|c| !matches!(c, '(' | ' ' | '\n')).collect();
        (!name.is_empty()).then_some(name)
    };
    let collation = behind("no such collation sequence: ").map(Part::Collation);
    let function = || behind("unknown function: ").or_else(|| behind("no such function: "));
    collation.or_else(|| function().map(Part::Function))
}

fn add(connection: &Connection, part: &Part) -> rusqlite::Result<()> {
    match part {
        Part::Collation(name) => connection.create_collation(name.as_str(), Ord::cmp),
        Part::Function(name) => {
            let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
            connection.create_scalar_function(name.as_str(), -1, flags | FunctionFlags::SQLITE_INNOCUOUS, |_| {
                Ok(rusqlite::types::Null)
            })
        }
    }
}

/// Reads by `read`; parts that it turns out to need get stand-ins, and it is called again.
///
/// # Errors
/// It fails for another reason.
pub(super) fn with<T>(
    connection: &mut Connection,
    mut read: impl FnMut(&mut Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let mut added = BTreeSet::new();
    loop {
        let error = match read(connection) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let Some(part) = missing(&error).filter(|part| added.len() < MOST && !added.contains(part)) else {
            return Err(error);
        };
        add(connection, &part)?;
        added.insert(part);
    }
}

/// The parts that a check of the whole database misses.
///
/// # Errors
/// It fails for another reason.
pub(super) fn needed(connection: &mut Connection) -> rusqlite::Result<BTreeSet<Part>> {
    let mut parts = BTreeSet::new();
    with(connection, |connection| {
        let checked = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        if let Err(error) = &checked
            && let Some(part) = missing(error)
        {
            parts.insert(part);
        }
        checked
    })?;
    Ok(parts)
}
