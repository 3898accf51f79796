//! The table in which a migration tool notes what ran.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::wish::Migrations;
use crate::error::{ResourceError, Result};
use crate::postgres::reach::Reach;
use crate::postgres::sql::{ident, literal};
use guard_system::context::Context;

/// What the table says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Books {
    /// The table as SQL names it: `"public"."schema_migrations"`.
    pub(super) table: String,
    /// What tells a version, as SQL: `version::text`.
    pub(super) version: String,
    /// Only the newest is told, as golang-migrate does; else each that ran.
    pub(super) newest_only: bool,
    /// Only the last is told, as Alembic does: nothing here says which came before it.
    #[serde(default)]
    pub(super) heads: bool,
    /// The last one did not come to its end.
    pub(super) dirty: bool,
    /// What is told, oldest first.
    pub(super) versions: Vec<String>,
}

/// A usual table, asked as `t`, of which each row is also `j`, so that a column which only some versions of a tool have can be
/// asked for.
struct Known {
    name: &'static str,
    /// What tells a version.
    version: &'static str,
    /// The column that tells in which order they ran; else their numbers do.
    order: Option<&'static str>,
    /// Which rows count.
    counts: &'static str,
    /// Which row tells of a migration that did not come to its end.
    unfinished: &'static str,
    /// Only the last one is told, and nothing says which came before it.
    heads: bool,
}

impl Known {
    const fn of(name: &'static str, version: &'static str) -> Self {
        Self {
            name,
            version,
            order: None,
            counts: "true",
            unfinished: "false",
            heads: false,
        }
    }

    const fn by(self, order: &'static str) -> Self {
        Self {
            order: Some(order),
            ..self
        }
    }

    const fn counting(self, counts: &'static str, unfinished: &'static str) -> Self {
        Self {
            counts,
            unfinished,
            ..self
        }
    }

    const fn heads(self) -> Self {
        Self { heads: true, ..self }
    }
}

/// The usual tables. The one at the end has a name that an application may use for something else.
const KNOWN: [Known; 18] = [
    Known::of("schema_migrations", "t.version::text").counting("true", "coalesce((j.j->>'dirty')::boolean, false)"),
    Known::of("_sqlx_migrations", "t.version::text").counting("true", "j.j->>'success' = 'false'"),
    Known::of("flyway_schema_history", "t.version::text")
        .by("installed_rank")
        .counting(
            "j.j->>'version' IS NOT NULL AND coalesce(j.j->>'type', '') NOT LIKE 'UNDO%' AND NOT EXISTS (SELECT FROM flyway_history u
               WHERE u.j->>'version' = j.j->>'version' AND u.j->>'type' LIKE 'UNDO%' AND (u.j->>'installed_rank')::numeric > (j.j->>'installed_rank')::numeric)",
            "j.j->>'success' = 'false'",
        ),
    Known::of("alembic_version", "t.version_num::text").heads(),
    Known::of("django_migrations", "t.app || '.' || t.name").by("id"),
    Known::of("goose_db_version", "t.version_id::text")
        .by("id")
        .counting("coalesce(j.j->>'is_applied', 'true') = 'true'", "false"),
    Known::of("knex_migrations", "t.name").by("id"),
    Known::of("_prisma_migrations", "t.migration_name")
        .by("started_at")
        .counting("j.j->>'rolled_back_at' IS NULL", "j.j->>'finished_at' IS NULL"),
    Known::of("__diesel_schema_migrations", "t.version::text"),
    Known::of("__EFMigrationsHistory", "t.\"MigrationId\""),
    Known::of("doctrine_migration_versions", "t.version::text").by("executed_at"),
    Known::of("phinxlog", "t.version::text"),
    Known::of("databasechangelog", "t.id::text").by("orderexecuted"),
    Known::of("refinery_schema_history", "t.version::text"),
    Known::of("gorp_migrations", "t.id::text"),
    Known::of("SequelizeMeta", "t.name"),
    Known::of("typeorm_migrations", "t.name").by("id"),
    Known::of("migrations", "coalesce(to_jsonb(t)->>'migration', to_jsonb(t)->>'name')").by("id"),
];

