//! The table in which a migration tool notes what ran.

use serde::{Deserialize, Serialize};

use super::Migrations;
use crate::resources::postgres::reach::Reach;
use crate::resources::postgres::sql::{ident, literal};
use crate::resources::{ResourceError, Result};
use crate::system::context::Context;

/// What the table says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Books {
    /// The table as SQL names it: `"public"."schema_migrations"`.
    pub(super) table: String,
    /// What tells a version, as SQL: `version::text`.
    pub(super) version: String,
    /// Only the newest is told, as golang-migrate does; else each that ran.
    pub(super) newest_only: bool,
    /// The last one did not come to its end.
    pub(super) dirty: bool,
    /// What is told, oldest first.
    pub(super) versions: Vec<String>,
}

/// The usual tables: name, and what tells a version.
const KNOWN: [(&str, &str); 9] = [
    ("schema_migrations", "version::text"),
    ("_sqlx_migrations", "version::text"),
    ("flyway_schema_history", "version::text"),
    ("alembic_version", "version_num::text"),
    ("django_migrations", "app || '.' || name"),
    ("goose_db_version", "version_id::text"),
    ("knex_migrations", "name"),
    ("_prisma_migrations", "migration_name"),
    ("__diesel_schema_migrations", "version::text"),
];

/// What a candidate tells in one row.
#[derive(Deserialize)]
struct Told {
    table: String,
    version: String,
    newest_only: bool,
    dirty: bool,
    versions: Vec<Option<String>>,
}

impl Books {
    /// Reads the table that is named, else the usual one that is there.
    pub(super) fn read(reach: &Reach, wish: &Migrations, cx: &Context) -> Result<Self> {
        let candidates: Vec<String> = match &wish.table {
            Some(table) => {
                let (schema, name) = table.split_once('.').unwrap_or(("public", table));
                let known = KNOWN.iter().find(|(known, _)| *known == name);
                let version = known.map_or("version::text", |(_, version)| version);
                vec![format!(
                    "({}, {}, {})",
                    literal(schema),
                    literal(name),
                    literal(version)
                )]
            }
            None => KNOWN
                .iter()
                .map(|(name, version)| format!("('public', {}, {})", literal(name), literal(version)))
                .collect(),
        };
        let script = format!(
            "SELECT format('SELECT jsonb_build_object(''table'', %L, ''version'', %L, ''newest_only'', %L::boolean, ''dirty'', ' || d.term
               || ', ''versions'', (SELECT coalesce(jsonb_agg(v), ''[]'') FROM (SELECT ' || k.version || ' AS v FROM %s) x))',
               c.at, k.version, d.there, c.at)
             FROM (VALUES {}) k (schema, name, version)
             CROSS JOIN LATERAL (SELECT r.oid, format('%I.%I', k.schema, k.name) AS at FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace
               WHERE n.nspname = k.schema AND r.relname = k.name AND r.relkind IN ('r', 'p')) c
             CROSS JOIN LATERAL (SELECT count(*) > 0 AS there,
               CASE WHEN count(*) > 0 THEN format('(SELECT coalesce(bool_or(dirty), false) FROM %s)', c.at) ELSE 'false' END AS term
               FROM pg_attribute WHERE attrelid = c.oid AND attname = 'dirty' AND NOT attisdropped) d \\gexec",
            candidates.join(", ")
        );
        let found: Vec<Told> = reach.rows(&reach.database, &script, cx)?;
        let mut found = found.into_iter();
        let Some(told) = found.next() else {
            let name = wish.table.as_deref().unwrap_or("one of the usual names");
            return Err(ResourceError::new(format!(
                "there is no table of migrations called {name} in {}",
                reach.database
            ))
            .with_hint("name it in `migrations_table`, as in \"app.schema_migrations\""));
        };
        if let Some(other) = found.next() {
            let what = format!("both {} and {} tell of migrations", told.table, other.table);
            return Err(ResourceError::new(what).with_hint("say which one counts: `migrations_table`"));
        }
        let mut versions: Vec<String> = told.versions.into_iter().flatten().collect();
        versions.sort_by_key(|version| place(version));
        Ok(Self {
            table: told.table,
            version: told.version,
            newest_only: told.newest_only,
            dirty: told.dirty,
            versions,
        })
    }

    /// The newest version; `None` before the first.
    pub(super) fn newest(&self) -> Option<&String> {
        self.versions.last()
    }

    /// The statement that takes a version out of the books; `below`: the one that is the newest then.
    pub(super) fn forgetting(&self, version: &str, below: Option<&str>) -> String {
        match (self.newest_only, below) {
            (true, Some(below)) => format!(
                "UPDATE {} SET version = {}::bigint, dirty = false WHERE version = {}::bigint;",
                self.table,
                literal(below),
                literal(version)
            ),
            (_, _) => format!(
                "DELETE FROM {} WHERE {} = {};",
                self.table,
                self.version,
                literal(version)
            ),
        }
    }
}

/// Where a version stands among others: by number where it begins with one, then by its text.
pub(super) fn place(version: &str) -> (u128, String) {
    let digits: String = version.chars().take_while(char::is_ascii_digit).take(38).collect();
    (digits.parse().unwrap_or(u128::MAX), version.to_owned())
}

/// A table's name as `pg_dump --table` takes it: exactly this one.
pub(super) fn exactly(table: &str) -> String {
    let (schema, name) = table.split_once('.').unwrap_or(("public", table));
    format!("{}.{}", ident(schema.trim_matches('"')), ident(name.trim_matches('"')))
}

#[cfg(test)]
mod tests {
    use super::{exactly, place};

    #[test]
    fn versions_are_in_the_order_of_their_numbers() {
        let mut versions = ["10", "9", "20250101_b", "20250101_a", "initial"];
        versions.sort_by_key(|version| place(version));
        assert_eq!(versions, ["9", "10", "20250101_a", "20250101_b", "initial"]);
        assert_eq!(exactly("users"), "\"public\".\"users\"");
        assert_eq!(exactly("app.\"Odd one\""), "\"app\".\"Odd one\"");
    }
}
