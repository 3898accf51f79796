//! A drill of a Postgres database: its rows counted and digested by queries of its own, and harm done by SQL.

use serde::Deserialize;

use super::database::Postgres;
use super::reach::Reach;
use crate::abilities::{Drills, Harm, nothing_to_harm};
use crate::error::{ResourceError, Result};
use guard_model::drill::{Census, Counts, Part};
use guard_model::text::plural;
use guard_system::context::Context;

/// More rows of one table are compared by their number and one digest.
const MOST: u64 = 200_000;

/// Ordinary tables with their columns, and sequences; what the server keeps for itself is left out.
const TABLES: &str = "SELECT jsonb_build_object('schema', n.nspname, 'name', c.relname, 'sequence', c.relkind = 'S', \
    'columns', coalesce((SELECT jsonb_agg(jsonb_build_array(a.attname, format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum) \
        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r'), '[]')) \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'S') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
    ORDER BY n.nspname, c.relname;";

#[derive(Deserialize)]
struct Found {
    schema: String,
    name: String,
    sequence: bool,
    columns: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Numbered {
    at: usize,
    number: u64,
}

#[derive(Deserialize)]
struct Digested {
    at: usize,
    number: u64,
    digest: String,
    members: Option<Vec<String>>,
}

impl Found {
    fn is_table(&self) -> bool {
        !self.sequence
    }

    fn shown(&self) -> String {
        let what = if self.sequence { "sequence" } else { "table" };
        format!("{what} {}.{}", self.schema, self.name)
    }

    fn quoted(&self) -> String {
        format!("{}.{}", ident(&self.schema), ident(&self.name))
    }

    /// The columns that rows are digested over: those of the earlier census where they are all there, so that a row that nobody
    /// has touched is the same row under a new column.
    fn columns(&self, like: Option<&Census>) -> Vec<String> {
        let own: Vec<String> = self
            .columns
            .iter()
            .map(|(name, kind)| format!("{name} {kind}"))
            .collect();
        let earlier = like.and_then(|like| like.parts.get(&self.shown()));
        match earlier {
            Some(earlier) if earlier.columns.iter().all(|column| own.contains(column)) => earlier.columns.clone(),
            _ => own,
        }
    }
}

fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A query that digests the rows of a table; each row by 64 bits of its text, all of them by the sum of these.
fn digest_of(at: usize, table: &Found, columns: &[String], number: u64) -> String {
    let names = columns.iter().filter_map(|column| {
        let own = table
            .columns
            .iter()
            .find(|(name, kind)| format!("{name} {kind}") == *column)?;
        Some(ident(&own.0))
    });
    let row = format!("ROW({})", names.collect::<Vec<_>>().join(", "));
    let members = if number <= MOST {
        "coalesce(jsonb_agg(h ORDER BY h COLLATE \"C\"), '[]')"
    } else {
        "NULL"
    };
    format!(
        "SELECT jsonb_build_object('at', {at}, 'number', count(*), 'digest', \
         coalesce(sum(('x' || h)::bit(64)::bigint::numeric), 0)::text, 'members', {members}) \
         FROM (SELECT substr(md5({row}::text), 1, 16) AS h FROM ONLY {}) AS counted;\n",
        table.quoted()
    )
}

fn tables(reach: &Reach, cx: &Context) -> Result<Vec<Found>> {
    reach.rows(&reach.database, TABLES, cx)
}

/// How many rows each table has, by its place in the list.
fn numbers(reach: &Reach, all: &[Found], cx: &Context) -> Result<Vec<Numbered>> {
    let of = |(at, table): (usize, &Found)| {
        format!(
            "SELECT jsonb_build_object('at', {at}, 'number', count(*)) FROM ONLY {};\n",
            table.quoted()
        )
    };
    let script: String = all
        .iter()
        .enumerate()
        .filter(|(_, found)| found.is_table())
        .map(of)
        .collect();
    reach.rows(&reach.database, &script, cx)
}

fn fact(digest: String, columns: Vec<String>) -> Part {
    Part {
        counts: Counts::Facts,
        number: 1,
        digest,
        members: None,
        columns,
    }
}

impl Drills for Postgres {
    fn census(&self, like: Option<&Census>, cx: &Context) -> Result<Census> {
        let reach = Reach::open(self, cx)?;
        let all = tables(&reach, cx)?;
        let mut script = String::new();
        for counted in numbers(&reach, &all, cx)? {
            let Some(table) = all.get(counted.at) else { continue };
            script += &digest_of(counted.at, table, &table.columns(like), counted.number);
        }
        for (at, sequence) in all.iter().enumerate().filter(|(_, found)| found.sequence) {
            let question = format!(
                "SELECT jsonb_build_object('at', {at}, 'number', 1, 'digest', last_value::text || ' ' || is_called::text, \
                 'members', NULL) FROM {};\n",
                sequence.quoted()
            );
            script.push_str(&question);
        }
        let digested: Vec<Digested> = reach.rows(&reach.database, &script, cx)?;
        let mut census = Census::default();
        for found in digested {
            let Some(table) = all.get(found.at) else { continue };
            let part = if table.sequence {
                fact(found.digest, Vec::new())
            } else {
                Part {
                    counts: Counts::Rows,
                    number: found.number,
                    digest: found.digest,
                    members: found.members,
                    columns: table.columns(like),
                }
            };
            census.parts.insert(table.shown(), part);
        }
        let schema: Vec<String> = all
            .iter()
            .map(|found| {
                let columns = found.columns.iter().map(|(name, kind)| format!("{name} {kind}"));
                format!("{} ({})", found.shown(), columns.collect::<Vec<_>>().join(", "))
            })
            .collect();
        census
            .parts
            .insert("schema".to_owned(), fact(schema.join("; "), Vec::new()));
        Ok(census)
    }

