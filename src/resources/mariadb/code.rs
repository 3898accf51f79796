//! What a database has beside its tables: views, triggers, routines and events. None of it can be renamed into another
//! database, so it travels as the script that makes it, kept in a table of guard's own beside the tables it belongs to.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::reach::{Reach, ident, literal};
use super::tables::{OWN, WRITING, names, within};
use super::trouble::{self, explained, whole};
use crate::error::{ResourceError, Result};
use guard_model::event::Level;
use guard_model::text::sanitised;
use guard_system::context::Context;
use guard_system::disk::sha256_hex;

/// Begins a line of a script that tells of a view which did not work when the script was made. For the server it is a comment.
const BROKEN: &str = "-- guard: view that does not work: ";

/// A script with the standards of the database it belongs to.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) charset: String,
    pub(super) collation: String,
    pub(super) script: Vec<u8>,
}

/// A view that the server cannot answer, as one of a column that was dropped: no server makes it anew, and none misses it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Broken {
    pub(super) name: String,
    definer: String,
    security: String,
    check: String,
    definition: String,
}

impl Broken {
    /// The statement that would make it, where what it needs is there.
    fn statement(&self, schema: &str) -> String {
        let (user, host) = self.definer.rsplit_once('@').unwrap_or((&self.definer, "%"));
        let check = match self.check.as_str() {
            "LOCAL" | "CASCADED" => format!(" WITH {} CHECK OPTION", self.check),
            _ => String::new(),
        };
        format!(
            "CREATE DEFINER = {}@{} SQL SECURITY {} VIEW {}.{} AS {}{check};",
            ident(user),
            ident(host),
            self.security,
            ident(schema),
            ident(&self.name),
            self.definition
        )
    }
}

/// The views of a schema that do not work.
pub(super) fn broken(reach: &Reach, schema: &str, cx: &Context) -> Result<Vec<Broken>> {
    // Where it asks for the rows, the server opens the view, and says instead of its comment what is wrong.
    let script = format!(
        "SELECT JSON_ARRAY(TABLE_NAME, TABLE_COMMENT, TABLE_ROWS) FROM information_schema.TABLES WHERE {} \
         AND TABLE_TYPE = 'VIEW' ORDER BY TABLE_NAME;",
        within("TABLE_SCHEMA", schema)
    );
    let views: Vec<(String, String, Option<u64>)> = reach.rows(&script, cx)?;
    let names: Vec<String> = views
        .iter()
        .filter(|(_, comment, _)| comment != "VIEW")
        .map(|(name, ..)| literal(name))
        .collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let script = format!(
        "SELECT JSON_OBJECT('name', TABLE_NAME, 'definer', DEFINER, 'security', SECURITY_TYPE, 'check', CHECK_OPTION, \
         'definition', VIEW_DEFINITION) FROM information_schema.VIEWS WHERE {} AND TABLE_NAME IN ({}) ORDER BY TABLE_NAME;",
        within("TABLE_SCHEMA", schema),
        names.join(", ")
    );
    reach.rows(&script, cx)
}

/// The views that a script tells of as ones that did not work.
fn broken_in(script: &[u8]) -> Vec<Broken> {
    let lines = script.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| serde_json::from_slice(line.strip_prefix(BROKEN.as_bytes())?).ok())
        .collect()
}

/// A digest of what a script makes. Views that do not work are not made by it.
pub(super) fn digest(script: &[u8]) -> String {
    let lines = script.split_inclusive(|byte| *byte == b'\n');
    let made: Vec<u8> = lines
        .filter(|line| !line.starts_with(BROKEN.as_bytes()))
        .flatten()
        .copied()
        .collect();
    sha256_hex(&made)
}

