//! An SSH server of a test's own on this machine, behind a line that can be cut: after so many bytes, or now; torn, or frozen.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::embedded::{Embedded, until};
use super::program::Program;

/// The server; it and its line are gone when it is dropped.
pub struct Sshd {
    root: tempfile::TempDir,
    server: Child,
    port: u16,
}

/// A line to a server.
pub struct Line {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Bytes that came from the server so far.
    passed: AtomicU64,
    /// The line is torn once, when so many bytes have come.
    torn_at: AtomicU64,
    is_frozen: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

impl Shared {
    fn tear(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            let _gone = stream.shutdown(Shutdown::Both);
        }
    }

    fn pass(&self, mut from: TcpStream, mut to: TcpStream, counts: bool) {
        let mut buffer = [0; 4096];
        loop {
            while self.is_frozen.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(10));
            }
            let Ok(count @ 1..) = from.read(&mut buffer) else { break };
            while self.is_frozen.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(10));
            }
            if counts {
                let before = self.passed.fetch_add(count as u64, Ordering::SeqCst);
                let limit = self.torn_at.load(Ordering::SeqCst);
                if before + count as u64 > limit && self.torn_at.swap(u64::MAX, Ordering::SeqCst) != u64::MAX {
                    self.tear();
                    break;
                }
            }
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _gone = from.shutdown(Shutdown::Both);
        let _gone = to.shutdown(Shutdown::Both);
    }
}

impl Line {
    /// A line to this port, torn once when so many bytes have come back over it.
    fn to(port: u16, torn_at: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            torn_at: torn_at.into(),
            ..Shared::default()
        });
        let line = Arc::clone(&shared);
        std::thread::spawn(move || {
            for outer in listener.incoming() {
                let (Ok(outer), Ok(inner)) = (outer, TcpStream::connect(("127.0.0.1", port))) else {
                    continue;
                };
                let ends = [&outer, &inner].map(|stream| stream.try_clone().unwrap());
                line.streams.lock().unwrap().extend(ends);
                let (there, back) = (line.clone(), line.clone());
                let (from, to) = (outer.try_clone().unwrap(), inner.try_clone().unwrap());
                std::thread::spawn(move || there.pass(from, to, false));
                std::thread::spawn(move || back.pass(inner, outer, true));
            }
        });
        Self { port: own, shared }
    }

    /// Bytes that came from the server so far.
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::SeqCst)
    }

    /// Whether it was torn as it was to be.
    pub fn was_torn(&self) -> bool {
        self.shared.torn_at.load(Ordering::SeqCst) == u64::MAX
    }

    /// Nothing comes through any more, and nobody is told.
    pub fn freeze(&self) {
        self.shared.is_frozen.store(true, Ordering::SeqCst);
    }

    /// What was held comes through.
    pub fn thaw(&self) {
        self.shared.is_frozen.store(false, Ordering::SeqCst);
    }

    /// Tears all connections now; a new one can be made.
    pub fn tear(&self) {
        self.shared.tear();
    }
}

impl Sshd {
    /// A server with keys of its own, at which the user of the test logs in.
    pub fn start() -> Self {
        let root = tempfile::Builder::new().prefix("guard-sshd-").tempdir().unwrap();
        let at = |name: &str| root.path().join(name).display().to_string();
        for name in ["host", "key", "stranger"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f", &at(name)])
                .status();
            assert!(made.expect("openssh-client is installed").success());
        }
        std::fs::copy(at("key.pub"), at("authorized")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nStrictModes no\n\
             PermitRootLogin yes\nMaxStartups 100\nSetEnv XDG_CACHE_HOME={}\n",
            at("host"),
            at("authorized"),
            at("cache"),
        );
        std::fs::write(at("sshd_config"), settings).unwrap();
        // The server drops its privileges into an empty directory, which Debian makes when it boots.
        let _there = std::fs::create_dir_all("/run/sshd");
        let log = std::fs::File::create(at("log")).unwrap();
        let server = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", &at("sshd_config")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("openssh-server is installed");
        until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { root, server, port }
    }

    /// A file of the server's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// guard's cache of the user at the server.
    pub fn cache(&self) -> PathBuf {
        self.path("cache/guard")
    }

    /// A line that is never torn by itself.
    pub fn line(&self) -> Line {
        Line::to(self.port, u64::MAX - 1)
    }

    /// A line that is torn once, when so many bytes have come back over it.
    pub fn line_torn_at(&self, bytes: u64) -> Line {
        Line::to(self.port, bytes)
    }

    /// The words for `ssh`, with the key of this name.
    pub fn ssh(&self, key: &str) -> String {
        format!(
            "ssh -F /dev/null -o UserKnownHostsFile={} -o HostKeyAlias=guard-test -o StrictHostKeyChecking=accept-new -o IdentitiesOnly=yes -i {}",
            self.path("known").display(),
            self.path(key).display()
        )
    }

    /// guard on a machine outside, asking for a project behind a line; `outside` is that machine's own directory.
    pub fn guard(&self, project: &Embedded, line: &Line, outside: &Path) -> Outside {
        let cache = outside.join("cache");
        let program = Program::new(outside, &project.state())
            .env("GUARD_SSH", &self.ssh("key"))
            .env("XDG_CACHE_HOME", &cache.display().to_string());
        Outside {
            program,
            words: vec![
                "--host".to_owned(),
                format!("ssh://{}@127.0.0.1:{}", whoami(), line.port),
                "-C".to_owned(),
                project.directory().display().to_string(),
            ],
        }
    }
}

/// The user of the test.
fn whoami() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// guard asked from outside.
pub struct Outside {
    /// The program at the outside machine.
    pub program: Program,
    words: Vec<String>,
}

impl Outside {
    /// All words of a call.
    pub fn words<'w>(&'w self, words: &[&'w str]) -> Vec<&'w str> {
        self.words
            .iter()
            .map(String::as_str)
            .chain(words.iter().copied())
            .collect()
    }

    /// The command, ready to run.
    pub fn command(&self, words: &[&str]) -> Command {
        self.program.command(&self.words(words))
    }

    /// Runs it to its end.
    pub fn run(&self, words: &[&str]) -> super::program::Ran {
        self.program.run(&self.words(words))
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _gone = self.server.kill();
        let _gone = self.server.wait();
    }
}
