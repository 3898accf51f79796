//! The down scripts on disk: which file takes which version back, and whether it can be run in a transaction.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::books::place;
use crate::error::{ResourceError, Result};
use guard_system::disk::{self, At};

/// Lines that begin the way back in a file that holds both ways, and those that begin the way ahead again.
const MARKS: [(&str, &str); 2] = [("-- migrate:down", "-- migrate:up"), ("-- +goose Down", "-- +goose Up")];

/// One migration's way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Down {
    pub(super) version: String,
    /// The file, for people.
    pub(super) file: String,
    pub(super) sql: String,
}

/// The SQL files of a directory, with the version that each name begins with.
fn files(directory: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for path in disk::list(directory)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_none_or(|end| end != "sql") {
            // Diesel keeps both scripts in a directory of the version's name.
            let down = path.join("down.sql");
            if down.is_file() {
                found.push((name, down));
            }
            continue;
        }
        // Flyway's undo scripts: `U2.1__name.sql`.
        let undo = name.strip_prefix('U').and_then(|rest| rest.split_once("__"));
        let version = undo.map_or(name.as_str(), |(version, _)| version).to_owned();
        found.push((version, path));
    }
    found.sort();
    Ok(found)
}

/// Whether a name begins with this version: `0003_users.down.sql` with `3`.
fn begins(name: &str, version: &str) -> bool {
    let end = name.find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len());
    let (digits, rest) = name.split_at(end);
    let is_number = !version.is_empty() && version.chars().all(|c| c.is_ascii_digit());
    if is_number
        && !digits.is_empty()
        && !rest.starts_with(|c: char| c == '.' && name[end + 1..].starts_with(|c: char| c.is_ascii_digit()))
    {
        return digits.trim_start_matches('0') == version.trim_start_matches('0');
    }
    let stem = name.split(".down.sql").next().unwrap_or(name).trim_end_matches(".sql");
    stem == version || name == version
}

/// The versions that files tell of, above one and up to another, newest first: for books that tell only the newest.
pub(super) fn between(directory: &Path, above: Option<&str>, to: &str) -> Result<Vec<String>> {
    let mut versions: Vec<String> = Vec::new();
    for (name, _) in files(directory)? {
        let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
        let version = digits.trim_start_matches('0').to_owned();
        let is_newer = above.is_none_or(|above| place(&version).0 > place(above).0);
        if !version.is_empty() && is_newer && place(&version).0 <= place(to).0 && !versions.contains(&version) {
            versions.push(version);
        }
    }
    versions.sort_by_key(|version| std::cmp::Reverse(place(version)));
    Ok(versions)
}

/// Finds the way back of a version.
pub(super) fn find(directory: &Path, version: &str) -> Result<Down> {
    for (name, path) in files(directory)? {
        if !begins(&name, version) {
            continue;
        }
        let text = std::fs::read_to_string(&path).at("read", &path)?;
        let shown = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let parent = path
            .parent()
            .and_then(Path::file_name)
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let file = if shown == "down.sql" {
            format!("{parent}/{shown}")
        } else {
            shown.clone()
        };
        let is_whole =
            shown.ends_with(".down.sql") || shown == "down.sql" || (shown.starts_with('U') && shown.contains("__"));
        let sql = if is_whole { Some(text) } else { half(&text) };
        if let Some(sql) = sql.filter(|sql| !sql.trim().is_empty()) {
            let sql = plain(&sql).map_err(|why| {
                ResourceError::new(format!(
                    "{file} cannot be run in a transaction with its entry in the books: {why}"
                ))
                .with_hint("set `down_command`, so that the migration tool itself goes back")
            })?;
            return Ok(Down {
                version: version.to_owned(),
                file,
                sql,
            });
        }
    }
    let what = format!(
        "the migration {version} has no down script in {}: neither {version}_….down.sql nor a part after `-- migrate:down`",
        directory.display()
    );
    Err(ResourceError::new(what).with_hint("write it, or set `rollback = \"swap\"`, which needs none"))
}

/// The way back in a file that holds both.
fn half(text: &str) -> Option<String> {
    for (down, up) in MARKS {
        let mut lines = text.lines().skip_while(|line| !line.trim_start().starts_with(down));
        let Some(mark) = lines.next() else { continue };
        if mark.contains("transaction:false") {
            return Some("-- no-transaction".to_owned());
        }
        let rest: Vec<&str> = lines.take_while(|line| !line.trim_start().starts_with(up)).collect();
        return Some(rest.join("\n"));
    }
    None
}

/// A script without the transaction that it may open and close itself.
fn plain(sql: &str) -> std::result::Result<String, String> {
    static EDGE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?is)^((?:\s|--[^\n]*\n)*)(?:BEGIN|START\s+TRANSACTION)(?:\s+TRANSACTION)?\s*;(.*)COMMIT\s*;\s*$")
            .ok()
    });
    static CONTROL: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?im)^\s*(?:(BEGIN|COMMIT|ROLLBACK|START\s+TRANSACTION|SAVEPOINT\s+\w+)\s*;|.*\b(CONCURRENTLY)\b|(VACUUM)\b|--\s*(no-transaction|\+goose NO TRANSACTION)|(\\\S+))").ok()
    });
    let inner = EDGE.as_ref().and_then(|edge| edge.captures(sql));
    let sql = inner.map_or_else(|| sql.to_owned(), |found| format!("{}{}", &found[1], &found[2]));
    let found = CONTROL.as_ref().and_then(|control| control.captures(&sql));
    let word = found.and_then(|found| {
        found
            .iter()
            .skip(1)
            .flatten()
            .next()
            .map(|word| word.as_str().to_owned())
    });
    match word {
        Some(word) => Err(format!("it says `{word}`")),
        None => Ok(sql),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layout_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            disk::write_whole(&path, text.as_bytes()).unwrap();
        };
        write("0003_users.up.sql", "CREATE TABLE users ();");
        write("0003_users.down.sql", "BEGIN;\nDROP TABLE users;\nCOMMIT;\n");
        write(
            "20250101000000_both.sql",
            "-- migrate:up\nCREATE TABLE b ();\n-- migrate:down\nDROP TABLE b;\n",
        );
        write(
            "7_goose.sql",
            "-- +goose Up\nSELECT 1;\n-- +goose Down\nDROP TABLE g;\n",
        );
        write("8-diesel/down.sql", "DROP TABLE d;");
        write("U2.1__undo.sql", "DROP TABLE f;");
        write("9_only.up.sql", "SELECT 1;");
        write("10_late.down.sql", "CREATE INDEX CONCURRENTLY i ON t (x);");
        write(
            "11_plain.down.sql",
            "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETURN 1;\nEND;\n$$;",
        );
        let sql = |version: &str| find(directory.path(), version).map(|down| down.sql.trim().to_owned());
        assert_eq!(sql("3").unwrap(), "DROP TABLE users;");
        assert_eq!(sql("20250101000000").unwrap(), "DROP TABLE b;");
        assert_eq!(sql("7").unwrap(), "DROP TABLE g;");
        assert_eq!(sql("8").unwrap(), "DROP TABLE d;");
        assert_eq!(sql("2.1").unwrap(), "DROP TABLE f;");
        assert!(
            sql("11").unwrap().contains("END;"),
            "a function's own words are no transaction"
        );
        assert!(sql("9").unwrap_err().what.contains("9 has no down script"));
        assert!(sql("10").unwrap_err().what.contains("`CONCURRENTLY`"));
        assert_eq!(between(directory.path(), Some("3"), "9").unwrap(), ["9", "8", "7"]);
    }
}
