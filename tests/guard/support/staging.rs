//! A staging to break: a Postgres server, an application that reads it and answers over HTTP, a directory and configuration.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::cluster::Cluster;
use super::embedded::{Embedded, until};
use super::program::Program;
use crate::probes::free_port;

const SETTINGS: &str = r#"
[environments.staging]
drill = true

[resources.db]
kind = "postgres"
url = "@URL@"

[resources.objects]
kind = "volume"
path = "objects"

[resources.config]
kind = "files"
paths = ["conf/**"]

[probes.app]
kind = "http"
url = "http://127.0.0.1:@PORT@/health"
timeout = "3s"

[services]
stop = [["../app.sh", "stop"]]
start = [["../app.sh", "start", "@PORT@", "@URL@"]]

[monitor]
duration = "5s"
interval = "100ms"
persist = "300ms"
gate = "@GATE@"
min_samples = 10
"#;

/// The rows at the beginning.
const ROWS: &str = "CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL); \
     INSERT INTO notes (text) SELECT 'note ' || g FROM generate_series(1, 9) g; \
     CREATE TABLE tags (name text PRIMARY KEY); INSERT INTO tags VALUES ('one'), ('two');";

/// The staging; the application ends when it is dropped.
pub struct Staging {
    /// The project around it.
    pub project: Embedded,
    /// The server; the database is `shop`.
    pub cluster: Cluster,
    port: u16,
}

impl Staging {
    /// A staging that runs and is well; `gate` is how long a start may take, `more` further settings.
    pub fn open(gate: &str, more: &str) -> Self {
        let cluster = Cluster::start();
        cluster.create("shop", ROWS);
        let port = free_port();
        let settings = format!("{SETTINGS}\n{more}");
        let settings = settings
            .replace("@URL@", &cluster.url("shop"))
            .replace("@PORT@", &port.to_string())
            .replace("@GATE@", gate);
        let project = Embedded::with(&settings);
        let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/drill");
        for name in ["app.py", "app.sh"] {
            std::fs::copy(fixtures.join(name), project.root().join(name)).unwrap();
        }
        let staging = Self { project, cluster, port };
        let url = staging.cluster.url("shop");
        staging.project.sh(&format!("../app.sh start {port} '{url}'"));
        until(|| staging.is_well());
        staging
    }

    /// guard in staging.
    pub fn guard(&self) -> Program {
        self.project.guard().env("GUARD_ENVIRONMENT", "staging")
    }

    /// The number of the application's process.
    pub fn process(&self) -> String {
        std::fs::read_to_string(self.project.root().join("app.pid")).unwrap()
    }

    /// Whether the application answers 200, asked from outside.
    pub fn is_well(&self) -> bool {
        is_well(self.port)
    }

    /// The port that the application listens at.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// All that there is, by other means than guard's.
    pub fn everything(&self) -> (String, std::collections::BTreeMap<&'static str, String>) {
        (self.cluster.observe("shop"), self.project.everything())
    }

    /// How many rows a query counts, by a client of the test's own.
    pub fn count(&self, query: &str) -> u64 {
        self.cluster.sql("shop", query).trim().parse().unwrap()
    }
}

/// Asks the port once.
pub fn is_well(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.split(' ').nth(1) == Some("200"))
}

impl Drop for Staging {
    fn drop(&mut self) {
        let stopped = Command::new("../app.sh")
            .arg("stop")
            .current_dir(self.project.directory())
            .status();
        // It ends with its session otherwise; nothing else hangs on it.
        drop(stopped);
    }
}
