//! Named services that are processes, started and stopped by commands: a real Redis, and an API that needs it.

use std::path::PathBuf;
use std::process::{Child, Command};

use crate::support::embedded::until;
use crate::support::program::Program;

const SETTINGS: &str = r#"
[resources.config]
kind = "files"
paths = ["app.conf"]

[resources.db]
kind = "sqlite"
path = "app.db"

[services.api]
needs = ["cache", "config", "db"]
start = [["python3", "api.py", "PORT", "SOCKET", "--daemon", "api.pid"]]
stop = [["sh", "-c", "kill $(cat api.pid); while kill -0 $(cat api.pid) 2>/dev/null; do sleep 0.05; done"]]
health = { kind = "http", url = "http://127.0.0.1:PORT/health" }
within = "30s"
before_copy = "./note.sh"
after_copy = "./note.sh"
before_stop = "./note.sh"
drain = "./note.sh"
after_stop = "./note.sh"
before_start = "./note.sh"
after_start = "./note.sh"

[services.cache]
start = [["redis-server", "--port", "0", "--unixsocket", "SOCKET", "--dir", "ROOT", "--daemonize", "yes", "--save", ""]]
stop = [["redis-cli", "-s", "SOCKET", "shutdown", "nosave"]]
status = ["redis-cli", "-s", "SOCKET", "ping"]
before_copy = [["redis-cli", "-s", "SOCKET", "save"], "./note.sh"]
after_copy = "./note.sh"
before_stop = "./note.sh"
drain = "50ms"
after_stop = "./note.sh"
before_start = "./note.sh"
after_start = [["sh", "-c", "redis-cli -s SOCKET ping | grep -q PONG"], "./note.sh"]

[monitor]
duration = "1s"
interval = "100ms"
consecutive_failures = 2
persist = "100ms"
gate = "2s"
min_samples = 3
"#;

/// Tells of each hook, and stays in the one that `halt` names until somebody ends it.
const NOTE: &str = r#"#!/bin/sh
echo "$GUARD_SERVICE_NAME $GUARD_STAGE" >> ../log
if [ "$(cat ../halt 2>/dev/null)" = "$GUARD_SERVICE_NAME $GUARD_STAGE" ]; then
    touch ../reached
    sleep 120
fi
"#;

/// What a run that goes back does with the two, in its order.
const WAY: [&str; 14] = [
    "cache before_copy",
    "api before_copy",
    "api after_copy",
    "cache after_copy",
    "api before_stop",
    "api drain",
    "api after_stop",
    "cache before_stop",
    "cache after_stop",
    "cache before_start",
    "cache after_start",
    "api before_start",
    "api after_start",
    "",
];

struct Pair {
    root: tempfile::TempDir,
    port: u16,
}

impl Pair {
    /// Both run and are well.
    fn new() -> Self {
        Self::with(|settings| settings)
    }

    fn with(change: impl Fn(String) -> String) -> Self {
        let root = tempfile::Builder::new().prefix("guard-pair-").tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let pair = Self { root, port };
        std::fs::create_dir(pair.directory()).unwrap();
        let text = SETTINGS
            .replace("PORT", &port.to_string())
            .replace("SOCKET", pair.socket().to_str().unwrap())
            .replace("ROOT", pair.root.path().to_str().unwrap());
        let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/services/api.py");
        std::fs::copy(fixture, pair.directory().join("api.py")).unwrap();
        for (name, text) in [
            ("guard.toml", change(text).as_str()),
            ("note.sh", NOTE),
            ("app.conf", "good 1"),
        ] {
            std::fs::write(pair.directory().join(name), text).unwrap();
        }
        pair.sh(
            "chmod +x note.sh; chmod 600 guard.toml; sqlite3 app.db 'CREATE TABLE t (x); INSERT INTO t VALUES (1)'",
        );
        let socket = pair.socket().display().to_string();
        let dir = pair.root.path().display().to_string();
        pair.sh(&format!(
            "redis-server --port 0 --unixsocket {socket} --dir {dir} --daemonize yes --save ''
            until redis-cli -s {socket} ping; do sleep 0.1; done
            python3 api.py {port} {socket} --daemon api.pid"
        ));
        until(|| pair.who().is_some());
        pair
    }

    fn directory(&self) -> PathBuf {
        self.root.path().join("project")
    }

    fn socket(&self) -> PathBuf {
        self.root.path().join("cache.sock")
    }

    fn guard(&self) -> Program {
        Program::new(&self.directory(), &self.root.path().join("state")).env("GUARD_NO_WATCHER", "yes")
    }

