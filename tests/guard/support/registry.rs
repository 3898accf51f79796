//! A real image registry on a port of its own, gone when it is dropped.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use super::embedded::until;

/// A registry; the engine takes one on this host without TLS.
pub struct Registry {
    root: tempfile::TempDir,
    port: u16,
    server: Option<Child>,
}

impl Registry {
    /// An empty one.
    pub fn start() -> Self {
        let root = tempfile::Builder::new().prefix("guard-registry-").tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}/data}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
            root.path().display()
        );
        std::fs::write(root.path().join("registry.yml"), settings).unwrap();
        let mut registry = Self {
            root,
            port,
            server: None,
        };
        registry.up();
        registry
    }

    /// Starts it again after `down`, with what it had.
    pub fn up(&mut self) {
        let server = Command::new("docker-registry")
            .arg("serve")
            .arg(self.root.path().join("registry.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("scripts/setup installs docker-registry");
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

    /// An image's name in it.
    pub fn name(&self, image: &str) -> String {
        format!("127.0.0.1:{}/{image}", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.down();
    }
}
