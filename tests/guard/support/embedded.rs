//! A small project without containers: a SQLite file, a directory of objects, a git work tree, configuration, and a
//! deploy script that does what its words say. A probe reads the configuration, so health goes back with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output};
use std::time::{Duration, Instant};

use super::program::Program;

/// The deploy script: each of its words is a part of a release, or a line of shell.
const DEPLOY: &str = r#"#!/bin/sh
# Every call leaves a line outside of what guard puts back.
echo "$*" >> ../deploys.log
commit() { git -c user.name=t -c user.email=t@example.invalid commit --quiet --all --message "$1"; }
for word in "$@"; do
    case "$word" in
        all)
            sqlite3 app.db "ALTER TABLE users ADD COLUMN mail TEXT; INSERT INTO users (name) VALUES ('new'), ('newer'); DELETE FROM users WHERE id = 1;"
            rm objects/a.txt; echo new > objects/new.txt; echo changed > objects/b.txt
            echo 'mode=good version=2' > conf/app.conf
            echo 'TOKEN=two' > .env
            echo 'code 2' > code.txt; commit two ;;
        sick) echo 'mode=bad version=2' > conf/app.conf ;;
        *) eval "$word" || exit $? ;;
    esac
done
"#;

const SETTINGS: &str = r#"[resources.db]
kind = "sqlite"
path = "app.db"

[resources.objects]
kind = "volume"
path = "objects"

[resources.code]
kind = "git"

[resources.config]
kind = "files"
paths = ["conf/**", ".env"]

[probes.app]
kind = "command"
command = ["grep", "-q", "mode=good", "conf/app.conf"]

[policy]
data_restore = "always"

[monitor]
duration = "400ms"
interval = "50ms"
consecutive_failures = 2
persist = "50ms"
gate = "300ms"
min_samples = 3
"#;

/// The project in a directory of its own, gone when it is dropped.
pub struct Embedded {
    root: tempfile::TempDir,
}

impl Embedded {
    /// A fresh project, well, at its first version.
    pub fn new() -> Self {
        Self::with(SETTINGS)
    }

    /// The same with further settings behind the usual ones.
    pub fn and(more: &str) -> Self {
        Self::with(&format!("{SETTINGS}\n{more}"))
    }

    /// The same with time enough for a busy machine, whose programs take long to start.
    pub fn patient(more: &str) -> Self {
        let settings = SETTINGS.replace("gate = \"300ms\"", "gate = \"20s\"");
        let settings = settings.replace("duration = \"400ms\"", "duration = \"1s\"");
        Self::with(&format!("{settings}\n{more}"))
    }

    /// The same with a part of its settings replaced.
    pub fn but(old: &str, new: &str) -> Self {
        assert!(SETTINGS.contains(old), "{old:?} is not in the settings");
        Self::with(&SETTINGS.replace(old, new))
    }

    /// The same with these settings and no others.
    pub fn with(settings: &str) -> Self {
        let root = tempfile::Builder::new().prefix("guard-embedded-").tempdir().unwrap();
        let project = Self { root };
        std::fs::create_dir(project.directory()).unwrap();
        project.write("deploy.sh", DEPLOY);
        project.write("guard.toml", settings);
        project.write(".gitignore", "app.db*\nobjects\nconf\n.env\n");
        project.write("code.txt", "code 1\n");
        project.sh("chmod +x deploy.sh && chmod 644 guard.toml && mkdir objects objects/sub conf
            echo a > objects/a.txt; echo b > objects/b.txt; echo c > 'objects/sub/odd name'; ln -s b.txt objects/link; chmod 640 objects/a.txt
            echo 'mode=good version=1' > conf/app.conf; echo 'TOKEN=one' > .env; chmod 600 .env
            sqlite3 app.db \"CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO users (name) VALUES ('one'), ('two');\"
            git init --quiet --initial-branch=main . && git config maintenance.auto false && git config gc.auto 0 && git add . && git -c user.name=t -c user.email=t@example.invalid commit --quiet --message one");
        project
    }

    /// The directory around the project: nothing in it belongs to a resource.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The project's directory.
    pub fn directory(&self) -> PathBuf {
        self.root.path().join("project")
    }

    /// guard's state directory.
    pub fn state(&self) -> PathBuf {
        self.root.path().join("state")
    }

    /// guard in the project.
    pub fn guard(&self) -> Program {
        Program::new(&self.directory(), &self.state())
    }

    /// Writes a file of the project.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory().join(name), text).unwrap();
    }

