//! Which rows are taken along, and why others cannot be.

use super::compare::Pair;
use super::shape::{Column, Table};
use super::wish::CarryOver;
use crate::sql::migration_records::belongs_to_migrations;

/// Whether the settings name a table.
pub(super) fn is_named(wish: &CarryOver, table: &Table) -> bool {
    match wish {
        CarryOver::None => false,
        CarryOver::Inserts => !table.records_migrations(),
        CarryOver::Tables(names) => names.iter().any(|name| table.is_called(name)),
    }
}

/// What becomes of a table's new rows.
pub(super) struct Intent {
    /// They are put into the restored table.
    pub(super) carries: bool,
    /// Why they are not, where somebody would expect it.
    pub(super) hindrance: Option<String>,
}

impl Intent {
    pub(super) fn of(wish: &CarryOver, pair: &Pair) -> Self {
        let tables = || pair.failed.iter().chain(&pair.restored);
        let is_wished = *wish == CarryOver::Inserts || tables().any(|table| is_named(wish, table));
        let hindrance = if !is_wished {
            return Self {
                carries: false,
                hindrance: None,
            };
        } else if tables().any(Table::records_migrations) {
            Some(
                "it belongs to a program of migrations, and tells what the restored database has gone through"
                    .to_owned(),
            )
        } else {
            hindrance(pair)
        };
        Self {
            carries: hindrance.is_none(),
            hindrance,
        }
    }
}

impl Table {
    /// Whether it is a program of migrations that writes to it.
    pub(super) fn records_migrations(&self) -> bool {
        belongs_to_migrations(&self.at.1)
    }
}

/// Why the new rows of a table cannot be carried; `None` where they can.
fn hindrance(pair: &Pair) -> Option<String> {
    let (Some(_), Some(_)) = (&pair.failed, &pair.restored) else {
        return Some("the restored database has no such table".to_owned());
    };
    if pair.key().is_none() {
        return Some("the table has no key, by which a row could be told from a changed one".to_owned());
    }
    let invents = |column: &&Column| match &column.default {
        None => column.required,
        Some(default) => !is_constant(default),
    };
    let column = pair.unknown().into_iter().find(invents)?;
    Some(format!(
        "the failed rows have no value for the column {}, and guard invents none",
        column.name
    ))
}

/// Whether a default is the same for every row: a literal.
fn is_constant(default: &str) -> bool {
    let bare = default.split("::").next().unwrap_or_default().trim_matches(['(', ')']);
    let is_text =
        bare.len() > 1 && bare.starts_with('\'') && bare.ends_with('\'') && !bare.trim_matches('\'').contains('\'');
    is_text || matches!(bare, "NULL" | "true" | "false") || bare.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_constant;

    #[test]
    fn a_literal_is_the_same_for_every_row_and_a_call_is_not() {
        for constant in [
            "'a'::text",
            "0",
            "(-1.5)",
            "true",
            "NULL::character varying",
            "'{}'::jsonb",
        ] {
            assert!(is_constant(constant), "{constant}");
        }
        for call in [
            "now()",
            "nextval('a'::regclass)",
            "identity",
            "('a' || b())",
            "gen_random_uuid()",
            "CURRENT_USER",
        ] {
            assert!(!is_constant(call), "{call}");
        }
    }
}
