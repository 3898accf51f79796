//! What is in a database: its schema, its rows and sequences, seen in one snapshot that a dump can share.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::content::{CONTENT, HIDDEN, SEQUENCES};
use super::moment::{self, IS_FLUSHED, Moment};
use super::properties::{PROPERTIES, Properties};
use super::reach::Reach;
use super::schema;
use super::sql::IDENTIFIER;
use super::surroundings::{PATH, SURROUNDINGS, Surroundings};
use super::trouble::{Trouble, explained, is_denied, is_locked_out};
use crate::error::{ResourceError, Result};
use crate::sql::rows::Rows;
use guard_model::fingerprint::Fingerprint;
use guard_system::context::Context;
use guard_system::disk::sha256_hex;
use guard_system::processes::CallError;

/// One line of what the session tells.
#[derive(Debug, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
enum Line {
    Snapshot {
        id: String,
    },
    Moment(Box<Noted>),
    /// Whether all that led to the snapshot is on the server's disk.
    Flushed {
        so: bool,
    },
    Server(Server),
    Surroundings(Surroundings),
    Database(Box<Properties>),
    Extension {
        name: String,
        version: String,
        schema: String,
    },
    Roles {
        names: Vec<String>,
    },
    Rows {
        table: String,
        /// The table's number; 0 where a dump may leave rows out.
        #[serde(default)]
        oid: u32,
        columns: String,
        rows: u64,
        digest: String,
    },
    Sequence {
        name: String,
        value: String,
    },
    /// A part of the fingerprint that this user may not read.
    Hidden {
        part: String,
    },
}

/// The moment of the snapshot, and the tables that there were.
#[derive(Debug, Deserialize)]
struct Noted {
    xmin: u64,
    database: u32,
    timeline: Option<String>,
    wal: u64,
    /// Number, the name that people are shown, and a digest of the columns.
    tables: Vec<(u32, String, String)>,
}

/// What the server says about itself and the database's size.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Server {
    /// `17.6 (Debian 17.6-1)`.
    pub(super) version: String,
    /// `170006`.
    pub(super) number: u32,
    /// Bytes that the database takes.
    pub(super) size: u64,
    /// Tells a cluster from every other, where the user may know it.
    pub(super) system_identifier: Option<String>,
}

/// Everything that a look at a database finds.
#[derive(Debug, Clone, Default)]
pub(super) struct Catalog {
    pub(super) server: Server,
    pub(super) properties: Properties,
    pub(super) surroundings: Surroundings,
    pub(super) extensions: BTreeMap<String, String>,
    pub(super) extension_schemas: BTreeMap<String, String>,
    /// Roles that own something in it or hold a right on it.
    pub(super) roles: Vec<String>,
    pub(super) tables: BTreeMap<String, Rows>,
    /// The tables of which a dump holds every row, by number: name and rows.
    pub(super) counts: BTreeMap<u32, (String, u64)>,
    /// The moment of the snapshot, where it was asked for and the server is no replica.
    pub(super) moment: Option<Moment>,
    /// Whether all that led to it is on the server's disk.
    pub(super) is_flushed: bool,
    sequences: BTreeMap<String, String>,
    /// The parts of the fingerprint that could not be read.
    hidden: BTreeSet<String>,
    /// SHA-256 of the schema as `pg_dump` tells it.
    schema: String,
}

const SERVER: &str = r"
SELECT jsonb_build_object('is', 'server', 'version', current_setting('server_version'),
  'number', current_setting('server_version_num')::int, 'size', pg_database_size(current_database()),
  'system_identifier', :known::text);
SELECT jsonb_build_object('is', 'extension', 'name', extname, 'version', extversion, 'schema', extnamespace::regnamespace) FROM pg_extension;
SELECT jsonb_build_object('is', 'roles', 'names', coalesce((SELECT jsonb_agg(DISTINCT r.rolname)
  FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
  WHERE s.refclassid = 'pg_authid'::regclass AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
), '[]'));
";