    fn knows(&self, harm: Harm) -> bool {
        matches!(harm, Harm::HalfMigration | Harm::LostRows)
    }

    fn harm(&self, harm: Harm, cx: &Context) -> Result<Option<String>> {
        if !self.knows(harm) {
            return Ok(None);
        }
        let reach = Reach::open(self, cx)?;
        let all = tables(&reach, cx)?;
        let mut numbers = numbers(&reach, &all, cx)?;
        numbers.retain(|counted| counted.number > 0);
        numbers.sort_by_key(|counted| std::cmp::Reverse(counted.number));
        let tables: Vec<(&Found, u64)> = numbers
            .iter()
            .filter_map(|counted| Some((all.get(counted.at)?, counted.number)))
            .collect();
        if tables.is_empty() {
            return Err(nothing_to_harm(format!("no table of {} has a row", reach.database)));
        }
        match harm {
            Harm::LostRows => lose_rows(&reach, &tables, cx).map(Some),
            _ => half_migrate(&reach, &tables, cx).map(Some),
        }
    }
}

/// Deletes every second row of the largest table whose rows nothing else refers to.
fn lose_rows(reach: &Reach, tables: &[(&Found, u64)], cx: &Context) -> Result<String> {
    let mut why = None;
    for (table, number) in tables {
        let name = table.quoted();
        let half = number.div_ceil(2);
        let script =
            format!("DELETE FROM ONLY {name} WHERE ctid IN (SELECT ctid FROM ONLY {name} ORDER BY ctid LIMIT {half});");
        match reach.run(&reach.database, &script, cx) {
            Ok(_) => return Ok(format!("deleted {} of {}", plural(half, "row"), table.shown())),
            // Rows that others refer to stay where they are.
            Err(error) => why = Some(error),
        }
    }
    Err(why.unwrap_or_else(|| nothing_to_harm("no row can be deleted")))
}

/// Two statements of a migration, each committed, and a third that fails.
fn half_migrate(reach: &Reach, tables: &[(&Found, u64)], cx: &Context) -> Result<String> {
    let Some((table, _)) = tables.first() else {
        return Err(nothing_to_harm("there is no table"));
    };
    let (schema, name) = (ident(&table.schema), table.quoted());
    let script = format!(
        "CREATE TABLE {schema}.guard_drill_half (id integer);\n\
         ALTER TABLE {name} ADD COLUMN guard_drill_half integer;\n\
         ALTER TABLE {schema}.guard_drill_of_nothing ADD COLUMN guard_drill_half integer;"
    );
    match reach.run(&reach.database, &script, cx) {
        Err(error) => {
            // The first two have to stand, else nothing was harmed.
            let made = format!("SELECT to_jsonb(to_regclass('{}') IS NOT NULL);", table_of_half(table));
            let stands: Vec<bool> = reach.rows(&reach.database, &made, cx)?;
            if stands != [true] {
                return Err(error);
            }
            Ok(format!(
                "a migration added a table and a column of {}, and failed",
                table.shown()
            ))
        }
        Ok(_) => Err(ResourceError::new("a migration that had to fail did not")),
    }
}

/// The name of the table that half a migration leaves, as a literal of SQL takes it.
fn table_of_half(table: &Found) -> String {
    format!("{}.guard_drill_half", ident(&table.schema)).replace('\'', "''")
}
