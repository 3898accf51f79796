//! The page of grounds: each row names tests that there are, and each test of a ground has its row.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Page, root};

/// Tests of these files try a ground each.
const TRIERS: [&str; 5] = [
    "tests/guard/faults/grounds/mod.rs",
    "tests/guard/resources/volume/places.rs",
    "tests/guard/resources/volume/flags.rs",
    "tests/guard/resources/git/grounds.rs",
    "tests/guard/resources/files/grounds.rs",
];

/// The functions of a file that are tests.
fn tests_of(text: &str) -> BTreeSet<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let pairs = lines.windows(3).filter(|lines| lines[0].starts_with("#[test]"));
    let named = pairs.filter_map(|lines| {
        let line = lines[1..].iter().find(|line| line.starts_with("fn "))?;
        line.strip_prefix("fn ")?.split('(').next().map(str::to_owned)
    });
    named.collect()
}

fn all_tests() -> BTreeSet<String> {
    let files = walkdir::WalkDir::new(root().join("tests"))
        .into_iter()
        .map(Result::unwrap);
    let files = files.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "rs"));
    let found: BTreeSet<String> = files
        .flat_map(|entry| tests_of(&std::fs::read_to_string(entry.path()).unwrap()))
        .collect();
    assert!(found.len() > 300, "the tests were not found: {}", found.len());
    found
}

/// The rows of the page's tables, as cells.
fn rows() -> Vec<Vec<String>> {
    let text = Page::named("docs/grounds.md").text;
    let lines = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| ground "));
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim_matches('|');
        inner.split(" | ").map(|cell| cell.trim().to_owned()).collect()
    };
    lines.map(cells).collect()
}

/// The names in backticks.
fn named(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_row_of_the_grounds_names_tests_that_there_are() {
    let (tests, rows) = (all_tests(), rows());
    assert!(rows.len() > 25, "the rows were not found: {}", rows.len());
    for row in &rows {
        assert_eq!(row.len(), 4, "{row:?}");
        let by = named(&row[3]);
        assert!(!by.is_empty(), "{row:?} names no test");
        for name in by {
            assert!(tests.contains(&name), "{}: there is no test {name}", row[0]);
        }
    }
}

#[test]
fn every_ground_that_a_test_tries_has_a_row() {
    let told: BTreeSet<String> = rows().iter().flat_map(|row| named(&row[3])).collect();
    for file in TRIERS {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let tests = tests_of(&text);
        assert!(!tests.is_empty(), "{file}");
        for name in tests {
            assert!(told.contains(&name), "{file}: {name} has no row in docs/grounds.md");
        }
    }
    // A file system that a test makes or mounts is named in a row.
    let grounds: Vec<String> = rows().iter().map(|row| row[0].to_lowercase()).collect();
    for kind in kinds_in(&root().join("tests/guard")) {
        let is_told = rows()
            .iter()
            .any(|row| row[..2].iter().any(|cell| cell.contains(&kind)));
        assert!(is_told, "{kind} is tried, and none of {grounds:?} is it");
    }
}

/// The kinds of file systems that tests make by `mkfs.KIND` or mount by `-t KIND`.
fn kinds_in(tests: &Path) -> BTreeSet<String> {
    let word = |text: &str| -> String { text.chars().take_while(char::is_ascii_alphanumeric).collect() };
    let mut found = BTreeSet::new();
    for entry in walkdir::WalkDir::new(tests).into_iter().map(Result::unwrap) {
        if entry.path().extension().is_none_or(|ending| ending != "rs") || entry.path().ends_with("docs/grounds.rs") {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        for mark in ["mkfs.", "mount -t ", "\"mount\", &[\"-t\", \""] {
            found.extend(text.split(mark).skip(1).map(word).filter(|kind| !kind.is_empty()));
        }
    }
    assert!(found.len() > 3, "{found:?}");
    found
}