/// Notes the moment of the snapshot. The log's position is asked for behind the snapshot: whoever had ended by then has said so before it.
fn noting() -> String {
    format!(
        "SELECT CASE WHEN pg_is_in_recovery() THEN 0 ELSE pg_current_wal_insert_lsn() - '0/0'::pg_lsn END AS wal \\gset\n\
         SELECT jsonb_build_object('is', 'moment') || {} || jsonb_build_object('wal', :wal, 'tables', (SELECT coalesce(jsonb_agg(\
         jsonb_build_array(c.oid::bigint, {}, {})), '[]') FROM pg_class c WHERE c.relkind = 'r' AND c.oid >= 16384 AND c.relpersistence <> 't'));\n",
        moment::NOW,
        moment::SHOWN,
        moment::COLUMNS
    )
}

/// Whether all of a database has to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Eye<'s> {
    /// For a copy: what may not be read is an error.
    Strict,
    /// For a comparison: what may not be read is a part that differs.
    Lenient,
    /// For the shape alone: no rows are read.
    Shape,
    /// For a comparison of the shape and of where sequences stand: what may not be read is a part that differs.
    Outline,
    /// The rest of a look whose outline had this schema.
    Rest(&'s str),
}

impl Eye<'_> {
    /// Whether what may not be read is passed over.
    fn is_lenient(self) -> bool {
        matches!(self, Self::Lenient | Self::Outline | Self::Rest(_))
    }
}

/// Looks at a database in one snapshot, and lets `work` use the same snapshot meanwhile, by its id.
pub(super) fn observe<T>(
    reach: &Reach,
    database: &str,
    cx: &Context,
    work: impl FnOnce(&str) -> Result<T>,
) -> Result<(Catalog, T)> {
    observe_with(Eye::Strict, reach, database, cx, work)
}

/// Looks at what may be read of a database: a release may have made tables of another role, and the way back needs nothing
/// from them.
pub(super) fn look(reach: &Reach, database: &str, cx: &Context) -> Result<Catalog> {
    observe_with(Eye::Lenient, reach, database, cx, |_| Ok(())).map(|(catalog, ())| catalog)
}

/// Looks at everything but rows, as far as it may be read.
pub(super) fn outline(reach: &Reach, database: &str, cx: &Context) -> Result<Catalog> {
    observe_with(Eye::Outline, reach, database, cx, |_| Ok(())).map(|(catalog, ())| catalog)
}

/// Looks at the rows as well, where the outline was not enough: the schema is taken to be that of the outline, and is not read again.
pub(super) fn fill_in(outline: &Catalog, reach: &Reach, database: &str, cx: &Context) -> Result<Catalog> {
    observe_with(Eye::Rest(&outline.schema), reach, database, cx, |_| Ok(())).map(|(catalog, ())| catalog)
}

/// Looks at everything but rows and sequences.
pub(super) fn shape(reach: &Reach, database: &str, cx: &Context) -> Result<Catalog> {
    observe_with(Eye::Shape, reach, database, cx, |_| Ok(())).map(|(catalog, ())| catalog)
}

/// The schema's digest, without what is hidden from this user where that may be passed over.
fn schema_of(eye: Eye<'_>, reach: &Reach, database: &str, snapshot: &str, cx: &Context) -> Result<String> {
    if let Eye::Rest(schema) = eye {
        return Ok(schema.to_owned());
    }
    match schema::digest(reach, database, snapshot, &[], cx) {
        Err(error) if eye.is_lenient() && is_denied(&error) => {
            let hidden: Vec<String> = reach.rows(database, HIDDEN, cx)?;
            schema::digest(reach, database, snapshot, &hidden, cx)
        }
        other => other,
    }
}

