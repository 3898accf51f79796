//! The demo's project on disk: a database, pictures, settings and the description of a release; how it is made and looked at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};

use super::releases::{RELEASES, Release};
use guard_system::disk;

/// Whatever goes wrong in the demo's own project.
pub(super) type Answer<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The project.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) directory: PathBuf,
}

impl Place {
    pub(super) fn of(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    pub(super) fn release_file(&self) -> PathBuf {
        self.directory.join("release.json")
    }

    pub(super) fn settings_file(&self) -> PathBuf {
        self.directory.join(".env")
    }

    pub(super) fn pictures(&self) -> PathBuf {
        self.directory.join("data/pictures")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.directory.join("service.log")
    }

    pub(super) fn database(&self) -> Answer<Connection> {
        let connection = Connection::open(self.directory.join("data/app.db"))?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        // The write-ahead log is what most services use, and makes a plain copy of the file a bad backup.
        connection.pragma_update(None, "journal_mode", "wal")?;
        Ok(connection)
    }

    /// The lines of `.env`.
    pub(super) fn settings(&self) -> Answer<BTreeMap<String, String>> {
        let text = std::fs::read_to_string(self.settings_file())?;
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// The port that the service listens on.
    pub(super) fn port(&self) -> Answer<u16> {
        Ok(self.settings()?.get("PORT").ok_or("no PORT in .env")?.parse()?)
    }

    /// Makes the project, at its first release. `program` is this guard.
    pub(super) fn make(&self, port: u16, program: &Path) -> Answer<()> {
        let write = |name: &str, text: &str| disk::write_whole(&self.directory.join(name), text.as_bytes());
        disk::create_private_dir(&self.pictures())?;
        write("guard.toml", &settings(port, program))?;
        // Looks like a secret, so that it can be looked for in what the demo shows.
        write(
            ".env",
            &format!("PORT={port}\nTITLE=the demo\nAPI_TOKEN=tk-demo-4f9c2d1b77a0\n"),
        )?;
        for user in 1..=5 {
            let picture = format!("<svg xmlns=\"http://www.w3.org/2000/svg\"><circle r=\"{user}\"/></svg>\n");
            write(&format!("data/pictures/user-{user}.svg"), &picture)?;
        }
        write("data/pictures/group photo.bin", &"a large picture ".repeat(60_000))?;
        self.take("v1").map(drop)
    }

    /// Makes a release the one that is there: its description, its migrations, and what its script does to the settings.
    /// Returns the names of the migrations that ran.
    pub(super) fn take(&self, version: &str) -> Answer<Vec<&'static str>> {
        let release = RELEASES.iter().find(|release| release.version == version);
        let release = release.ok_or_else(|| format!("there is no release {version:?}"))?;
        disk::write_whole(&self.release_file(), release.text.as_bytes())?;
        if release.edits_settings {
            let text = std::fs::read_to_string(self.settings_file())?;
            let lines = text.lines().filter(|line| !line.starts_with("API_TOKEN="));
            let edited = lines.map(|line| match line.split_once('=') {
                Some(("TITLE", _)) => "TITLE=the next generation\n".to_owned(),
                _ => format!("{line}\n"),
            });
            disk::write_whole(&self.settings_file(), edited.collect::<String>().as_bytes())?;
        }
        self.migrate(release)
    }

    /// Runs the migrations that the database has not seen, each with its note in one transaction.
    fn migrate(&self, release: &Release) -> Answer<Vec<&'static str>> {
        let mut connection = self.database()?;
        connection.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)", [])?;
        let mut ran = Vec::new();
        for (name, sql) in release.migrations {
            let step = connection.transaction()?;
            if step.execute("INSERT OR IGNORE INTO migrations VALUES (?1)", [name])? == 1 {
                step.execute_batch(sql)?;
                ran.push(*name);
            }
            step.commit()?;
        }
        Ok(ran)
    }

    /// The whole state, each part with its digest, read by other means than those that put it back: rows by SQL, files as
    /// bytes. What guard keeps beside the pictures is no part of it.
    pub(super) fn digests(&self) -> Answer<BTreeMap<String, String>> {
        let mut digests = BTreeMap::new();
        let connection =
            Connection::open_with_flags(self.directory.join("data/app.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let tables = rows(
            &connection,
            "SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name",
        )?;
        for table in tables {
            let [name, sql] = table.as_slice() else { continue };
            let of_it = rows(&connection, &format!("SELECT * FROM \"{name}\" ORDER BY rowid"))?;
            let text = format!("{sql}\n{of_it:?}");
            digests.insert(
                format!("table {name}, {} rows", of_it.len()),
                disk::sha256_hex(text.as_bytes()),
            );
        }
        for entry in std::fs::read_dir(self.pictures())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with(".guard-") {
                digests.insert(
                    format!("picture {name}"),
                    disk::sha256_hex(&std::fs::read(entry.path())?),
                );
            }
        }
        for path in [self.release_file(), self.settings_file()] {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            digests.insert(format!("file {name}"), disk::sha256_hex(&std::fs::read(&path)?));
        }
        Ok(digests)
    }
}

/// Every row of a query, each column as text.
pub(super) fn rows(connection: &Connection, query: &str) -> Answer<Vec<Vec<String>>> {
    let mut statement = connection.prepare(query)?;
    let width = statement.column_count();
    let rows = statement.query_map([], |row| {
        (0..width).map(|column| Ok(shown(&row.get(column)?))).collect()
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => format!("{bytes:?}"),
    }
}

/// The project's `guard.toml`.
fn settings(port: u16, program: &Path) -> String {
    // A list of words as TOML; a path may hold what a string has to escape, and a JSON string is one of TOML too.
    let words = |act: &str| {
        let program = serde_json::Value::from(program.display().to_string());
        format!("[{program}, \"demo-part\", \"{act}\"]")
    };
    let (stop, start, check) = (words("stop"), words("start"), words("check"));
    format!(
        r#"# What a deployment of this project can change, and how to tell that the project is well.
project = "demo"
state_dir = "../state"

[resources.db]
kind = "sqlite"
path = "data/app.db"

[resources.pictures]
kind = "volume"
path = "data/pictures"

[resources.release]
kind = "files"
paths = ["release.json", ".env"]

[services]
stop = [{stop}]
start = [{start}]

[probes.site]
kind = "http"
url = "http://127.0.0.1:{port}/health"

[verify]
commands = [{check}]

# Seconds instead of the usual ten minutes: it is a demo.
[monitor]
duration = "6s"
interval = "250ms"
consecutive_failures = 3
persist = "1s"
gate = "20s"
min_samples = 5
"#
    )
}
