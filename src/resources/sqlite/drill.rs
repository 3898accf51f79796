//! A drill of an SQLite file: its rows counted over a connection of its own, and harm done by SQL.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::copy;
use crate::abilities::{Drills, Harm, nothing_to_harm};
use crate::error::{ResourceError, Result};
use guard_model::drill::{Census, Counts, Part};
use guard_model::text::plural;
use guard_system::context::Context;
use guard_system::disk::{Digest, sha256_hex};

/// More rows of one table are compared by their number and one digest.
const MOST: usize = 500_000;
/// A row is known by so many hexadecimal digits: 64 bits.
const DIGITS: usize = 16;

impl Drills for super::Sqlite {
    fn census(&self, _like: Option<&Census>, _cx: &Context) -> Result<Census> {
        let path = self.live()?;
        let connection = copy::open(&path)?;
        census(&connection).map_err(|error| copy::failed("count", &path, error))
    }

    fn knows(&self, harm: Harm) -> bool {
        matches!(harm, Harm::HalfMigration | Harm::LostRows)
    }

    fn harm(&self, harm: Harm, _cx: &Context) -> Result<Option<String>> {
        let path = self.live()?;
        let connection = copy::open(&path)?;
        let failed = |error| copy::failed("harm", &path, error);
        let largest = largest(&connection).map_err(failed)?;
        let Some((table, count)) = largest else {
            return Err(nothing_to_harm(format!("no table of {} has a row", path.display())));
        };
        let name = quoted(&table);
        match harm {
            Harm::LostRows => {
                let half = count.div_ceil(2);
                let sql = format!("DELETE FROM {name} WHERE rowid IN (SELECT rowid FROM {name} LIMIT {half})");
                let deleted = connection.execute(&sql, []).map_err(failed)?;
                Ok(Some(format!("deleted {} of {table}", plural(deleted as u64, "row"))))
            }
            Harm::HalfMigration => {
                let statements = [
                    "CREATE TABLE guard_drill_half (id INTEGER)".to_owned(),
                    format!("ALTER TABLE {name} ADD COLUMN guard_drill_half INTEGER"),
                ];
                for statement in statements {
                    connection.execute(&statement, []).map_err(failed)?;
                }
                let third = "ALTER TABLE guard_drill_of_nothing ADD COLUMN guard_drill_half INTEGER";
                match connection.execute(third, []) {
                    Err(error) => Ok(Some(format!(
                        "a migration added a table and a column of {table}, and failed: {error}"
                    ))),
                    Ok(_) => Err(ResourceError::new("a migration that had to fail did not")),
                }
            }
            Harm::LostFiles | Harm::BrokenFiles => Ok(None),
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let sql = "SELECT name, coalesce(sql, '') FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
               ORDER BY name";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// The table with the most rows, and how many; only ordinary ones, whose rows have a number.
fn largest(connection: &Connection) -> rusqlite::Result<Option<(String, u64)>> {
    let mut found: Option<(String, u64)> = None;
    for (table, sql) in tables(connection)? {
        let sql = sql.to_uppercase();
        if sql.contains("WITHOUT ROWID") || sql.starts_with("CREATE VIRTUAL") {
            continue;
        }
        let count: i64 = connection.query_row(&format!("SELECT count(*) FROM {}", quoted(&table)), [], |row| {
            row.get(0)
        })?;
        let count = u64::try_from(count).unwrap_or_default();
        if count > found.as_ref().map_or(0, |(_, most)| *most) {
            found = Some((table, count));
        }
    }
    Ok(found)
}

fn census(connection: &Connection) -> rusqlite::Result<Census> {
    let mut census = Census::default();
    // One look at all of it, whoever writes meanwhile.
    connection.execute_batch("BEGIN")?;
    let mut schema = Digest::default();
    let mut statement =
        connection.prepare("SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY 1")?;
    for line in statement.query_map([], |row| row.get::<_, String>(0))? {
        schema.update(line?.as_bytes());
        schema.update(b"\n");
    }
    census.parts.insert(
        "schema".to_owned(),
        Part {
            counts: Counts::Facts,
            number: 1,
            digest: schema.hex(),
            members: None,
            columns: Vec::new(),
        },
    );
    for (table, _) in tables(connection)? {
        census.parts.insert(format!("table {table}"), rows(connection, &table)?);
    }
    connection.execute_batch("COMMIT")?;
    Ok(census)
}

fn rows(connection: &Connection, table: &str) -> rusqlite::Result<Part> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {}", quoted(table)))?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut members = Vec::new();
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let mut digest = Digest::default();
        for column in 0..columns.len() {
            let (kind, bytes) = match row.get_ref(column)? {
                ValueRef::Null => (b'n', Vec::new()),
                ValueRef::Integer(number) => (b'i', number.to_be_bytes().to_vec()),
                ValueRef::Real(number) => (b'r', number.to_bits().to_be_bytes().to_vec()),
                ValueRef::Text(text) => (b't', text.to_vec()),
                ValueRef::Blob(blob) => (b'b', blob.to_vec()),
            };
            digest.update(&[kind]);
            digest.update(&(bytes.len() as u64).to_be_bytes());
            digest.update(&bytes);
        }
        let mut digits = digest.hex();
        digits.truncate(DIGITS);
        members.push(digits);
    }
    members.sort_unstable();
    Ok(Part {
        counts: Counts::Rows,
        number: members.len() as u64,
        digest: sha256_hex(members.concat().as_bytes()),
        members: (members.len() <= MOST).then_some(members),
        columns,
    })
}
