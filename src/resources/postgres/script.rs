//! A dump in plain SQL as somebody's script made it, read so that only one database comes of it: what it says of the server, of
//! roles and of other databases is left out, whatever options it was made with.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Read, Write};

/// The longest line that is looked at as a whole; a longer one is data.
const LINE: u64 = 64 * 1024;

/// What concerns the whole server or the database as such, which guard makes itself.
const ELSEWHERE: [&str; 14] = [
    "CREATE DATABASE ",
    "DROP DATABASE ",
    "ALTER DATABASE ",
    "COMMENT ON DATABASE ",
    "CREATE ROLE ",
    "ALTER ROLE ",
    "DROP ROLE ",
    "CREATE USER ",
    "ALTER USER ",
    "DROP USER ",
    "CREATE TABLESPACE ",
    "ALTER TABLESPACE ",
    "DROP TABLESPACE ",
    "UPDATE pg_catalog.pg_database ",
];

/// What a script is read with.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The database whose part is taken; `None`: the script does not choose any, and all of it is.
    pub(super) database: Option<String>,
    /// The settings that the server knows; a newer `pg_dump` sets others, which are left out.
    pub(super) settings: BTreeSet<String>,
}

/// The databases that a script connects to, in its order.
pub(super) fn databases(script: &mut dyn BufRead) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    each_line(script, &mut |line| {
        if let Place::Command(Some(name)) = line.place
            && !found.contains(&name)
        {
            found.push(name);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Which of the databases in a script is meant by one of this name; an error names what there is.
pub(super) fn choose(found: &[String], wanted: &str) -> Result<Option<String>, String> {
    if found.is_empty() || found.iter().any(|name| name == wanted) {
        return Ok(found.iter().find(|name| *name == wanted).cloned());
    }
    let is_servers = |name: &&String| !matches!(name.as_str(), "postgres" | "template1");
    let others: Vec<&String> = found.iter().filter(is_servers).collect();
    match others.as_slice() {
        [only] => Ok(Some((*only).clone())),
        [] => Err("it holds no database but the server's own".to_owned()),
        several => {
            let names: Vec<&str> = several.iter().map(|name| name.as_str()).collect();
            Err(format!("it holds {}, and none is called {wanted}", names.join(", ")))
        }
    }
}

/// Hands on what makes the database's content.
pub(super) fn pour(script: &mut dyn BufRead, reading: &Reading, writer: &mut dyn Write) -> io::Result<()> {
    let mut current: Option<String> = None;
    // What a script removes before it makes anything is not there in an empty database.
    let (mut has_made, mut is_left_out) = (false, false);
    each_line(script, &mut |line| {
        match line.place {
            Place::Command(Some(name)) => {
                current = Some(name);
                has_made = false;
                return Ok(());
            }
            Place::Command(None) => return Ok(()),
            Place::Start => {
                let text = String::from_utf8_lossy(line.bytes);
                has_made = has_made || text.starts_with("CREATE ");
                is_left_out = reading.leaves_out(&text, has_made);
            }
            Place::Inside => {}
        }
        let is_wanted = reading.database.is_none() || current == reading.database;
        if is_wanted && !is_left_out {
            writer.write_all(line.bytes)?;
        }
        Ok(())
    })
}

impl Reading {
    /// Whether a statement that begins so is left out.
    fn leaves_out(&self, text: &str, has_made: bool) -> bool {
        let concerns = ELSEWHERE.iter().any(|start| text.starts_with(start)) && !text.contains(" USER MAPPING ");
        let is_right = text.starts_with("GRANT ") || text.starts_with("REVOKE ") || text.starts_with("SECURITY LABEL ");
        if concerns || (is_right && text.contains(" ON DATABASE ")) {
            return true;
        }
        if let Some(name) = text.strip_prefix("SET ").and_then(|rest| rest.split([' ', '=']).next())
            && !self.settings.is_empty()
            && text.contains('=')
        {
            return !name.contains('.') && !self.settings.contains(&name.to_lowercase());
        }
        let removes = text.starts_with("DROP ") || (text.starts_with("ALTER ") && text.contains(" DROP "));
        removes && !has_made && !(text.starts_with("DROP SCHEMA ") && text.trim_end().ends_with("public;"))
    }
}

/// Where a line stands.
enum Place {
    /// It begins a statement, or is a comment or empty.
    Start,
    /// It goes on with a statement, or is a row.
    Inside,
    /// It tells psql something that is done without it: to connect to this database, or to obey no further.
    Command(Option<String>),
}

struct Line<'a> {
    bytes: &'a [u8],
    place: Place,
}

fn each_line(script: &mut dyn BufRead, take: &mut dyn FnMut(Line<'_>) -> io::Result<()>) -> io::Result<()> {
    let (mut is_data, mut is_start) = (false, true);
    let mut lexer = Lexer::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut *script).take(LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let is_top = is_start && !is_data && lexer.is_top();
        let mut place = if is_top { Place::Start } else { Place::Inside };
        if is_data {
            is_data = !(is_start && text == b"\\.");
        } else if is_top && text.starts_with(b"COPY ") && text.ends_with(b" FROM stdin;") {
            is_data = true;
        } else if let Some(command) = text.strip_prefix(b"\\").filter(|_| is_top) {
            let command = String::from_utf8_lossy(command).into_owned();
            let (word, rest) = command.split_once(' ').unwrap_or((&command, ""));
            match word {
                "restrict" | "unrestrict" => place = Place::Command(None),
                "connect" | "c" => place = Place::Command(database_in(rest)),
                // psql itself refuses whatever else it is told.
                _ => {}
            }
        } else {
            lexer.read(&line);
        }
        is_start = line.ends_with(b"\n");
        take(Line { bytes: &line, place })?;
    }
}

/// The database in the arguments of `\connect`, as `pg_dump` and people write them.
fn database_in(arguments: &str) -> Option<String> {
    let arguments = arguments.trim();
    if let Some(conninfo) = arguments.strip_prefix("-reuse-previous=on ") {
        // `"dbname='it''s'"`, quoted for psql, and inside for libpq.
        let conninfo = conninfo.trim().trim_matches('"').replace("\"\"", "\"");
        let value = conninfo.strip_prefix("dbname=")?;
        let value = value
            .strip_prefix('\'')
            .and_then(|value| value.strip_suffix('\''))
            .unwrap_or(value);
        return Some(value.replace("\\'", "'").replace("\\\\", "\\"));
    }
    if let Some(quoted) = arguments.strip_prefix('"') {
        return Some(quoted.strip_suffix('"')?.replace("\"\"", "\""));
    }
    arguments.split_whitespace().next().map(str::to_owned)
}

/// Where in a statement the reading is: what looks like one may stand in a function's body or in a text.
#[derive(Debug, Default)]
struct Lexer {
    state: State,
    /// The character before, which tells what a quote means.
    last: u8,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// Between statements.
    #[default]
    Top,
    Statement,
    /// In a text; `escapes`: a backslash takes the next character along.
    Text {
        escapes: bool,
    },
    Name,
    Dollars(Vec<u8>),
    Comment(u32),
}

impl Lexer {
    fn is_top(&self) -> bool {
        self.state == State::Top
    }

    fn read(&mut self, line: &[u8]) {
        let mut at = 0;
        while let Some(byte) = line.get(at).copied() {
            let next = line.get(at + 1).copied().unwrap_or_default();
            let mut step = 1;
            match &mut self.state {
                State::Top | State::Statement => match byte {
                    b'-' if next == b'-' => return,
                    b'/' if next == b'*' => {
                        self.state = State::Comment(1);
                        step = 2;
                    }
                    b'\'' => {
                        let escapes = matches!(self.last, b'E' | b'e');
                        self.state = State::Text { escapes };
                    }
                    b'"' => self.state = State::Name,
                    b'$' if !self.last.is_ascii_alphanumeric() && self.last != b'_' => {
                        if let Some(tag) = dollar_tag(line.get(at..).unwrap_or_default()) {
                            step = tag.len();
                            self.state = State::Dollars(tag);
                        } else {
                            self.state = State::Statement;
                        }
                    }
                    b';' => self.state = State::Top,
                    byte if byte.is_ascii_whitespace() => {}
                    _ => self.state = State::Statement,
                },
                State::Text { escapes: true } if byte == b'\\' => step = 2,
                State::Text { .. } => {
                    if byte == b'\'' {
                        if next == b'\'' {
                            step = 2;
                        } else {
                            self.state = State::Statement;
                        }
                    }
                }
                State::Name => {
                    if byte == b'"' {
                        self.state = State::Statement;
                    }
                }
                State::Dollars(tag) => {
                    let is_end = line.get(at..).is_some_and(|rest| rest.starts_with(tag));
                    if is_end {
                        step = tag.len();
                        self.state = State::Statement;
                    }
                }
                State::Comment(depth) => {
                    if byte == b'/' && next == b'*' {
                        *depth += 1;
                        step = 2;
                    } else if byte == b'*' && next == b'/' {
                        *depth -= 1;
                        step = 2;
                        if *depth == 0 {
                            self.state = State::Top;
                        }
                    }
                }
            }
            self.last = byte;
            at += step;
        }
    }
}

/// `$tag$` at the beginning.
fn dollar_tag(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().skip(1).position(|byte| *byte == b'$')? + 2;
    let tag = text.get(..end)?;
    let inner = tag.get(1..end - 1)?;
    let is_name = inner
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte > 127);
    (is_name && !inner.first().is_some_and(u8::is_ascii_digit)).then(|| tag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poured(script: &str, database: Option<&str>) -> String {
        let reading = Reading {
            database: database.map(str::to_owned),
            settings: ["statement_timeout", "lock_timeout"].map(str::to_owned).into(),
        };
        let mut out = Vec::new();
        pour(&mut script.as_bytes(), &reading, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_the_restrictions_of_a_dump_are_left_out() {
        let script = "\\restrict abc\nCREATE TABLE t (x text);\nCOPY public.t (x) FROM stdin;\n\\restrict data\n\\connect data\n\\.\n\\! id\n\\unrestrict abc\nEND";
        let expected = "CREATE TABLE t (x text);\nCOPY public.t (x) FROM stdin;\n\\restrict data\n\\connect data\n\\.\n\\! id\nEND";
        assert_eq!(poured(script, None), expected);
    }

    #[test]
    fn of_a_whole_server_one_database_is_taken_and_nothing_of_the_server() {
        let script = "CREATE ROLE app;\nALTER ROLE app WITH PASSWORD 'x';\n\\connect template1\nCREATE TABLE junk ();\nCREATE DATABASE shop;\n\
                      ALTER DATABASE shop OWNER TO app;\n\\connect shop\nSET statement_timeout = 0;\nSET transaction_timeout = 0;\n\
                      ALTER DATABASE shop SET x TO 'a;\nb';\nCREATE TABLE t (x text);\nGRANT ALL ON DATABASE shop TO app;\nGRANT ALL ON TABLE t TO app;\n\
                      CREATE USER MAPPING FOR app SERVER s;\n\\connect other\nCREATE TABLE theirs ();\n";
        assert_eq!(
            poured(script, Some("shop")),
            "SET statement_timeout = 0;\nCREATE TABLE t (x text);\nGRANT ALL ON TABLE t TO app;\nCREATE USER MAPPING FOR app SERVER s;\n"
        );
        let found = databases(&mut script.as_bytes()).unwrap();
        assert_eq!(found, ["template1", "shop", "other"]);
        assert_eq!(choose(&found, "shop"), Ok(Some("shop".to_owned())));
        assert!(choose(&found, "mine").unwrap_err().contains("shop, other"));
        assert_eq!(choose(&found[..2], "mine"), Ok(Some("shop".to_owned())));
        assert_eq!(choose(&[], "mine"), Ok(None));
    }

    #[test]
    fn what_stands_in_a_body_or_a_text_is_no_statement() {
        let script = "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $_$\nBEGIN\nDROP DATABASE shop;\nALTER ROLE x;\n\\connect y\nEND $_$;\n\
                      COMMENT ON TABLE t IS 'it''s\nDROP ROLE x;\n';\nSELECT E'\\'\nCREATE ROLE y;\n';\n-- it's\n/* a '\nDROP ROLE z; */\nDROP ROLE w;\nSELECT 1;\n";
        let expected = script.replace("DROP ROLE w;\n", "");
        assert_eq!(poured(script, None), expected);
    }

    #[test]
    fn what_is_cleaned_before_is_not_there_to_be_cleaned() {
        let script = "ALTER TABLE ONLY public.t DROP CONSTRAINT t_pkey;\nDROP TABLE public.t;\nDROP SCHEMA IF EXISTS public;\nCREATE SCHEMA public;\nDROP TABLE later;\n";
        assert_eq!(
            poured(script, None),
            "DROP SCHEMA IF EXISTS public;\nCREATE SCHEMA public;\nDROP TABLE later;\n"
        );
    }

    #[test]
    fn names_of_databases_are_read_as_psql_reads_them() {
        assert_eq!(database_in("shop").as_deref(), Some("shop"));
        assert_eq!(database_in("shop owner").as_deref(), Some("shop"));
        assert_eq!(database_in(r#""od ""d""#).as_deref(), Some("od \"d"));
        assert_eq!(
            database_in(r#"-reuse-previous=on "dbname='it\'s'""#).as_deref(),
            Some("it's")
        );
    }
}
