//! A private Postgres cluster of the host's own binaries, on a socket and a port of its own; gone when it is dropped.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The password of the superuser `boss`; a canary that must show nowhere.
pub const PASSWORD: &str = "canary-p@ss/word:%41";
/// The same, as a URL needs it.
pub const ENCODED: &str = "canary-p%40ss%2Fword%3A%2541";

/// A running cluster. Connections by TCP need the password; those by the socket do not.
pub struct Cluster {
    root: tempfile::TempDir,
    bin: PathBuf,
    /// The TCP port on 127.0.0.1.
    pub port: u16,
}

/// The directory of the newest server that is installed.
fn binaries() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("scripts/setup installs Postgres")
        .map(|entry| entry.unwrap().path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().expect("scripts/setup installs Postgres")
}

/// A command as the user postgres where we are root, which Postgres refuses to run as.
fn as_server(program: &Path) -> Command {
    if std::fs::metadata("/proc/self")
        .map(|me| std::os::unix::fs::MetadataExt::uid(&me))
        .unwrap()
        != 0
    {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"])
        .arg(program);
    command
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

impl Cluster {
    /// Makes and starts a cluster.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// The same, with lines for its configuration.
    pub fn start_with(settings: &str) -> Self {
        let cluster = Self::anywhere();
        let major = cluster
            .bin
            .parent()
            .unwrap()
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        super::template::copied(&format!("postgres-{major}"), &cluster.data(), || cluster.init());
        cluster.configure(settings);
        cluster
    }

    /// A cluster that shares no identifier with any other one; the rest are copies of one cluster.
    pub fn stranger() -> Self {
        let cluster = Self::anywhere();
        cluster.init();
        cluster.configure("");
        cluster
    }

    /// The place and the port of a cluster.
    fn anywhere() -> Self {
        let root = tempfile::Builder::new()
            .prefix("guard-cluster-")
            .tempdir_in(super::template::memory())
            .unwrap();
        let bin = binaries();
        let chown = Command::new("chown").arg("postgres").arg(root.path()).output().unwrap();
        drop(chown);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        Self { root, bin, port }
    }

    fn init(&self) {
        let mut init = as_server(&self.bin.join("initdb"));
        init.args([
            "--username=boss",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            "--auth-local=trust",
        ]);
        init.args(["--auth-host=scram-sha-256", "-D"]).arg(self.data());
        let secret = self.root.path().join("password");
        std::fs::write(&secret, PASSWORD).unwrap();
        init.arg("--pwfile").arg(&secret).current_dir("/");
        succeeded(&init.output().unwrap());
        std::fs::remove_file(&secret).unwrap();
    }

    fn configure(&self, settings: &str) {
        let config = format!(
            "port = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nfsync = off\n\
             max_prepared_transactions = 5\nwal_level = logical\nshared_buffers = 32MB\n{settings}\n",
            self.port,
            self.root.path().display()
        );
        let path = self.data().join("postgresql.conf");
        let old = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, old + &config).unwrap();
        self.up();
    }

    /// A replica of the cluster that follows it, on a socket and a port of its own.
    pub fn replica(&self) -> Self {
        let root = tempfile::Builder::new()
            .prefix("guard-cluster-")
            .tempdir_in(super::template::memory())
            .unwrap();
        let chown = Command::new("chown").arg("postgres").arg(root.path()).output().unwrap();
        drop(chown);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let replica = Self {
            root,
            bin: self.bin.clone(),
            port,
        };
        let mut copy = as_server(&self.bin.join("pg_basebackup"));
        copy.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-D"])
            .arg(replica.data())
            .current_dir("/");
        copy.env("PGHOST", self.root.path())
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "boss");
        succeeded(&copy.output().unwrap());
        let path = replica.data().join("postgresql.conf");
        let old = std::fs::read_to_string(&path).unwrap();
        let config = format!(
            "port = {port}\nunix_socket_directories = '{}'\n",
            replica.root.path().display()
        );
        std::fs::write(&path, old + &config).unwrap();
        replica.up();
        replica
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    fn control(&self, args: &[&str]) -> Output {
        let mut command = as_server(&self.bin.join("pg_ctl"));
        command
            .arg("-D")
            .arg(self.data())
            .arg("-l")
            .arg(self.root.path().join("log"))
            .args(args)
            .current_dir("/");
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Starts the server.
    pub fn up(&self) {
        succeeded(&self.control(&["-w", "start"]));
    }

    /// Stops the server at once.
    pub fn down(&self) {
        succeeded(&self.control(&["-w", "-m", "immediate", "stop"]));
    }

    /// What the server has written into its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.root.path().join("log")).unwrap()
    }

    /// One of the cluster's own programs, past Debian's wrappers.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// A directory beside the cluster's data, which the server may use.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.root.path().join(name);
        std::fs::create_dir(&path).unwrap();
        Self::own(&path);
        path
    }

    /// Gives a directory to the server's user.
    pub fn own(path: &Path) {
        let chown = Command::new("chown").arg("postgres").arg(path).output().unwrap();
        drop(chown);
    }

    /// A URL with the password.
    pub fn url(&self, database: &str) -> String {
        let encoded: Vec<String> = database.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let encoded = encoded.concat();
        format!("postgres://boss:{ENCODED}@127.0.0.1:{}/{encoded}", self.port)
    }

    /// psql by the socket, ready for its input or more arguments.
    pub fn client(&self, database: &str) -> Command {
        let mut command = Command::new(self.bin.join("psql"));
        let name = database.replace('\\', "\\\\").replace('\'', "\\'");
        command.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            &format!("dbname='{name}'"),
        ]);
        command
            .env("PGHOST", self.root.path())
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "boss");
        command.env_remove("PGPASSWORD");
        command
    }

    /// Runs SQL by the socket and returns what it prints.
    pub fn sql(&self, database: &str, script: &str) -> String {
        self.try_sql(database, script).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same of a script that the server may refuse: then what it says.
    pub fn try_sql(&self, database: &str, script: &str) -> Result<String, String> {
        let mut command = self.client(database);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A client that ends early says why.
        let _ended = child.stdin.take().unwrap().write_all(script.as_bytes());
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Makes a database and fills it.
    pub fn create(&self, database: &str, script: &str) {
        self.sql(
            "postgres",
            &format!("CREATE DATABASE \"{}\";", database.replace('"', "\"\"")),
        );
        self.sql(database, script);
    }

    /// The names of all databases that are not the server's own, sorted.
    pub fn databases(&self) -> Vec<String> {
        let script = "SELECT to_json(datname::text) FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1') ORDER BY 1::text COLLATE \"C\";";
        let text = self.sql("postgres", script);
        let mut names: Vec<String> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        names.sort();
        names
    }

    /// A database in full, as `pg_dump` tells it, with its own properties.
    pub fn observe(&self, database: &str) -> String {
        let mut command = Command::new(self.bin.join("pg_dump"));
        let name = database.replace('\\', "\\\\").replace('\'', "\\'");
        // pg_dump refuses to write the creation of a database with a line feed in its name.
        if !database.contains('\n') {
            command.arg("--create");
        }
        command.args(["-d", &format!("dbname='{name}'")]);
        command
            .env("PGHOST", self.root.path())
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "boss");
        let output = command.output().unwrap();
        succeeded(&output);
        told(&String::from_utf8_lossy(&output.stdout))
    }
}

/// A dump's text without its random words, and with the conditions on lists that Postgres words differently once they
/// were restored told without casts and parentheses.
pub fn told(dump: &str) -> String {
    let lines = dump
        .lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
    let lines = lines.map(|line| {
        if line.contains("ARRAY[") {
            line.replace("::character varying", "")
                .replace("::text[]", "")
                .replace("::text", "")
                .replace(['(', ')'], "")
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _stopped = self.control(&["-w", "-m", "immediate", "stop"]);
    }
}
