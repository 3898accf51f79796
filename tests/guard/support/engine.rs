//! A Docker Engine of a test's own: it listens on a port, and what it stores is in a file system that the test does not see,
//! as on another host. It can be killed and started again.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::embedded::until;
use super::program::Program;
use super::relay::Relay;

/// The engine; gone with all that it holds when it is dropped.
pub struct Engine {
    root: tempfile::TempDir,
    /// Through which it is reached, as over a network.
    relay: Relay,
    options: Vec<String>,
    /// Holds the mounts that only the engine sees.
    keeper: Child,
    daemon: Option<Child>,
}

/// An entry of a volume: its name, its owner as the engine tells it, its content.
pub type Entry = (String, u64, Vec<u8>);

/// A command as root.
fn root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

fn kill(signal: &str, pid: &str) {
    let _gone = root("kill").args([signal, "--", pid]).stderr(Stdio::null()).status();
}

impl Engine {
    /// Starts an engine with these options beside the ones that keep it apart.
    pub fn start(options: &[&str]) -> Self {
        let root_directory = tempfile::Builder::new()
            .prefix("guard-engine-")
            .tempdir_in("/tmp")
            .unwrap();
        let at = root_directory.path();
        for name in ["data", "exec"] {
            std::fs::create_dir(at.join(name)).unwrap();
        }
        // Every engine of a host has the same id but for this.
        let config = format!("{{\"deprecated-key-path\": \"{}/key.json\"}}", at.display());
        std::fs::write(at.join("daemon.json"), config).unwrap();
        std::fs::write(at.join("subid"), "daemon:100000:65536\n").unwrap();
        let mounts = "mount -t tmpfs -o size=2g data data && mount --bind subid /etc/subuid && mount --bind subid /etc/subgid \
                      && echo ready && exec sleep infinity";
        // And a network of its own: the bridge that is there is another engine's.
        let mut keeper = root("unshare")
            .args(["--net", "--mount", "--propagation", "private", "sh", "-c", mounts])
            .current_dir(at)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        keeper.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay::begin(listener, at.join("socket"));
        let mut engine = Self {
            root: root_directory,
            relay,
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            keeper,
            daemon: None,
        };
        engine.up();
        engine
    }

    /// The process in whose mounts the engine lives: behind `sudo` it is a child.
    fn keeper(&self) -> String {
        let own = self.keeper.id().to_string();
        let child = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        child.split_whitespace().next().map_or(own, str::to_owned)
    }

    /// Starts it, and waits until it answers.
    pub fn up(&mut self) {
        let at = self.root.path().display().to_string();
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.root.path().join("log"))
            .unwrap();
        let mut command = root("nsenter");
        command.args(["--target", &self.keeper(), "--mount", "--net", "dockerd"]);
        for (name, value) in [
            ("config-file", "daemon.json"),
            ("data-root", "data"),
            ("exec-root", "exec"),
            ("pidfile", "pid"),
        ] {
            command.arg(format!("--{name}={at}/{value}"));
        }
        command.arg(format!("--host=unix://{at}/socket"));
        command.args(["--iptables=false", "--ip-masq=false", "--storage-driver=vfs"]);
        let space = self.root.path().file_name().unwrap().to_string_lossy().into_owned();
        command.args([
            format!("--containerd-namespace={space}"),
            format!("--containerd-plugins-namespace={space}p"),
        ]);
        command
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.daemon = Some(command.spawn().unwrap());
        let begun = Instant::now();
        while !self
            .command(&["info"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
        {
            let said = || std::fs::read_to_string(self.root.path().join("log")).unwrap_or_default();
            assert!(
                begun.elapsed() < Duration::from_mins(2),
                "the engine does not come up: {}",
                said()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn pid(&self, file: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.root.path().join(file)).ok()?;
        Some(text.trim().to_owned())
    }

    /// Lets no answer of it come faster than so many bytes a second.
    pub fn slow_to(&self, speed: u64) {
        self.relay.slow_to(speed);
    }

    /// Kills it with -9. Its containers may go on.
    pub fn kill(&mut self) {
        if let (Some(pid), Some(mut daemon)) = (self.pid("pid"), self.daemon.take()) {
            kill("-KILL", &pid);
            daemon.wait().unwrap();
            // Its supervisor dies with it, and an engine that finds it dying waits a minute for it in vain.
            if let Some(supervisor) = self.pid("exec/containerd/containerd.pid") {
                let process = Path::new("/proc").join(supervisor);
                until(|| !process.exists());
            }
        }
    }

    /// What `DOCKER_HOST` is to be.
    pub fn host(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.relay.port())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command
            .env_remove("DOCKER_CONTEXT")
            .args(["--host", &self.host()])
            .args(args);
        command
    }

    /// Runs a command of the client with this input, which must succeed, and returns what it prints.
    pub fn docker(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = self.command(args);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// Makes a volume of these entries, and a container through which they are seen: its id.
    pub fn volume(&self, name: &str, entries: &[Entry]) -> String {
        self.docker(&["volume", "create", name], b"");
        let nothing = tar::Builder::new(Vec::new()).into_inner().unwrap();
        self.docker(&["import", "-", "guard-test/empty"], &nothing);
        let id = self.docker(
            &["create", "--volume", &format!("{name}:/v"), "guard-test/empty", "/none"],
            b"",
        );
        let id = String::from_utf8(id).unwrap().trim().to_owned();
        self.write(&id, entries);
        id
    }

    /// Writes entries into the volume of this container.
    pub fn write(&self, container: &str, entries: &[Entry]) {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, owner, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o640);
            header.set_uid(*owner);
            header.set_gid(*owner);
            archive.append_data(&mut header, name, content.as_slice()).unwrap();
        }
        let archive = archive.into_inner().unwrap();
        self.docker(&["cp", "--archive", "-", &format!("{container}:/v")], &archive);
    }

    /// The files in the volume of this container, but for guard's own.
    pub fn entries(&self, container: &str) -> Vec<Entry> {
        let bytes = self.docker(&["cp", &format!("{container}:/v"), "-"], b"");
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut entries = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            if entry.header().entry_type().is_file() && !name.contains(".guard-") {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                entries.push((name, entry.header().uid().unwrap(), content));
            }
        }
        entries.sort();
        entries
    }

    /// Where the engine says that a volume is.
    pub fn mountpoint(&self, volume: &str) -> PathBuf {
        let shown = self.docker(&["volume", "inspect", "--format", "{{.Mountpoint}}", volume], b"");
        PathBuf::from(String::from_utf8(shown).unwrap().trim())
    }

    /// guard in this directory, with this engine as the one that the environment names.
    pub fn guard(&self, directory: &Path, state: &Path) -> Program {
        Program::new(directory, state)
            .env("DOCKER_HOST", &self.host())
            .env("GUARD_NO_WATCHER", "1")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let (Some(pid), Some(mut daemon)) = (self.pid("pid"), self.daemon.take()) {
            kill("-TERM", &pid);
            let mut ended = false;
            until(|| {
                ended = daemon.try_wait().unwrap().is_some();
                ended
            });
        }
        // An engine that was killed leaves its helper behind; a number of this file of ours is that helper's or nobody's.
        if let Some(pid) = self.pid("exec/containerd/containerd.pid") {
            let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if command.contains(&self.root.path().display().to_string()) {
                kill("-KILL", &pid);
            }
        }
        kill("-KILL", &self.keeper());
        let _gone = self.keeper.wait();
        let _removed = root("rm").arg("-rf").arg(self.root.path().join("exec")).status();
    }
}
