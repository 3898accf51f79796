//! What a database has beside its tables: views, triggers, routines and events. None of it can be renamed into another
//! database, so it travels as the script that makes it, kept in a table of guard's own beside the tables it belongs to.

use super::reach::{Reach, ident, literal};
use super::reading::{names, within};
use super::trouble::explained;
use crate::resources::{ResourceError, Result};
use crate::system::context::Context;

/// The script of a database that may be swapped in.
pub(super) const CODE: &str = "__guard_code";
/// The script of what is live, written before a swap; the swap makes it [`CODE`].
pub(super) const PENDING: &str = "__guard_pending";
/// The script of what has been swapped in, until it was run; the swap makes it of [`CODE`].
pub(super) const SWAPPED: &str = "__guard_swapped";
/// A script that is being written.
const WRITING: &str = "__guard_writing";
/// The names of guard's own tables.
pub(super) const OWN: [&str; 4] = [CODE, PENDING, SWAPPED, WRITING];

/// A script with the standards of the database it belongs to.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) charset: String,
    pub(super) collation: String,
    pub(super) script: Vec<u8>,
}

/// The script that makes a database's routines, views, triggers and events, in an order in which each finds what it needs.
pub(super) fn script(reach: &Reach, schema: &str, cx: &Context) -> Result<Vec<u8>> {
    const ONLY: [&str; 4] = [
        "--no-data",
        "--no-create-info",
        "--skip-comments",
        "--single-transaction",
    ];
    let mut calls = vec![reach.dump(&[&ONLY[..], &["--skip-triggers", "--routines"]].concat(), schema, &[])];
    let views = names(reach, schema, true, cx)?;
    if !views.is_empty() {
        let flags = [
            "--no-data",
            "--skip-triggers",
            "--skip-comments",
            "--skip-add-drop-table",
            "--single-transaction",
        ];
        calls.push(reach.dump(&flags, schema, &views));
    }
    calls.push(reach.dump(&[&ONLY[..], &["--triggers", "--events"]].concat(), schema, &[]));
    let mut script = Vec::new();
    for call in calls {
        let output = cx.output(&call).map_err(|error| explained(error, schema))?;
        for line in output.stdout.split_inclusive(|byte| *byte == b'\n') {
            // The line that keeps the client from obeying the script: one is enough.
            let is_again = line.starts_with(b"/*M!999999") && !script.is_empty();
            if !is_again && line != b"\n" {
                script.extend_from_slice(line);
            }
        }
    }
    Ok(script)
}

/// Which of guard's tables a schema has.
pub(super) fn marks(reach: &Reach, schema: &str, cx: &Context) -> Result<Vec<String>> {
    let own: Vec<String> = OWN.iter().map(|name| literal(name)).collect();
    let script = format!(
        "SELECT JSON_QUOTE(TABLE_NAME) FROM information_schema.TABLES WHERE {} AND TABLE_NAME IN ({});",
        within("TABLE_SCHEMA", schema),
        own.join(", ")
    );
    reach.rows(&script, cx)
}

/// Writes a script into a schema, whole or not at all.
pub(super) fn keep(reach: &Reach, schema: &str, table: &str, kept: &Kept, cx: &Context) -> Result<()> {
    use std::fmt::Write as _;
    let hex = kept.script.iter().fold(String::from("0x"), |mut text, byte| {
        // Writing to a String cannot fail.
        let _never = write!(text, "{byte:02x}");
        text
    });
    let hex = if kept.script.is_empty() { "''" } else { &hex };
    let (schema, writing) = (ident(schema), ident(WRITING));
    let script = format!(
        "DROP TABLE IF EXISTS {schema}.{writing};
         CREATE TABLE {schema}.{writing} (charset text, collation text, script longblob) ENGINE=InnoDB CHARACTER SET utf8mb4;
         INSERT INTO {schema}.{writing} VALUES ({}, {}, {hex});
         RENAME TABLE {schema}.{writing} TO {schema}.{};",
        literal(&kept.charset),
        literal(&kept.collation),
        ident(table)
    );
    reach.run(None, &script, cx).map(|_| ())
}

/// Reads a script that was kept.
pub(super) fn read(reach: &Reach, schema: &str, table: &str, cx: &Context) -> Result<Kept> {
    let script = format!(
        "SELECT JSON_ARRAY(charset, collation, HEX(script)) FROM {}.{};",
        ident(schema),
        ident(table)
    );
    let lost = || ResourceError::new(format!("the script kept in {schema}.{table} cannot be read"));
    let found: Option<(String, String, String)> = reach.rows(&script, cx)?.pop();
    let (charset, collation, hex) = found.ok_or_else(lost)?;
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    let bytes = pairs.map(|pair| u8::from_str_radix(pair?, 16).ok());
    Ok(Kept {
        charset,
        collation,
        script: bytes.collect::<Option<_>>().ok_or_else(lost)?,
    })
}

/// Removes a database's views, triggers, routines and events; its tables and their rows stay.
pub(super) fn clear(reach: &Reach, schema: &str, cx: &Context) -> Result<()> {
    let script = format!(
        "SELECT JSON_ARRAY('EVENT', EVENT_NAME) FROM information_schema.EVENTS WHERE {};
         SELECT JSON_ARRAY('TRIGGER', TRIGGER_NAME) FROM information_schema.TRIGGERS WHERE {};
         SELECT JSON_ARRAY('VIEW', TABLE_NAME) FROM information_schema.TABLES WHERE {} AND TABLE_TYPE = 'VIEW';
         SELECT JSON_ARRAY(ROUTINE_TYPE, ROUTINE_NAME) FROM information_schema.ROUTINES WHERE {} ORDER BY ROUTINE_TYPE DESC;",
        within("EVENT_SCHEMA", schema),
        within("TRIGGER_SCHEMA", schema),
        within("TABLE_SCHEMA", schema),
        within("ROUTINE_SCHEMA", schema)
    );
    let found: Vec<(String, String)> = reach.rows(&script, cx)?;
    let drops: Vec<String> = found
        .iter()
        .map(|(kind, name)| format!("DROP {kind} IF EXISTS {}.{};\n", ident(schema), ident(name)))
        .collect();
    if drops.is_empty() {
        return Ok(());
    }
    reach.run(None, &drops.concat(), cx).map(|_| ())
}

/// Gives a database these standards and what the script makes, in place of what it has of that.
pub(super) fn apply(reach: &Reach, schema: &str, kept: &Kept, cx: &Context) -> Result<()> {
    clear(reach, schema, cx)?;
    let standards = format!(
        "ALTER DATABASE {} CHARACTER SET {} COLLATE {};",
        ident(schema),
        kept.charset,
        kept.collation
    );
    reach.run(None, &standards, cx)?;
    if kept.script.is_empty() {
        return Ok(());
    }
    let call = reach.client(Some(schema)).input(kept.script.clone());
    cx.output(&call).map_err(|error| explained(error, schema))?;
    Ok(())
}
