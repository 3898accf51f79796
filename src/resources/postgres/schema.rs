//! The schema of a database as one digest: `pg_dump`'s own words, without those that differ from one run to the next.
//!
//! `pg_dump` knows every kind of object that a dump can carry, so nothing that a restore would change is missed.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::reach::Reach;
use super::trouble::explained;
use crate::error::Result;
use guard_system::context::Context;
use guard_system::disk::Digest;

/// The SHA-256 of the schema in this snapshot, but for the tables in `without`, as `pg_dump` takes their names.
pub(super) fn digest(
    reach: &Reach,
    database: &str,
    snapshot: &str,
    without: &[String],
    cx: &Context,
) -> Result<String> {
    let connection = reach.connection(database);
    let snapshot = format!("--snapshot={snapshot}");
    let wait = reach.wait_flag();
    let without: Vec<String> = without.iter().map(|table| format!("--exclude-table={table}")).collect();
    let args = ["--schema-only", "--no-password", &snapshot, &wait, "-d", &connection];
    let args: Vec<&str> = args.into_iter().chain(without.iter().map(String::as_str)).collect();
    let call = reach.program("pg_dump", false, &args);
    let mut digest = Digest::default();
    let mut rest = Vec::new();
    let mut sink = |bytes: &[u8]| {
        rest.extend_from_slice(bytes);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            if !is_passing(&line) {
                digest.update(&settled(&line));
            }
        }
        Ok(())
    };
    cx.pull(&call, &mut sink).map_err(|error| explained(error, database))?;
    digest.update(&rest);
    Ok(digest.hex())
}

/// Whether a line tells of the run and not of the schema: versions, and the random words of `\restrict`.
fn is_passing(line: &[u8]) -> bool {
    [
        b"-- Dumped ".as_slice(),
        b"\\restrict ",
        b"\\unrestrict ",
        b"-- Started on ",
        b"-- Completed on ",
    ]
    .iter()
    .any(|start| line.starts_with(start))
}

/// Postgres writes one and the same condition on a `varchar` in two ways, before a dump was restored and after:
/// `(ARRAY['a'::character varying, …])::text[]` and `ARRAY[('a'::character varying)::text, …]`. Both settle to one here.
fn settled(line: &[u8]) -> Vec<u8> {
    static FORMS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        let forms = [
            r"\(('(?:[^']|'')*')::character varying\)::text",
            r"('(?:[^']|'')*')::character varying",
            r"\((ARRAY\[[^\[\]]*\])\)::text\[\]",
        ];
        forms.iter().filter_map(|form| Regex::new(form).ok()).collect()
    });
    if !line.windows(6).any(|window| window == b"ARRAY[") {
        return line.to_vec();
    }
    FORMS.iter().fold(line.to_vec(), |line, form| {
        form.replace_all(&line, b"$1".as_slice()).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ways_to_write_one_condition_are_one() {
        let before = b"CHECK (((kind)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))";
        let after =
            b"CHECK (((kind)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])))";
        let other =
            b"CHECK (((kind)::text = ANY (ARRAY[('a'::character varying)::text, ('c'::character varying)::text])))";
        assert_eq!(settled(before), settled(after));
        assert_ne!(settled(after), settled(other));
    }

    #[test]
    fn random_words_are_passed_over() {
        assert!(is_passing(b"\\restrict 0aZ\n") && is_passing(b"-- Dumped from database version 15.1\n"));
        assert!(!is_passing(b"-- Name: users; Type: TABLE\n"));
    }
}
