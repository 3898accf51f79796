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

/// Postgres writes one and the same condition in two ways, before a dump was restored and after. Both settle to one here:
/// a list of a `varchar`, `(ARRAY['a'::character varying, …])::text[]` and `ARRAY[('a'::character varying)::text, …]`, and a
/// chain that begins with a chain, as `BETWEEN` makes it, `((a AND b) AND c)` and `(a AND b AND c)`.
fn settled(line: &[u8]) -> Vec<u8> {
    static FORMS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        let forms = [
            r"\(('(?:[^']|'')*')::character varying\)::text",
            r"('(?:[^']|'')*')::character varying",
            r"\((ARRAY\[[^\[\]]*\])\)::text\[\]",
        ];
        forms.iter().filter_map(|form| Regex::new(form).ok()).collect()
    });
    let has = |word: &[u8]| memchr::memmem::find(line, word).is_some();
    let has_list = has(b"ARRAY[");
    let mut line = if has(b"((") && (has(b") AND ") || has(b") OR ")) {
        joined(line.to_vec())
    } else {
        line.to_vec()
    };
    if has_list {
        line = FORMS.iter().fold(line, |line, form| {
            form.replace_all(&line, b"$1".as_slice()).into_owned()
        });
    }
    line
}

/// The line without the parentheses around a chain that another chain of the same word begins with: only those that change
/// nothing of what is meant.
fn joined(mut line: Vec<u8>) -> Vec<u8> {
    while let Some((open, close)) = needless(&line) {
        line.remove(close);
        line.remove(open);
    }
    line
}

/// The next pair of parentheses around a chain at the begin of a chain. What stands in quotes is no parenthesis.
fn needless(line: &[u8]) -> Option<(usize, usize)> {
    // For each that is open: where it is, and whether `AND` and `OR` were seen in it.
    let mut opened: Vec<(usize, [bool; 2])> = Vec::new();
    let mut quote = None;
    for (at, &byte) in line.iter().enumerate() {
        match (quote, byte) {
            (Some(end), _) => quote = (byte != end).then_some(end),
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'(') => opened.push((at, [false; 2])),
            (None, b')') => {
                let (open, seen) = opened.pop()?;
                let rest = &line[at + 1..];
                let begins = open > 0 && line[open - 1] == b'(';
                let goes_on = [rest.starts_with(b" AND "), rest.starts_with(b" OR ")];
                if begins && seen == goes_on && seen != [false; 2] {
                    return Some((open, at));
                }
            }
            (None, b' ') => {
                let words: [&[u8]; 2] = [b" AND ", b" OR "];
                if let Some((_, seen)) = opened.last_mut() {
                    for (seen, word) in seen.iter_mut().zip(words) {
                        *seen |= line[at..].starts_with(word);
                    }
                }
            }
            _ => {}
        }
    }
    None
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
    fn a_chain_that_begins_a_chain_is_one_with_it() {
        let before = b"CHECK (((((x >= 1) AND (x <= 5)) AND (y > 2)) OR ((z = ANY (ARRAY[1, 2])) AND (y = 1))))";
        let after = b"CHECK ((((x >= 1) AND (x <= 5) AND (y > 2)) OR ((z = ANY (ARRAY[1, 2])) AND (y = 1))))";
        assert_eq!(settled(before), settled(after));
        // Where the words differ, the parentheses are what is meant; and what is quoted is text.
        for kept in [
            b"CHECK ((((x = 1) OR (y = 2)) AND (z = 3)))".as_slice(),
            b"CHECK (((x = 1) AND ((y = 2) AND (z = 3))))",
            b"CHECK ((kind = '((a AND b) AND c)'::text))",
        ] {
            assert_eq!(settled(kept), kept);
        }
    }

    #[test]
    fn random_words_are_passed_over() {
        assert!(is_passing(b"\\restrict 0aZ\n") && is_passing(b"-- Dumped from database version 15.1\n"));
        assert!(!is_passing(b"-- Name: users; Type: TABLE\n"));
    }
}
