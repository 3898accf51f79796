//! Copies in a real S3 server: made after each run, complete without the host that made them, never a reason to fail.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::embedded::{Embedded, until};
use crate::support::program::Program;

/// The server's secret; a canary that must show nowhere.
const SECRET: &str = "canary-secret-of-the-storage";

/// A server on a port of its own, gone when it is dropped.
struct Storage {
    root: tempfile::TempDir,
    port: u16,
    server: Option<Child>,
}

fn program() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from);
    let entries = std::fs::read_dir(cache.join("guard-test")).expect("scripts/setup makes it");
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path().join("bin/s3s-fs"))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().expect("scripts/setup builds s3s-fs")
}

impl Storage {
    fn start() -> Self {
        let root = tempfile::Builder::new().prefix("guard-storage-").tempdir().unwrap();
        std::fs::create_dir(root.path().join("copies")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut storage = Self {
            root,
            port,
            server: None,
        };
        storage.up();
        storage
    }

    fn up(&mut self) {
        let port = self.port.to_string();
        let args = [
            "--host",
            "127.0.0.1",
            "--port",
            &port,
            "--access-key",
            "someone",
            "--secret-key",
            SECRET,
        ];
        let mut command = Command::new(program());
        let command = command.args(args).arg(self.root.path());
        let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.server = Some(server);
        until(|| TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    fn down(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    fn settings(&self) -> String {
        format!(
            "[copy]\nurl = \"s3://copies/shop\"\nendpoint = \"http://127.0.0.1:{}\"\n",
            self.port
        )
    }

    /// The objects of this kind, `files` or `backups`, sorted.
    fn objects(&self, kind: &str) -> Vec<PathBuf> {
        let place = self.root.path().join("copies/shop").join(kind);
        let mut found = Vec::new();
        let mut open = vec![place];
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.down();
    }
}

fn known(program: Program) -> Program {
    program
        .env("AWS_ACCESS_KEY_ID", "someone")
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
}

/// guard on another machine: the project's directory, and a state that knows nothing.
fn elsewhere(project: &Embedded, state: &Path) -> Program {
    known(Program::new(&project.directory(), state))
}

#[test]
fn a_backup_outlives_its_host() {
    let storage = Storage::start();
    let project = Embedded::and(&storage.settings());
    let before = project.everything();
    let ran = known(project.guard())
        .run(&["deploy", "--", "./deploy.sh", "all"])
        .expect(0);
    let ran = ran.says("is copied elsewhere");
    assert!(!ran.everything().contains(SECRET));
    let backup = project.backups().remove(0);
    let count = storage.objects("files").len();
    known(project.guard())
        .run(&["backup"])
        .expect(0)
        .says("is copied elsewhere");
    assert!(
        storage.objects("files").len() < count * 2,
        "what was there was not sent again"
    );
    known(project.guard())
        .run(&["copy"])
        .expect(0)
        .says("every backup is copied");
    known(project.guard())
        .run(&["copy", &backup])
        .expect(0)
        .says("nothing had to be sent");

    let key = project.state().join("key");
    let fresh = project.root().join("fresh");
    std::fs::create_dir(&fresh).unwrap();
    let guard = elsewhere(&project, &fresh);
    let listed = guard.run(&["fetch"]).expect(0).stdout;
    assert_eq!(listed.lines().count(), 2, "{listed}");
    guard.run(&["fetch", &backup]).expect(40).says("bring the file `key`");
    std::fs::copy(&key, fresh.join("key")).unwrap();
    guard.run(&["fetch", &backup]).expect(0).says("is here, whole");
    guard.run(&["fetch", &backup]).expect(40).says("here already");
    guard.run(&["verify", &backup]).expect(0);
    guard
        .run(&["fetch", "20200101_000000"])
        .expect(40)
        .says("no such backup");
    // What is in the repository itself cannot come from elsewhere.
    let words = [
        "rollback",
        "--yes",
        "--backup-timestamp",
        &backup,
        "--only",
        "db,objects,config",
    ];
    guard.run(&words).expect(0);
    let after = project.everything();
    for part in ["rows", "objects", "config"] {
        assert_eq!(after[part], before[part]);
    }
}

#[test]
fn a_storage_that_is_down_or_refuses_fails_no_deployment() {
    let mut storage = Storage::start();
    let project = Embedded::and(&storage.settings());
    storage.down();
    let ran = known(project.guard())
        .run(&["deploy", "--", "./deploy.sh", "all"])
        .expect(0);
    ran.says("is only on this host").says("guard copy");
    known(project.guard()).run(&["copy"]).expect(10).says("guard copy");
    project.guard().run(&["copy"]).expect(10).says("AWS_ACCESS_KEY_ID");
    storage.up();
    let stranger = project
        .guard()
        .env("AWS_ACCESS_KEY_ID", "someone")
        .env("AWS_SECRET_ACCESS_KEY", "canary-of-a-stranger");
    let ran = stranger.run(&["copy"]).expect(10);
    assert!(!ran.everything().contains("canary-of-a-stranger"));
    assert!(storage.objects("backups").is_empty());
    known(project.guard()).run(&["copy"]).expect(0).says("copied");
    assert!(!storage.objects("backups").is_empty());
    let other = Embedded::and("[copy]\ncommands = [\"false\"]\n");
    other.guard().run(&["backup"]).expect(0).says("is only on this host");
    let place = other.root().join("copies");
    other.write(
        "copy.sh",
        &format!(
            "#!/bin/sh\nmkdir -p {0} && cp -a \"$GUARD_BACKUP_DIR\" {0}/\n",
            place.display()
        ),
    );
    other.sh("chmod +x copy.sh; sed -i 's,\"false\",\"./copy.sh\",' guard.toml");
    other.guard().run(&["copy"]).expect(0);
    let backup = other.backups().remove(0);
    assert!(place.join(backup).join("manifest.json").exists());
}

#[test]
fn fault_b14_what_the_storage_gives_is_compared() {
    let storage = Storage::start();
    let project = Embedded::and(&storage.settings());
    known(project.guard()).run(&["backup"]).expect(0);
    let backup = project.backups().remove(0);
    let largest = storage
        .objects("files")
        .into_iter()
        .max_by_key(|path| std::fs::metadata(path).unwrap().len());
    let manifest = storage
        .objects("backups")
        .into_iter()
        .find(|path| path.ends_with("manifest.json"));
    let mut number = 0;
    for path in [largest.unwrap(), manifest.unwrap()] {
        let sound = std::fs::read(&path).unwrap();
        let mut flipped = sound.clone();
        flipped[sound.len() / 2] ^= 1;
        let longer = [sound.as_slice(), b"more"].concat();
        for bytes in [flipped, longer, sound[..sound.len() - 1].to_vec(), Vec::new()] {
            number += 1;
            std::fs::write(&path, bytes).unwrap();
            let state = project.root().join(format!("fresh-{number}"));
            std::fs::create_dir(&state).unwrap();
            std::fs::copy(project.state().join("key"), state.join("key")).unwrap();
            let guard = elsewhere(&project, &state);
            guard.run(&["fetch", &backup]).expect(40);
            let listed = guard.run(&["list"]).expect(0).stdout;
            assert!(!listed.contains("known good"), "{listed}");
        }
        std::fs::write(&path, sound).unwrap();
    }
    let state = project.root().join("fresh-1");
    let guard = elsewhere(&project, &state);
    // Backups of two hosts may have one second, and so one name: this one must not.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    guard.run(&["backup"]).expect(0);
    guard.run(&["fetch", &backup]).expect(0);
}

#[test]
fn fault_a2_an_upload_that_was_killed_goes_on() {
    let storage = Storage::start();
    let project = Embedded::and(&storage.settings());
    project.sh("head -c 100000000 /dev/urandom > objects/large");
    project.guard().run(&["backup"]).expect(0).says("is only on this host");
    let backup = project.backups().remove(0);
    let mut child = known(project.guard()).start(&["copy"]);
    let parts = || {
        let root = std::fs::read_dir(storage.root.path()).unwrap();
        let names = root.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.contains(".upload")).count()
    };
    until(|| parts() > 2 || child.try_wait().unwrap().is_some());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(storage.objects("backups").is_empty(), "no manifest before all files");
    assert!(project.state().join("uploads.json").exists());
    known(project.guard()).run(&["copy"]).expect(0);
    let uploads = std::fs::read_to_string(project.state().join("uploads.json")).unwrap();
    assert_eq!(uploads, "{}");
    let fresh = project.root().join("fresh");
    std::fs::create_dir(&fresh).unwrap();
    std::fs::copy(project.state().join("key"), fresh.join("key")).unwrap();
    elsewhere(&project, &fresh).run(&["fetch", &backup]).expect(0);
    elsewhere(&project, &fresh).run(&["verify", &backup]).expect(0);
}