fn observe_with<T>(
    eye: Eye<'_>,
    reach: &Reach,
    database: &str,
    cx: &Context,
    work: impl FnOnce(&str) -> Result<T>,
) -> Result<(Catalog, T)> {
    let lenient = eye.is_lenient();
    let (rows, sequences) = match eye {
        Eye::Shape => ("", ""),
        Eye::Outline => ("", SEQUENCES),
        Eye::Strict | Eye::Lenient | Eye::Rest(_) => (CONTENT, SEQUENCES),
    };
    let (noting, ending) = match eye {
        Eye::Strict => (noting(), IS_FLUSHED),
        _ => (String::new(), ""),
    };
    let script = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\n\
         SELECT jsonb_build_object('is', 'snapshot', 'id', pg_export_snapshot());\n{noting}\
         \\set lenient {lenient}\n{PATH}{IDENTIFIER}{SERVER}{SURROUNDINGS}{PROPERTIES}{rows}{sequences}"
    );
    let script = reach.script(&script);
    let call = reach.psql(database);
    let (found, lines) = channel();
    let (done, wait) = channel::<()>();
    let looked = std::thread::scope(|scope| {
        let session = scope.spawn(|| {
            // Moved in, so that it is dropped with the session, and nobody waits for a line that cannot come.
            let found = found;
            hold(&call, (&script, ending), &found, wait, cx)
        });
        let worked = first_line(&lines).map(|id| {
            let schema = schema_of(eye, reach, database, &id, cx)?;
            Ok((schema, work(&id)?))
        });
        if matches!(worked, Some(Ok(_))) {
            // The session may be gone by now, and says why itself.
            let _gone = done.send(());
        }
        drop(done);
        match (worked, session.join().unwrap_or(Ok(()))) {
            // The session was cut off because the work had failed.
            (Some(Err(error)), Err(CallError::Data { .. })) => Err(error),
            (_, Err(error)) => Err(explained(error, database)),
            (Some(worked), Ok(())) => worked,
            (None, Ok(())) => Err(ResourceError::new("the server told no snapshot")),
        }
    });
    let (schema, worked) = looked.map_err(|error| with_holders(error, reach, database, cx))?;
    let mut catalog = Catalog {
        schema,
        ..Catalog::default()
    };
    for line in lines.try_iter() {
        catalog.take(serde_json::from_str(&line).map_err(|error| Trouble::unread(&line, error))?);
    }
    catalog.count_in();
    Ok((catalog, worked))
}

fn first_line(lines: &Receiver<String>) -> Option<String> {
    let line = lines.recv().ok()?;
    match serde_json::from_str(&line) {
        Ok(Line::Snapshot { id }) => Some(id),
        _ => None,
    }
}

/// Talks to psql: gives the script, hands on each line, keeps the session open until the other end is dropped, and asks what is
/// to be asked at its end.
fn hold(
    call: &guard_system::call::Call,
    (script, ending): (&str, &str),
    found: &Sender<String>,
    wait: Receiver<()>,
    cx: &Context,
) -> std::result::Result<(), CallError> {
    let mut rest = Vec::new();
    let mut sink = |bytes: &[u8]| {
        rest.extend_from_slice(bytes);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if !line.is_empty() {
                found.send(line).map_err(io::Error::other)?;
            }
        }
        Ok(())
    };
    let mut feed = move |writer: &mut dyn Write| {
        writer.write_all(script.as_bytes())?;
        writer.flush()?;
        loop {
            match wait.try_recv() {
                Ok(()) => return write!(writer, "{ending}\nCOMMIT;\n"),
                // A commit would wait for an answer, which a server that is out of reach does not give.
                Err(TryRecvError::Disconnected) => return Err(io::Error::other("what the session was for has failed")),
                Err(TryRecvError::Empty) => {}
            }
            // An empty line means nothing to psql, and tells us when it is gone.
            writer.write_all(b"\n")?;
            cx.clock.sleep(Duration::from_millis(20));
        }
    };
    cx.converse(call, &mut sink, &mut feed).map(|_| ())
}