/// The script that makes a database's routines, views, triggers and events, in an order in which each finds what it needs.
pub(super) fn script(reach: &Reach, schema: &str, cx: &Context) -> Result<Vec<u8>> {
    const ONLY: [&str; 4] = [
        "--no-data",
        "--no-create-info",
        "--skip-comments",
        "--single-transaction",
    ];
    let broken = broken(reach, schema, cx)?;
    // The dump program stops at them.
    let ignored: Vec<String> = broken
        .iter()
        .map(|view| format!("--ignore-table={schema}.{}", view.name))
        .collect();
    let ignored: Vec<&str> = ignored.iter().map(String::as_str).collect();
    let beside = |flags: &[&'static str]| {
        let flags: Vec<&str> = ONLY
            .iter()
            .chain(flags)
            .copied()
            .chain(ignored.iter().copied())
            .collect();
        reach.dump(&flags, schema, &[])
    };
    let mut calls = vec![beside(&["--skip-triggers", "--routines"])];
    let mut views = names(reach, schema, true, cx)?;
    views.retain(|name| !broken.iter().any(|view| &view.name == name));
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
    calls.push(beside(&["--triggers", "--events"]));
    let mut script = Vec::new();
    for call in calls {
        let output = cx.output(&call).map_err(|error| explained(error, schema))?;
        // Empty lines between statements come and go with what stands beside; those of a body are its own.
        let mut is_body = false;
        for line in output.stdout.split_inclusive(|byte| *byte == b'\n') {
            if line.starts_with(b"DELIMITER ") {
                is_body = line.starts_with(b"DELIMITER ;;");
            }
            // The line that keeps the client from obeying the script: one is enough.
            let is_again = line.starts_with(b"/*M!999999") && !script.is_empty();
            if !is_again && (is_body || line != b"\n") {
                script.extend_from_slice(line);
            }
        }
    }
    for view in &broken {
        let told = serde_json::to_string(view)
            .map_err(|error| ResourceError::because(format!("could not describe the view {}", view.name), error))?;
        script.extend_from_slice(format!("{BROKEN}{told}\n").as_bytes());
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

/// Removes a database's views, triggers, routines and events; its tables and their rows stay, and so do `kept`, views that
/// did not work and are there as they were.
fn clear_but(reach: &Reach, schema: &str, kept: &[Broken], cx: &Context) -> Result<()> {
    let script = format!(
        "SELECT JSON_ARRAY('EVENT', EVENT_NAME, NULL) FROM information_schema.EVENTS WHERE {};
         SELECT JSON_ARRAY('TRIGGER', TRIGGER_NAME, NULL) FROM information_schema.TRIGGERS WHERE {};
         SELECT JSON_ARRAY('VIEW', TABLE_NAME, VIEW_DEFINITION) FROM information_schema.VIEWS WHERE {};
         SELECT JSON_ARRAY(ROUTINE_TYPE, ROUTINE_NAME, NULL) FROM information_schema.ROUTINES WHERE {} ORDER BY ROUTINE_TYPE DESC;",
        within("EVENT_SCHEMA", schema),
        within("TRIGGER_SCHEMA", schema),
        within("TABLE_SCHEMA", schema),
        within("ROUTINE_SCHEMA", schema)
    );
    let found: Vec<(String, String, Option<String>)> = reach.rows(&script, cx)?;
    let stays = |kind: &str, name: &str, definition: Option<&str>| {
        let same = |view: &Broken| view.name == name && Some(view.definition.as_str()) == definition;
        kind == "VIEW" && kept.iter().any(same)
    };
    let drops: Vec<String> = found
        .iter()
        .filter(|(kind, name, definition)| !stays(kind, name, definition.as_deref()))
        .map(|(kind, name, _)| {
            let drop = format!("DROP {kind} IF EXISTS {}.{};\n", ident(schema), ident(name));
            // Only in this mode does a server know the word.
            if kind.starts_with("PACKAGE") {
                format!("SET SESSION sql_mode = 'ORACLE';\n{drop}SET SESSION sql_mode = '';\n")
            } else {
                drop
            }
        })
        .collect();
    if drops.is_empty() {
        return Ok(());
    }
    reach.run(None, &drops.concat(), cx).map(|_| ())
}

/// Removes what stands beside the tables of a live database, so that its tables can be moved; views of the one that comes which
/// do not work stay where they are, as no server would make them anew.
pub(super) fn clear(reach: &Reach, schema: &str, coming: &Kept, cx: &Context) -> Result<()> {
    clear_but(reach, schema, &broken_in(&coming.script), cx)
}

/// Gives a database these standards and what the script makes, in place of what it has of that.
pub(super) fn apply(reach: &Reach, schema: &str, kept: &Kept, cx: &Context) -> Result<()> {
    clear(reach, schema, kept, cx)?;
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
    if let Err(error) = cx.output(&call) {
        // What can be had is made all the same: a live database without any of its views is worse than one without one.
        clear(reach, schema, kept, cx)?;
        let call = reach.client(Some(schema)).arg("--force").input(kept.script.clone());
        let _told_already = cx.output(&call);
        return Err(explained(error, schema));
    }
    let there = names(reach, schema, true, cx)?;
    for view in broken_in(&kept.script)
        .iter()
        .filter(|view| !there.contains(&view.name))
    {
        if let Err(error) = reach.run(None, &view.statement(schema), cx) {
            let text = format!(
                "the view {}.{}, which did not work when the backup was taken, could not be made again: {}",
                schema,
                view.name,
                whole(&error)
            );
            cx.note(Level::Warn, text);
        }
    }
    Ok(())
}

/// Makes in a database beside the live one what a script makes, to see that the server takes it from this user; events do not
/// run there.
pub(super) fn try_out(reach: &Reach, live: &str, side: &str, script: &[u8], cx: &Context) -> Result<()> {
    let script = without_running(script);
    // A view that calls a function names the function's database: beside the live one it is to call the one there.
    let moved = replaced(
        &script,
        format!("{}.", ident(live)).as_bytes(),
        format!("{}.", ident(side)).as_bytes(),
    );
    let first = cx.output(&reach.client(Some(side)).input(moved));
    let Err(error) = first else { return Ok(()) };
    clear_but(reach, side, &[], cx)?;
    // The words may have stood in a text.
    match cx.output(&reach.client(Some(side)).input(script)) {
        Ok(_) => Ok(()),
        Err(_) => Err(named(explained(error, live), reach, cx)),
    }
}

/// The same error; where the user may not make what others own, it says what that is.
fn named(error: ResourceError, reach: &Reach, cx: &Context) -> ResourceError {
    if !trouble::is_of_others(&error) {
        return error;
    }
    match of_others(reach, cx) {
        Ok(others) if !others.is_empty() => ResourceError {
            what: format!("{}: {}", error.what, sanitised(&others.join(", "))),
            ..error
        },
        _ => error,
    }
}

/// A script whose events are made without being enabled.
fn without_running(script: &[u8]) -> Vec<u8> {
    static ENABLED: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?-u)(?m)^(/\*!50106 CREATE\*/ .*? ON COMPLETION (?:NOT )?PRESERVE )ENABLE ").ok()
    });
    match ENABLED.as_ref() {
        Some(form) => form.replace_all(script, b"${1}DISABLE ".as_slice()).into_owned(),
        None => script.to_vec(),
    }
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut made = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        let (before, after) = rest.split_at(at);
        made.extend_from_slice(before);
        made.extend_from_slice(to);
        rest = after.get(from.len()..).unwrap_or_default();
    }
    made.extend_from_slice(rest);
    made
}

