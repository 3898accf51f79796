//! A real S3 server on a port of its own, gone when it is dropped, and requests to it by other means than guard's.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::embedded::until;

/// The server's secret; a canary that must show nowhere.
pub const SECRET: &str = "canary-secret-of-the-storage";
/// The public half.
pub const WHO: &str = "someone";

/// The server.
pub struct Storage {
    root: tempfile::TempDir,
    port: u16,
    server: Option<Child>,
}

/// A program that `scripts/setup` has put into a place of its own.
pub fn program(name: &str) -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from);
    let entries = std::fs::read_dir(cache.join("guard-test")).expect("scripts/setup makes it");
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| panic!("scripts/setup makes {name}"))
}

impl Storage {
    /// One with an empty bucket of this name.
    pub fn with(bucket: &str) -> Self {
        let root = tempfile::Builder::new().prefix("guard-storage-").tempdir().unwrap();
        std::fs::create_dir(root.path().join(bucket)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut storage = Self {
            root,
            port,
            server: None,
        };
        storage.up();
        storage
    }

    /// Starts it again after `down`, with what it had.
    pub fn up(&mut self) {
        let port = self.port.to_string();
        let args = [
            "--host",
            "127.0.0.1",
            "--port",
            &port,
            "--access-key",
            WHO,
            "--secret-key",
            SECRET,
        ];
        let mut command = Command::new(program("s3s-fs"));
        let command = command.args(args).arg(self.root.path());
        let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.server = Some(server);
        until(|| TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// Stops it.
    pub fn down(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it answers.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The directory in which it keeps everything.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The directory in which it keeps a bucket.
    pub fn bucket(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A request to an object, by curl; it has to succeed. Returns headers and body.
    #[track_caller]
    pub fn ask(&self, method: &str, key: &str, headers: &[&str], body: Option<&Path>) -> String {
        let mut command = Command::new("curl");
        command
            .args(["-sS", "--fail", "-X", method, "--aws-sigv4", "aws:amz:us-east-1:s3"])
            .args(["--user", &format!("{WHO}:{SECRET}")]);
        // What older versions of curl leave out.
        command.args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]);
        command.args(if method == "HEAD" { ["-I", "-sS"] } else { ["-i", "-sS"] });
        for header in headers {
            command.args(["-H", header]);
        }
        if let Some(path) = body {
            command.arg("--data-binary").arg(format!("@{}", path.display()));
        }
        let output = command.arg(format!("{}/{key}", self.endpoint())).output().unwrap();
        assert!(output.status.success(), "{method} {key}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Puts an object.
    #[track_caller]
    pub fn put(&self, key: &str, content: &[u8], headers: &[&str]) {
        let body = self.root.path().with_extension("body");
        std::fs::write(&body, content).unwrap();
        self.ask("PUT", key, headers, Some(&body));
        std::fs::remove_file(body).unwrap();
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.down();
    }
}
