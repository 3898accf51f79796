//! What is in a SQLite file: its schema and the rows of each table, by digests, seen in one transaction.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Transaction};
use sha2::{Digest, Sha256};

use super::stand_in;
use crate::sql::rows::Rows;
use guard_model::fingerprint::Fingerprint;

/// The objects that a person has made, in order of their names.
const SCHEMA: &str = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema \
    WHERE name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\' ORDER BY type, name";
/// The tables that hold rows of their own; a virtual table's rows are in its shadow tables.
const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
    AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name";

/// Takes the fingerprint of an open database.
pub(super) fn fingerprint(connection: &mut Connection) -> rusqlite::Result<Fingerprint> {
    stand_in::with(connection, taken)
}

fn taken(connection: &mut Connection) -> rusqlite::Result<Fingerprint> {
    let transaction = connection.transaction()?;
    let mut schema = Sha256::new();
    for (pragma, kind) in [("application_id", "i"), ("user_version", "u"), ("encoding", "e")] {
        let value: rusqlite::types::Value = transaction.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))?;
        schema.update(format!("{kind}{value:?}\n"));
    }
    let mut statement = transaction.prepare(SCHEMA)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        for column in 0..4 {
            take(&mut schema, row.get_ref(column)?);
        }
    }
    drop(found);
    drop(statement);
    let mut print = Fingerprint::default().with("schema", hex(&schema.finalize()));
    let mut statement = transaction.prepare(TABLES)?;
    let names: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    drop(statement);
    for name in names {
        let rows = rows(&transaction, &name)?;
        print = print.with(format!("table {name}"), rows.to_string());
    }
    if transaction.table_exists(None, "sqlite_sequence")? {
        let mut statement = transaction.prepare("SELECT name, seq FROM sqlite_sequence")?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let (name, value): (String, i64) = (row.get(0)?, row.get(1)?);
            print = print.with(format!("sequence {name}"), value.to_string());
        }
    }
    Ok(print)
}

/// Counts and digests a table's rows: the sum of the rows' digests, so that their order does not matter.
fn rows(transaction: &Transaction<'_>, table: &str) -> rusqlite::Result<Rows> {
    let quoted = format!("\"{}\"", table.replace('"', "\"\""));
    let mut statement = transaction.prepare(&format!("SELECT * FROM {quoted} NOT INDEXED"))?;
    let mut columns = Sha256::new();
    for name in statement.column_names() {
        take(&mut columns, ValueRef::Text(name.as_bytes()));
    }
    let width = statement.column_count();
    let (mut count, mut sum) = (0, 0_u128);
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let mut digest = Sha256::new();
        for column in 0..width {
            take(&mut digest, row.get_ref(column)?);
        }
        let digest = digest.finalize();
        let half = digest
            .iter()
            .take(16)
            .fold(0_u128, |sum, byte| sum << 8 | u128::from(*byte));
        sum = sum.wrapping_add(half);
        count += 1;
    }
    Ok(Rows {
        count,
        columns: hex(&columns.finalize()).chars().take(16).collect(),
        digest: format!("{sum:032x}"),
    })
}

/// Takes a value into a digest, with its type and length, so that no two rows can be told alike.
fn take(digest: &mut Sha256, value: ValueRef<'_>) {
    let (kind, bytes) = match value {
        ValueRef::Null => (b'n', Vec::new()),
        ValueRef::Integer(number) => (b'i', number.to_be_bytes().to_vec()),
        ValueRef::Real(number) => (b'r', number.to_bits().to_be_bytes().to_vec()),
        ValueRef::Text(text) => (b't', text.to_vec()),
        ValueRef::Blob(blob) => (b'b', blob.to_vec()),
    };
    digest.update([kind]);
    digest.update((bytes.len() as u64).to_be_bytes());
    digest.update(bytes);
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _never = write!(text, "{byte:02x}");
        text
    })
}