    #[track_caller]
    fn sh(&self, line: &str) -> String {
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(self.directory())
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The API's process and its configuration; `None` where nobody answers.
    fn who(&self) -> Option<String> {
        let url = format!("http://127.0.0.1:{}/who", self.port);
        let output = Command::new("curl")
            .args(["-sS", "--fail", "--max-time", "2", &url])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    }

    fn ping(&self) -> String {
        let output = Command::new("redis-cli")
            .arg("-s")
            .arg(self.socket())
            .arg("ping")
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.root.path().join("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Starts guard, and kills it inside of a hook.
    fn kill_in(&self, hook: &str, args: &[&str]) {
        std::fs::write(self.root.path().join("halt"), hook).unwrap();
        let mut guard: Child = self.guard().start(args);
        let reached = self.root.path().join("reached");
        until(|| reached.exists() || guard.try_wait().unwrap().is_some());
        assert!(reached.exists(), "{hook} was never run: {:?}", self.log());
        guard.kill().unwrap();
        guard.wait().unwrap();
        for name in ["halt", "reached"] {
            std::fs::remove_file(self.root.path().join(name)).unwrap();
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // They may have ended by themselves.
        let line = format!(
            "kill $(cat api.pid); redis-cli -s {} shutdown nosave",
            self.socket().display()
        );
        let _ended = Command::new("sh")
            .args(["-c", &line])
            .current_dir(self.directory())
            .output();
    }
}

/// The release: it changes configuration and data, and its API is not well.
const BAD: [&str; 5] = [
    "deploy",
    "--",
    "sh",
    "-c",
    "echo bad 2 >app.conf; sqlite3 app.db \"INSERT INTO t VALUES (2)\"",
];

#[track_caller]
fn assert_is_back(pair: &Pair) {
    assert_eq!(pair.ping(), "PONG");
    let who = pair.who().unwrap();
    assert!(who.contains("good 1"), "{who}");
    assert_eq!(pair.sh("cat app.conf"), "good 1");
}

#[test]
fn hooks_and_needs_order_a_copy_a_stop_and_a_start() {
    let pair = Pair::new();
    let before = pair.who().unwrap();
    let ran = pair.guard().run(&BAD).expect(21);
    assert_is_back(&pair);
    assert_ne!(pair.who().unwrap(), before, "it was stopped and started");
    let wanted: Vec<&str> = WAY.into_iter().filter(|hook| !hook.is_empty()).collect();
    assert_eq!(pair.log(), wanted, "{}", ran.everything());
    assert!(
        pair.root.path().join("dump.rdb").is_file(),
        "Redis has saved before the copy"
    );
    ran.says("Running now: cache; no service is stopped.");
    // A backup alone stops nothing.
    std::fs::remove_file(pair.root.path().join("log")).unwrap();
    pair.guard().run(&["backup"]).expect(0);
    assert_eq!(pair.log(), WAY[..4]);
}

#[test]
fn guard_killed_in_a_hook_is_gone_on_with_and_no_hook_that_ended_runs_again() {
    for hook in WAY.into_iter().filter(|hook| !hook.is_empty()) {
        let pair = Pair::new();
        pair.kill_in(hook, &BAD);
        let resumed = pair.guard().run(&["resume"]);
        let log = pair.log();
        let story = format!("{hook}: {log:?}\n{}", resumed.everything());
        assert_is_back(&pair);
        pair.guard().run(&["resume"]).expect(0);
        let count = |hook: &str| log.iter().filter(|one| *one == hook).count();
        if hook.ends_with("_copy") {
            // Nothing was deployed: the run is closed, and what was made ready for the copy is undone.
            for service in ["cache", "api"] {
                let begun = count(&format!("{service} before_copy"));
                let ended = count(&format!("{service} after_copy"));
                let is_it = usize::from(hook == format!("{service} after_copy"));
                assert!(begun == 0 || ended == 1 + is_it, "{service} of {story}");
            }
            assert_eq!(count("api before_stop"), 0, "{story}");
            continue;
        }
        assert_eq!(resumed.code, Some(21), "{story}");
        for other in WAY.into_iter().filter(|one| !one.is_empty()) {
            let again = if other == hook { 2 } else { 1 };
            // A drain is a part of its stop, and so is what comes before it: until a service stands, both are for it.
            let may_repeat = other == "api before_stop" && hook == "api drain";
            assert!(
                count(other) == again || may_repeat && count(other) == 2,
                "{other} of {story}"
            );
        }
    }
}

#[test]
fn what_was_stopped_before_the_deployment_stays_stopped() {
    let pair = Pair::with(|settings| {
        format!(
            "{settings}\n[services.idle]\nstart = \"touch idle\"\nstop = \"rm idle\"\nstatus = \"test -e idle\"\n\
             health = {{ kind = \"command\", command = \"true\" }}\n"
        )
    });
    pair.guard().run(&BAD).expect(21);
    assert_is_back(&pair);
    assert!(!pair.directory().join("idle").exists());
}

#[test]
fn a_service_that_can_be_reloaded_is_stopped_only_for_data_that_it_needs() {
    let reloads = |settings: String| {
        settings
            .replace("within = \"30s\"", "within = \"30s\"\nreload = \"./note.sh\"")
            // The release changes no data here.
            .replace("\n[resources.db]\nkind = \"sqlite\"\npath = \"app.db\"\n", "\n")
            .replace(", \"db\"]", "]")
    };
    let pair = Pair::with(reloads);
    let before = pair.who().unwrap();
    let ran = pair
        .guard()
        .run(&["deploy", "--", "sh", "-c", "echo bad 2 >app.conf"])
        .expect(21);
    assert_is_back(&pair);
    // It needs the cache, which cannot be reloaded and is stopped: so it was stopped as well.
    assert!(
        pair.log().contains(&"api before_stop".to_owned()),
        "{}",
        ran.everything()
    );
    assert_ne!(pair.who().unwrap(), before);

    let alone =
        Pair::with(|settings| reloads(settings).replace("needs = [\"cache\", \"config\"]", "needs = [\"config\"]"));
    let before = alone.who().unwrap();
    let ran = alone
        .guard()
        .run(&["deploy", "--", "sh", "-c", "echo bad 2 >app.conf"])
        .expect(21);
    assert_is_back(&alone);
    assert_eq!(
        alone.who().unwrap(),
        before,
        "it is the same process: {}",
        ran.everything()
    );
    let log = alone.log();
    assert!(log.contains(&"api reload".to_owned()), "{log:?}");
    assert!(!log.iter().any(|hook| hook.starts_with("api before_stop")), "{log:?}");
}

#[test]
fn a_service_that_does_not_become_well_is_told_and_the_others_are_started() {
    // Its needs are met, and its start does not bring it up.
    let pair = Pair::with(|settings| {
        let broken = "start = [[\"true\"]]\nstop = [[\"true\"]]\nhealth = { kind = \"tcp\", address = \"127.0.0.1:1\", required = false }\n";
        format!("{settings}\n[services.broken]\n{broken}within = \"1s\"\n").replace(
            "needs = [\"cache\", \"config\", \"db\"]",
            "needs = [\"cache\", \"config\", \"db\", \"broken\"]",
        )
    });
    let ran = pair.guard().run(&BAD);
    assert!(
        ran.everything().contains("broken is not well within 1.0 s"),
        "{}",
        ran.everything()
    );
    assert_is_back(&pair);
}

#[test]
fn a_rollback_of_one_service_leaves_the_others_and_their_data_alone() {
    let pair = Pair::new();
    pair.guard().run(&["backup"]).expect(0);
    pair.sh("echo good 3 >app.conf; sqlite3 app.db 'INSERT INTO t VALUES (3)'");
    std::fs::remove_file(pair.root.path().join("log")).unwrap();
    let pid = |pair: &Pair| {
        pair.sh(&format!(
            "redis-cli -s {} info server | grep process_id",
            pair.socket().display()
        ))
    };
    let redis = pid(&pair);
    let ran = pair
        .guard()
        .run(&["rollback", "--service", "api", "--yes", "--force"])
        .expect(0);
    assert_is_back(&pair);
    assert_eq!(pid(&pair), redis, "the cache went on: {}", ran.everything());
    assert_eq!(pair.sh("sqlite3 app.db 'SELECT count(*) FROM t'"), "2", "data stays");
    let log = pair.log();
    assert!(!log.iter().any(|hook| hook.starts_with("cache")), "{log:?}");
    // With its data, and killed in between.
    pair.sh("echo good 4 >app.conf");
    pair.kill_in(
        "api before_start",
        &[
            "rollback",
            "--service",
            "api",
            "--with-data",
            "--yes",
            "--force",
            "--data-restore=always",
        ],
    );
    let resumed = pair.guard().run(&["resume"]);
    assert!(
        resumed.code.is_some_and(|code| [0, 21].contains(&code)),
        "{}",
        resumed.everything()
    );
    assert_is_back(&pair);
    assert_eq!(
        pair.sh("sqlite3 app.db 'SELECT count(*) FROM t'"),
        "1",
        "{}",
        resumed.everything()
    );
    // Names that are near.
    pair.guard()
        .run(&["rollback", "--service", "apu", "--yes"])
        .expect(2)
        .says("api");
    pair.guard().run(&["check", "--service", "apu"]).expect(2).says("api");
    let checked = pair.guard().run(&["check", "--service", "api"]).expect(0);
    assert!(
        checked.stdout.contains("config") && checked.stdout.contains("/health"),
        "{}",
        checked.stdout
    );
    assert!(!checked.stdout.contains("redis-cli"), "{}", checked.stdout);
    let watched = pair
        .guard()
        .run(&["watch", "--service", "cache", "--duration", "1s"])
        .expect(0);
    assert!(!watched.everything().contains("/health"), "{}", watched.everything());
    let verified = pair.guard().run(&["verify", "latest", "--service", "api"]).expect(0);
    assert!(
        verified.everything().contains("of api is whole"),
        "{}",
        verified.everything()
    );
    let shown = pair.guard().run(&["show", "latest"]).expect(0);
    assert!(shown.stdout.contains("api"), "{}", shown.stdout);
}