/// Names who holds the locks that an act waited for in vain.
fn with_holders(error: ResourceError, reach: &Reach, database: &str, cx: &Context) -> ResourceError {
    if !is_locked_out(&error) {
        return error;
    }
    match holders(reach, database, cx) {
        Ok(holders) if !holders.is_empty() => error.with_hint(format!(
            "end that session, or raise `lock_wait`: {}",
            holders.join("; ")
        )),
        _ => error,
    }
}

/// The sessions that shut everybody else out of a table: `pid 41 locks users: ALTER TABLE …`.
pub(super) fn holders(reach: &Reach, database: &str, cx: &Context) -> Result<Vec<String>> {
    let script = "SELECT to_jsonb(format('pid %s locks %s: %s', l.pid, l.relation::regclass, left(a.query, 80)))
        FROM pg_locks l JOIN pg_stat_activity a USING (pid) JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
        WHERE l.mode = 'AccessExclusiveLock' AND l.granted AND l.relation IS NOT NULL AND l.pid <> pg_backend_pid()
          AND l.relation >= 16384;";
    reach.rows(database, script, cx)
}

impl Noted {
    fn moment(self) -> Option<Moment> {
        let rows = |table: String, columns: String| moment::Rows {
            table,
            count: 0,
            columns,
        };
        let tables = self.tables.into_iter();
        Some(Moment {
            xmin: self.xmin,
            database: self.database,
            timeline: self.timeline?,
            wal: self.wal,
            tables: tables
                .map(|(number, table, columns)| (number, rows(table, columns)))
                .collect(),
        })
    }
}

impl Catalog {
    fn take(&mut self, line: Line) {
        match line {
            Line::Snapshot { .. } => {}
            Line::Moment(noted) => self.moment = noted.moment(),
            Line::Flushed { so } => self.is_flushed = so,
            Line::Server(server) => self.server = server,
            Line::Surroundings(surroundings) => self.surroundings = surroundings,
            Line::Database(properties) => self.properties = *properties,
            Line::Extension { name, version, schema } => {
                self.extension_schemas.insert(name.clone(), schema);
                self.extensions.insert(name, version);
            }
            Line::Roles { names } => self.roles = names,
            Line::Rows {
                table,
                oid,
                columns,
                rows,
                digest,
            } => {
                if oid != 0 {
                    self.counts.insert(oid, (table.clone(), rows));
                }
                let rows = Rows {
                    count: rows,
                    columns,
                    digest,
                };
                match self.tables.get_mut(&table) {
                    Some(whole) => whole.add(&rows),
                    None => {
                        self.tables.insert(table, rows);
                    }
                }
            }
            Line::Hidden { part } => {
                self.hidden.insert(part);
            }
            Line::Sequence { name, value } => {
                self.sequences.insert(name, value);
            }
        }
    }

    /// Adds what was counted to the moment at which it was.
    fn count_in(&mut self) {
        let Some(moment) = &mut self.moment else { return };
        moment.tables.retain(|number, rows| {
            let counted = self.counts.get(number);
            rows.count = counted.map_or(0, |(_, count)| *count);
            counted.is_some()
        });
    }

    /// The parts that `Rows` and the price know, and the rest.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let extensions = self.extensions.iter();
        let extensions: Vec<String> = extensions
            .map(|(name, version)| format!("{name} {version}\n"))
            .collect();
        let mut print = Fingerprint::default()
            .with("schema", &self.schema)
            .with("extensions", sha256_hex(extensions.concat().as_bytes()))
            .with("database", self.properties.digest());
        for (table, rows) in &self.tables {
            print = print.with(format!("table {table}"), rows.to_string());
        }
        for (name, value) in &self.sequences {
            print = print.with(format!("sequence {name}"), value);
        }
        for part in &self.hidden {
            print = print.with(part.clone(), "this user may not read it");
        }
        print
    }
}