/// What is the live database's and belongs to other users, each by name; for the advice where this user may not make it.
pub(crate) fn of_others(reach: &Reach, cx: &Context) -> Result<Vec<String>> {
    let live = &reach.database;
    let script = format!(
        "SELECT JSON_ARRAY('view', TABLE_NAME, DEFINER, CURRENT_USER()) FROM information_schema.VIEWS WHERE {};
         SELECT JSON_ARRAY('trigger', TRIGGER_NAME, DEFINER, CURRENT_USER()) FROM information_schema.TRIGGERS WHERE {};
         SELECT JSON_ARRAY(LOWER(ROUTINE_TYPE), ROUTINE_NAME, DEFINER, CURRENT_USER()) FROM information_schema.ROUTINES WHERE {};
         SELECT JSON_ARRAY('event', EVENT_NAME, DEFINER, CURRENT_USER()) FROM information_schema.EVENTS WHERE {};",
        within("TABLE_SCHEMA", live),
        within("TRIGGER_SCHEMA", live),
        within("ROUTINE_SCHEMA", live),
        within("EVENT_SCHEMA", live)
    );
    let found: Vec<(String, String, String, String)> = reach.rows(&script, cx)?;
    let others = found.into_iter().filter(|(_, _, definer, own)| definer != own);
    Ok(others
        .map(|(kind, name, definer, _)| format!("{kind} {name} of {definer}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_made_without_being_enabled() {
        let script = b"/*!50106 CREATE*/ /*!50117 DEFINER=`a`@`b`*/ /*!50106 EVENT `e` ON SCHEDULE EVERY 1 DAY ON COMPLETION NOT PRESERVE ENABLE DO SELECT ' ENABLE ' */ ;;\nSELECT 1";
        let told = String::from_utf8(without_running(script)).unwrap();
        assert!(told.contains("NOT PRESERVE DISABLE DO SELECT ' ENABLE '"), "{told}");
    }

    #[test]
    fn a_view_that_does_not_work_is_told_and_not_counted() {
        let told = b"-- guard: view that does not work: {\"name\":\"v\",\"definer\":\"a@b@c\",\"security\":\"DEFINER\",\"check\":\"NONE\",\"definition\":\"select 1\"}\n";
        let script = [b"CREATE x;\n".as_slice(), told].concat();
        let found = broken_in(&script);
        assert_eq!(
            found[0].statement("s"),
            "CREATE DEFINER = `a@b`@`c` SQL SECURITY DEFINER VIEW `s`.`v` AS select 1;"
        );
        assert_eq!(digest(&script), sha256_hex(b"CREATE x;\n"));
    }

    #[test]
    fn names_are_replaced_wherever_they_stand() {
        assert_eq!(replaced(b"`a`.x `a`.y `a`", b"`a`.", b"`bb`."), b"`bb`.x `bb`.y `a`");
        assert_eq!(replaced(b"", b"`a`.", b"b"), b"");
    }
}