/// What a candidate tells in one row.
#[derive(Deserialize)]
struct Told {
    name: String,
    table: String,
    newest_only: bool,
    dirty: bool,
    versions: Vec<Option<String>>,
}

impl Books {
    /// Reads the table that is named, else the usual one that is there.
    pub(super) fn read(reach: &Reach, wish: &Migrations, cx: &Context) -> Result<Self> {
        let own;
        let (schema, candidates): (&str, Vec<&Known>) = match &wish.table {
            Some(table) => {
                let (schema, name) = table.split_once('.').unwrap_or(("public", table));
                let known = KNOWN.iter().find(|known| known.name == name);
                own = Known::of("", "t.version::text");
                (schema, vec![known.unwrap_or(&own)])
            }
            None => ("public", KNOWN.iter().collect()),
        };
        let named = wish
            .table
            .as_deref()
            .map(|table| table.rsplit('.').next().unwrap_or(table));
        let rows: Vec<String> = candidates
            .iter()
            .map(|known| {
                let name = named.unwrap_or(known.name);
                let order = known
                    .order
                    .map_or_else(|| "NULL".to_owned(), |order| format!("j.j->{}", literal(order)));
                // What is said of other rows of the same table is asked of all of them.
                let all = "WITH flyway_history AS (SELECT to_jsonb(x) AS j FROM %s x) ";
                let select = format!(
                    "{all}SELECT jsonb_build_object('name', %L, 'table', %L, 'newest_only', %L::boolean,
                       'dirty', coalesce(bool_or({unfinished}), false),
                       'versions', coalesce(jsonb_agg({version} ORDER BY {order}) FILTER (WHERE {counts}), '[]'))
                     FROM %s t CROSS JOIN LATERAL (SELECT to_jsonb(t) AS j) j",
                    unfinished = known.unfinished,
                    version = known.version,
                    counts = known.counts.replace('%', "%%"),
                );
                format!("({}, {}, {})", literal(schema), literal(name), literal(&select))
            })
            .collect();
        let script = format!(
            "SELECT format(k.text, c.at, c.name, c.at, d.there, c.at)
             FROM (VALUES {}) k (schema, name, text)
             CROSS JOIN LATERAL (SELECT r.oid, format('%I.%I', k.schema, k.name) AS at, k.name FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace
               WHERE n.nspname = k.schema AND r.relname = k.name AND r.relkind IN ('r', 'p')) c
             CROSS JOIN LATERAL (SELECT count(*) > 0 AS there
               FROM pg_attribute WHERE attrelid = c.oid AND attname = 'dirty' AND NOT attisdropped) d \\gexec",
            rows.join(", ")
        );
        let mut found: Vec<Told> = reach.rows(&reach.database, &script, cx)?;
        if found.len() > 1 && wish.table.is_none() {
            found.retain(|told| told.name != "migrations");
        }
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
        let known = candidates.iter().find(|known| known.name == told.name);
        let mut versions: Vec<String> = told.versions.into_iter().flatten().collect();
        if known.is_none_or(|known| known.order.is_none()) {
            versions.sort_by_key(|version| place(version));
        }
        Ok(Self {
            table: told.table,
            version: known.map_or("t.version::text", |known| known.version).to_owned(),
            newest_only: told.newest_only,
            heads: known.is_some_and(|known| known.heads),
            dirty: told.dirty,
            versions,
        })
    }

    /// Whether both tell of the same migrations, in whatever order.
    pub(super) fn tells_the_same(&self, other: &Self) -> bool {
        let set = |books: &Self| books.versions.iter().cloned().collect::<BTreeSet<String>>();
        set(self) == set(other)
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
                "DELETE FROM {} t WHERE {} = {};",
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