    /// Runs a line of shell in the project, whatever comes of it.
    pub fn shell(&self, line: &str) -> Output {
        Command::new("sh")
            .args(["-c", line])
            .current_dir(self.directory())
            .output()
            .unwrap()
    }

    /// Runs a line of shell in the project and returns what it printed; it has to succeed.
    #[track_caller]
    pub fn sh(&self, line: &str) -> String {
        let output = self.shell(line);
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What each call of the deploy script was told to do.
    pub fn deployments(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.root().join("deploys.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The whole state by other means than guard's.
    pub fn everything(&self) -> BTreeMap<&'static str, String> {
        let looks = [
            ("rows", "sqlite3 app.db .dump; sqlite3 app.db 'PRAGMA integrity_check'"),
            (
                "objects",
                "find objects -name '.guard-*' -prune -o -type f -exec sha256sum {} + | sort -k2; \
                 find objects -name '.guard-*' -prune -o ! -path objects -printf '%p %m %u %g %y %l\\n' | sort",
            ),
            (
                "config",
                "find conf .env -type f -exec sha256sum {} + | sort -k2; stat -c '%n %a %u' conf/* .env",
            ),
            (
                "code",
                "git rev-parse HEAD; git symbolic-ref -q HEAD || echo detached; git status --porcelain",
            ),
            ("tree", "git ls-files -z | xargs -0 sha256sum"),
        ];
        looks.into_iter().map(|(what, line)| (what, self.sh(line))).collect()
    }

    /// The directory of the newest run.
    pub fn newest_run(&self) -> PathBuf {
        let mut runs: Vec<PathBuf> = self.runs();
        runs.pop().expect("there is a run")
    }

    /// The directories of all runs, the oldest first.
    pub fn runs(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.state().join("runs")) else {
            return Vec::new();
        };
        let mut runs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        // A rollback in the second of its deployment has a name of its own, so names are no order.
        runs.sort_by_key(|run| (std::fs::metadata(run).unwrap().created().unwrap(), run.clone()));
        runs
    }

    /// The names of the backups that `guard list` offers, the newest first.
    pub fn backups(&self) -> Vec<String> {
        let listed = self.guard().run(&["list", "--all", "--output", "json"]).expect(0);
        let value: serde_json::Value = serde_json::from_str(listed.stdout.lines().last().unwrap()).unwrap();
        let backups = value["result"]["backups"].as_array().unwrap();
        backups
            .iter()
            .map(|backup| backup["timestamp"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Waits until a line of the newest journal holds this text, while the run goes on.
    #[track_caller]
    pub fn until_journal_says(&self, text: &str, child: &mut Child) {
        let says = || {
            self.runs().pop().is_some_and(|run| {
                std::fs::read_to_string(run.join("journal.jsonl")).is_ok_and(|journal| journal.contains(text))
            })
        };
        until(|| says() || child.try_wait().unwrap().is_some());
        assert!(says(), "the run ended before its journal said {text:?}");
    }
}

/// Waits for something that has to come; only a hang makes this give up.
#[track_caller]
pub fn until(mut came: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !came() {
        assert!(begun.elapsed() < Duration::from_mins(1), "it did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Sends a signal.
pub fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Waits for the end; a hang fails the test instead of holding it up.
#[track_caller]
pub fn end(child: &mut Child) -> ExitStatus {
    let mut status = None;
    until(|| {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}
