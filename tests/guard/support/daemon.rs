//! A Docker engine and its supervisor as services of their own, as on a host of today: the one can be killed, and the other
//! lives on.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::embedded::until;

/// The image that its containers are made of, taken from the machine's own engine.
const IMAGE: &str = "guard-test/debian:trixie";

/// A running engine; gone with all its containers when it is dropped.
pub struct Daemon {
    root: tempfile::TempDir,
    process: Child,
    supervisor: Child,
}

impl Daemon {
    /// Starts one; `None` where that is not permitted here.
    pub fn start() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        // The paths of sockets have to be short.
        let root = tempfile::Builder::new().prefix("gd-").tempdir().unwrap();
        let supervisor = supervisor(root.path()).ok()?;
        until(|| root.path().join("supervisor").exists());
        let process = daemon(root.path()).ok()?;
        let mut engine = Self {
            root,
            process,
            supervisor,
        };
        until(|| engine.answers() || engine.process.try_wait().unwrap().is_some());
        if !engine.answers() {
            return None;
        }
        let mut save = Command::new("docker")
            .args(["save", IMAGE])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut load = Command::new("docker");
        load.args(["-H", &engine.host(), "load"])
            .stdin(save.stdout.take().unwrap());
        let loaded = load.output().unwrap();
        assert!(save.wait().unwrap().success() && loaded.status.success(), "{loaded:?}");
        Some(engine)
    }

    /// As in `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.root.path().join("socket").display())
    }

    /// The directory of a volume.
    pub fn volume(&self, name: &str) -> PathBuf {
        self.root.path().join("data/volumes").join(name).join("_data")
    }

    fn answers(&self) -> bool {
        self.docker(&["version"]).status.success()
    }

    /// Runs `docker` against it.
    pub fn docker(&self, words: &[&str]) -> Output {
        Command::new("docker")
            .args(["-H", &self.host()])
            .args(words)
            .output()
            .unwrap()
    }

    /// Kills the daemon as the kernel would for want of memory. What supervises the containers lives on, as it does then.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts the daemon again.
    pub fn revive(&mut self) {
        let _left = std::fs::remove_file(self.root.path().join("pid"));
        self.process = daemon(self.root.path()).unwrap();
        until(|| self.answers());
    }
}

/// A program with a log in the engine's directory, in a network of its own: an engine that is told to have no bridge removes
/// the one that is there.
fn started(root: &Path, program: &str, words: &[&str]) -> std::io::Result<Child> {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(root.join("log"))?;
    let mut command = Command::new("unshare");
    command.args(["--net", program]).args(words);
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// What supervises the containers, a service of its own as on every host of today.
fn supervisor(root: &Path) -> std::io::Result<Child> {
    let at = |name: &str| root.join(name).display().to_string();
    std::fs::write(
        at("supervisor.toml"),
        "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n",
    )?;
    let (settings, kept, state, socket) = (at("supervisor.toml"), at("kept"), at("state"), at("supervisor"));
    started(
        root,
        "containerd",
        &[
            "--config",
            &settings,
            "--root",
            &kept,
            "--state",
            &state,
            "--address",
            &socket,
        ],
    )
}

fn daemon(root: &Path) -> std::io::Result<Child> {
    let at = |name: &str| root.join(name).display().to_string();
    std::fs::write(at("daemon.json"), "{}")?;
    let (settings, supervisor, data, exec) = (at("daemon.json"), at("supervisor"), at("data"), at("exec"));
    let (socket, pid) = (format!("unix://{}", at("socket")), at("pid"));
    let places = [
        "--config-file",
        &settings,
        "--containerd",
        &supervisor,
        "--data-root",
        &data,
        "--exec-root",
        &exec,
        "--host",
        &socket,
        "--pidfile",
        &pid,
    ];
    let alone = [
        "--bridge",
        "none",
        "--iptables=false",
        "--ip6tables=false",
        "--storage-driver",
        "vfs",
    ];
    started(root, "dockerd", &[&places[..], &alone].concat())
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let listed = self.docker(&["ps", "-aq"]);
        let ids = String::from_utf8_lossy(&listed.stdout).into_owned();
        let ids: Vec<&str> = ids.split_whitespace().collect();
        drop(self.docker(&[&["rm", "-f"][..], &ids].concat()));
        let _ended = Command::new("kill").arg(self.process.id().to_string()).status();
        drop(self.process.wait());
        let _ended = self.supervisor.kill();
        let _over = self.supervisor.wait();
        // Mounts that a killed daemon had begun below its own directory.
        let root = self.root.path().display().to_string();
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        for mount in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
            if mount.starts_with(&root) {
                let _lazily = Command::new("umount").args(["-l", mount]).status();
            }
        }
    }
}
