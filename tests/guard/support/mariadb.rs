//! A private MariaDB server of the host's own programs, on a socket of its own and no port; gone when it is dropped.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The password of the user `boss`; a canary that must show nowhere.
pub const PASSWORD: &str = "mariadb-canary-p@ss/word:%41";
/// The same, as a URL needs it.
const ENCODED: &str = "mariadb-canary-p%40ss%2Fword%3A%2541";

/// A running server.
pub struct Server {
    root: tempfile::TempDir,
    child: Option<Child>,
}

/// A command as the user mysql where we are root.
fn as_server(program: &str) -> Command {
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=mysql", "--regid=mysql", "--clear-groups", "--", program]);
    command
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

impl Server {
    /// Makes and starts a server.
    pub fn start() -> Self {
        let root = tempfile::Builder::new()
            .prefix("guard-mariadb-")
            .tempdir_in(super::template::memory())
            .unwrap();
        let chown = Command::new("chown").arg("mysql").arg(root.path()).output().unwrap();
        drop(chown);
        let mut server = Self { root, child: None };
        super::template::copied("mariadb", &server.data(), || server.install());
        server.up();
        let grant = format!(
            "CREATE USER boss@localhost IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO boss@localhost WITH GRANT OPTION;"
        );
        server.sql("", &grant);
        server
    }

    fn install(&self) {
        let mut install = as_server("mariadb-install-db");
        install.args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]);
        install
            .arg(format!("--datadir={}", self.data().display()))
            .arg(format!("--tmpdir={}", self.root.path().display()))
            .current_dir("/");
        succeeded(&install.output().expect("scripts/setup installs MariaDB"));
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    fn socket(&self) -> PathBuf {
        self.root.path().join("s")
    }

    /// Starts the server.
    pub fn up(&mut self) {
        let log = std::fs::File::create(self.root.path().join("log")).unwrap();
        let mut command = as_server("mariadbd");
        command.args([
            "--no-defaults",
            "--skip-networking",
            "--innodb-flush-log-at-trx-commit=0",
        ]);
        command.args([
            "--innodb-buffer-pool-size=16M",
            "--innodb-log-file-size=8M",
            "--event-scheduler=ON",
        ]);
        command.arg(format!("--datadir={}", self.data().display()));
        command.arg(format!("--socket={}", self.socket().display()));
        command.arg(format!("--pid-file={}", self.root.path().join("pid").display()));
        // Its own: in a directory for all of them, a server that starts removes what another one is working with.
        command.arg(format!("--tmpdir={}", self.root.path().display()));
        command
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.child = Some(command.spawn().unwrap());
        let begun = Instant::now();
        while !self
            .client("")
            .args(["-e", "SELECT 1"])
            .output()
            .unwrap()
            .status
            .success()
        {
            assert!(begun.elapsed() < Duration::from_mins(2), "the server does not come up");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        let text = std::fs::read_to_string(self.root.path().join("pid")).unwrap();
        text.trim().parse().unwrap()
    }

    /// Kills the server.
    pub fn down(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _killed = child.kill();
            let _ended = child.wait();
        }
    }

    /// A URL with the password.
    pub fn url(&self, database: &str) -> String {
        let encoded: Vec<String> = database.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!(
            "mariadb://boss:{ENCODED}@localhost/{}?socket={}",
            encoded.concat(),
            self.socket().display()
        )
    }

    /// The client by the socket, as root.
    pub fn client(&self, database: &str) -> Command {
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--user=root", "--batch", "--skip-column-names"]);
        command.args(["--default-character-set=utf8mb4", "--max-allowed-packet=1G"]);
        command.arg(format!("--socket={}", self.socket().display()));
        if !database.is_empty() {
            command.arg(format!("--database={database}"));
        }
        command
    }

    /// Runs SQL as root, and returns what it prints.
    pub fn sql(&self, database: &str, script: &str) -> String {
        self.feed(database, script.as_bytes())
    }

    /// The same of any bytes.
    pub fn feed(&self, database: &str, script: &[u8]) -> String {
        let mut command = self.client(database);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(script).unwrap();
        let output = child.wait_with_output().unwrap();
        // A server that went away tells why in its log only.
        let log = std::fs::read_to_string(self.root.path().join("log")).unwrap_or_default();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}\nthe server's log:\n{log}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Makes a database and fills it.
    pub fn create(&self, database: &str, script: &str) {
        let name = database.replace('`', "``");
        self.sql(
            "",
            &format!("CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;"),
        );
        self.sql(database, script);
    }

    /// The names of all databases that are not the server's own.
    pub fn databases(&self) -> Vec<String> {
        let script = "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN \
                      ('information_schema', 'mysql', 'performance_schema', 'sys') ORDER BY 1;";
        self.sql("", script).lines().map(str::to_owned).collect()
    }

    /// A database in full, as the dump program tells it.
    pub fn observe(&self, database: &str) -> String {
        let mut command = Command::new("mariadb-dump");
        command.args([
            "--no-defaults",
            "--user=root",
            "--routines",
            "--triggers",
            "--events",
            "--hex-blob",
            "--force",
            "--max-allowed-packet=1G",
        ]);
        command.args([
            "--skip-comments",
            "--order-by-primary",
            "--databases",
            "--default-character-set=utf8mb4",
        ]);
        command.arg(format!("--socket={}", self.socket().display()));
        let output = command.arg("--").arg(database).output().unwrap();
        // It says what views do not work, and goes on.
        let told = String::from_utf8_lossy(&output.stderr);
        let is_known = |line: &str| line.contains("1356") || line.contains("1449") || line.starts_with("Warning: ");
        assert!(told.lines().all(is_known), "{told}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.down();
    }
}
