//! What is in a database: its tables' schema, the rows of each by digests, its views, triggers, routines and events.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::code;
use super::reach::{Reach, ident, literal};
use super::tables::{listed, standard, within};
use super::trouble::explained;
use crate::error::Result;
use crate::sql::rows::Rows;
use guard_model::fingerprint::Fingerprint;
use guard_system::context::Context;
use guard_system::disk::{Digest, sha256_hex};

/// Everything that a look at a database finds.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) tables: Vec<String>,
    pub(super) charset: String,
    pub(super) collation: String,
    /// The script that makes its views, triggers, routines and events.
    pub(super) code: Vec<u8>,
    pub(super) print: Fingerprint,
    /// The longest row, in bytes, and its table.
    pub(super) longest: Option<(u64, String)>,
}

/// The next number of each table that counts.
pub(super) fn numberings(reach: &Reach, schema: &str, cx: &Context) -> Result<BTreeMap<String, u64>> {
    let listed = listed(reach, schema, false, cx)?;
    Ok(listed
        .into_iter()
        .filter_map(|(name, next)| Some((name, next?)))
        .collect())
}

/// The parts in which a live database differs from its copy. A numbering that has gone on is none: it does so behind a way back,
/// which lets it go on where that of the displaced database was.
pub(super) fn differences(copy: &Fingerprint, now: &Fingerprint) -> Vec<String> {
    let number = |print: &Fingerprint, part: &str| print.part(part).and_then(|value| value.parse::<u64>().ok());
    let has_gone_on = |part: &String| {
        part.starts_with("sequence ")
            && matches!((number(copy, part), number(now, part)), (Some(then), Some(now)) if now >= then)
    };
    let mut parts = now.differences(copy);
    parts.retain(|part| !has_gone_on(part));
    parts
}

/// Looks at a database; `None` where there is none.
pub(super) fn observe(reach: &Reach, schema: &str, cx: &Context) -> Result<Option<Seen>> {
    let Some((charset, collation)) = standard(reach, schema, cx)? else {
        return Ok(None);
    };
    let listed = listed(reach, schema, false, cx)?;
    let tables: Vec<String> = listed.iter().map(|(name, _)| name.clone()).collect();
    let code = code::script(reach, schema, cx)?;
    let mut print = Fingerprint::default()
        .with("schema", shape(reach, schema, &tables, cx)?)
        .with("code", code::digest(&code))
        .with("database", format!("{charset} {collation}"));
    let mut longest: Option<(u64, String)> = None;
    for (name, (rows, length)) in rows(reach, schema, &tables, cx)? {
        print = print.with(format!("table {name}"), rows.to_string());
        if longest.as_ref().is_none_or(|(most, _)| length > *most) {
            longest = Some((length, name));
        }
    }
    for (name, next) in listed {
        if let Some(next) = next {
            print = print.with(format!("sequence {name}"), next.to_string());
        }
    }
    Ok(Some(Seen {
        tables,
        charset,
        collation,
        code,
        print,
        longest,
    }))
}

/// A digest of the tables' definitions, as the dump program words them, without where their numbering is.
pub(super) fn shape(reach: &Reach, schema: &str, tables: &[String], cx: &Context) -> Result<String> {
    static NUMBERING: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^(\) .*?) AUTO_INCREMENT=\d+").ok());
    let mut digest = Digest::default();
    // Without a list of tables the dump program would take all, views among them.
    if !tables.is_empty() {
        let flags = [
            "--no-data",
            "--skip-triggers",
            "--skip-comments",
            "--skip-add-drop-table",
            "--single-transaction",
        ];
        let output = cx.output(&reach.dump(&flags, schema, tables));
        let output = output.map_err(|error| explained(error, schema))?;
        for line in output.stdout.split_inclusive(|byte| *byte == b'\n') {
            let is_setting = line.starts_with(b"/*") || line.starts_with(b"SET ");
            if is_setting {
                continue;
            }
            match NUMBERING.as_ref() {
                Some(form) => digest.update(&form.replace(line, b"$1".as_slice())),
                None => digest.update(line),
            }
        }
    }
    Ok(digest.hex())
}

/// A sum whose terms stand in groups: a server that reads hundreds in a row runs out of its stack.
fn sum(mut terms: Vec<String>) -> String {
    while terms.len() > 1 {
        terms = terms.chunks(8).map(|some| format!("({})", some.join(" + "))).collect();
    }
    terms.pop().unwrap_or_else(|| "0".to_owned())
}

/// Counts and digests the rows of all tables in one snapshot, and measures the longest of each. The digest of a table is the sum
/// of its rows' digests, so that their order does not matter.
fn rows(reach: &Reach, schema: &str, tables: &[String], cx: &Context) -> Result<BTreeMap<String, (Rows, u64)>> {
    let script = format!(
        "SELECT JSON_ARRAY(TABLE_NAME, COLUMN_NAME, COLUMN_TYPE) FROM information_schema.COLUMNS WHERE {} \
         ORDER BY TABLE_NAME, ORDINAL_POSITION;",
        within("TABLE_SCHEMA", schema)
    );
    let mut columns: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for (table, column, form) in reach.rows::<(String, String, String)>(&script, cx)? {
        columns.entry(table).or_default().push((column, form));
    }
    let mut script = "START TRANSACTION WITH CONSISTENT SNAPSHOT;\n".to_owned();
    for table in tables {
        let known = columns.get(table).map(Vec::as_slice).unwrap_or_default();
        // A value's own digest first: a row of large values would be longer than the server hands about.
        let parts: Vec<String> = known
            .iter()
            .map(|(column, _)| format!("IFNULL(MD5({}), '-')", ident(column)))
            .collect();
        let digest = format!("CONV(LEFT(MD5(CONCAT_WS(',', {})), 15), 16, 10)", parts.join(", "));
        let lengths: Vec<String> = known
            .iter()
            .map(|(column, _)| format!("IFNULL(LENGTH({}), 4)", ident(column)))
            .collect();
        let lengths = sum(lengths);
        // Writing to a String cannot fail.
        let _never = writeln!(
            script,
            "SELECT JSON_ARRAY({}, COUNT(*), CAST(IFNULL(SUM(CAST({digest} AS UNSIGNED)), 0) AS CHAR), IFNULL(MAX({lengths}), 0)) FROM {}.{};",
            literal(table),
            ident(schema),
            ident(table)
        );
    }
    script.push_str("COMMIT;\n");
    let found: Vec<(String, u64, String, u64)> = reach.rows(&script, cx)?;
    let counted = found.into_iter().map(|(table, count, digest, length)| {
        let known = columns.get(&table).map(Vec::as_slice).unwrap_or_default();
        let text: Vec<String> = known.iter().map(|(name, form)| format!("{name} {form}\n")).collect();
        let columns = sha256_hex(text.concat().as_bytes()).chars().take(16).collect();
        (table, (Rows { count, columns, digest }, length))
    });
    Ok(counted.collect())
}
