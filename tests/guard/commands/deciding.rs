//! A person decides during the watch: by a key in the terminal of the run, or by `guard decide` from another.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::embedded::{Embedded, end, until};
use crate::support::watched::{Watched, json};

/// A project whose releases are watched for an hour.
fn patient() -> Embedded {
    Embedded::but(
        "duration = \"400ms\"\ninterval = \"50ms\"\nconsecutive_failures = 2\npersist = \"50ms\"\ngate = \"300ms\"",
        "duration = \"1h\"\ninterval = \"50ms\"\nconsecutive_failures = 2\npersist = \"1m\"\ngate = \"5m\"",
    )
}

const WATCH: &str = "{\"begun\":{\"step\":\"watch\"}}";

fn result(project: &Embedded) -> Value {
    json(&project.newest_run().join("result.json"))
}

#[test]
fn going_back_is_decided_from_another_terminal() {
    let project = patient();
    let before = project.everything();
    let mut guard = project
        .guard()
        .start(&["deploy", "--no-rollback", "--", "./deploy.sh", "all"]);
    project.until_journal_says(WATCH, &mut guard);
    let decide = project.guard().env("USER", "ada").env("SUDO_USER", "ada");
    decide
        .run(&["decide", "rollback", "--reason", "orders are missing"])
        .expect(0)
        .says("goes back");
    assert_eq!(end(&mut guard).code(), Some(23));
    assert_eq!(project.everything(), before);
    let told = result(&project);
    let person = &told["person"];
    assert_eq!((&told["turned"], &told["exit_code"]), (&"decided".into(), &23.into()));
    assert!(person["by"].as_str().unwrap().starts_with("ada@"), "{person}");
    assert_eq!(
        (&person["choice"], &person["via"], &person["reason"]),
        (&"rollback".into(), &"command".into(), &"orders are missing".into())
    );
    let incident = std::fs::read_to_string(project.newest_run().join("incident.md")).unwrap();
    assert!(
        incident.contains("decided to roll back (orders are missing)"),
        "{incident}"
    );
}

#[test]
fn a_release_is_accepted_or_held_before_its_time() {
    for (word, code, production) in [("accept", 0, "new, accepted"), ("hold", 34, "new, unproven")] {
        let project = patient();
        let mut guard = project.guard().start(&["deploy", "--", "./deploy.sh", "all"]);
        project.until_journal_says(WATCH, &mut guard);
        project.guard().run(&["decide", word]).expect(0);
        assert_eq!(end(&mut guard).code(), Some(code), "{word}");
        let told = result(&project);
        assert_eq!(
            (&told["production"], &told["person"]["choice"]),
            (&production.into(), &word.into())
        );
        assert!(
            project.sh("cat conf/app.conf").contains("version=2"),
            "the release stays"
        );
    }
}

#[test]
fn what_fails_at_the_moment_is_accepted_and_not_called_verified() {
    let project = patient();
    let mut guard = project.guard().start(&["deploy", "--", "./deploy.sh", "all"]);
    project.until_journal_says(WATCH, &mut guard);
    project.sh("echo mode=bad > conf/app.conf");
    let probes = project.newest_run().join("probes.jsonl");
    until(|| std::fs::read_to_string(&probes).unwrap().contains("\"failed\""));
    project.guard().run(&["decide", "accept"]).expect(0);
    assert_eq!(end(&mut guard).code(), Some(34));
    assert_eq!(result(&project)["production"], "new, unproven");
}

#[test]
fn where_nothing_is_watched_there_is_nothing_to_decide() {
    let project = patient();
    project
        .guard()
        .run(&["decide", "hold"])
        .expect(10)
        .says("no run is going on");
    project.guard().run(&["decide", "wait"]).expect(2);
    let mut guard = project
        .guard()
        .start(&["deploy", "--", "./deploy.sh", "echo > ../reached; sleep 3600"]);
    until(|| project.root().join("reached").exists());
    project
        .guard()
        .run(&["decide", "rollback"])
        .expect(10)
        .says("is not waiting for its release");
    crate::support::embedded::signal(&guard, rustix::process::Signal::INT);
    end(&mut guard);
}

#[test]
fn a_decision_outlives_the_guard_that_it_was_said_to() {
    let project = patient();
    let before = project.everything();
    let mut guard = project.guard().start(&["deploy", "--", "./deploy.sh", "all"]);
    let watched = Watched::of(&project, &mut guard).unwrap();
    project.until_journal_says(WATCH, &mut guard);
    // Stopped, so that it cannot hear of what is decided; then killed.
    crate::support::embedded::signal(&guard, rustix::process::Signal::STOP);
    let decided = "{\"choice\":\"rollback\",\"by\":\"ada@here\",\"at\":\"2025-10-22T15:30:00Z\",\"via\":\"key\"}";
    std::fs::write(watched.run.join("intervention.json"), decided).unwrap();
    watched.kill(&mut guard);
    assert_eq!(watched.exit_code(), 23, "{}", watched.log());
    assert_eq!(project.everything(), before);
}

/// guard in a pseudo-terminal, with a shell around it that notes how the terminal was before and is after.
struct Terminal {
    script: Child,
    directory: std::path::PathBuf,
}

impl Terminal {
    fn run(project: &Embedded, columns: u16, before_the_end: &str) -> Self {
        let guard = project.guard();
        let call = guard.command(&["deploy", "--color", "never", "--", "./deploy.sh", "all"]);
        let words: Vec<String> = std::iter::once(call.get_program())
            .chain(call.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let words = shlex::try_join(words.iter().map(String::as_str)).unwrap();
        // Control-C reaches the shell as well, and dash would die of it, where bash waits for its child.
        let line = format!(
            "trap : INT; stty cols {columns} rows 24; stty -a > ../before; {words}; echo $? > ../code; {before_the_end} stty -a > ../after"
        );
        let mut script = Command::new("script");
        script
            .args(["-qec", &line, "../typescript"])
            .current_dir(project.directory());
        for (name, value) in call.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        let script = script
            .env_remove("NO_COLOR")
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            .env("LC_ALL", "C.UTF-8")
            .env("USER", "grace")
            .env_remove("SUDO_USER")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`script` of util-linux is installed");
        Self {
            script,
            directory: project.root().to_owned(),
        }
    }

    /// Waits until the screen has shown this.
    #[track_caller]
    fn until_shown(&mut self, text: &str) {
        let typescript = self.directory.join("typescript");
        let mut shown = String::new();
        until(|| {
            shown = String::from_utf8_lossy(&std::fs::read(&typescript).unwrap_or_default()).into_owned();
            shown.contains(text) || self.script.try_wait().unwrap().is_some()
        });
        assert!(shown.contains(text), "{text:?} is not on the screen: {shown}");
    }

    fn press(&mut self, key: &str) {
        let keys = self.script.stdin.as_mut().unwrap();
        keys.write_all(key.as_bytes()).unwrap();
        keys.flush().unwrap();
    }

    /// Waits for the end; guard's exit code.
    #[track_caller]
    fn ended(mut self) -> i32 {
        end(&mut self.script);
        let read = |name: &str| std::fs::read_to_string(self.directory.join(name)).unwrap();
        assert_eq!(read("before"), read("after"), "the terminal is as it was");
        read("code").trim().parse().unwrap()
    }
}

fn person_of(run: &Path) -> String {
    json(&run.join("result.json"))["person"]["by"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn keys_decide_after_a_question_and_leave_the_terminal_as_it_was() {
    for (columns, key, code) in [(80, "r", 23), (40, "a", 0), (80, "h", 34)] {
        let project = patient();
        let mut terminal = Terminal::run(&project, columns, "");
        terminal.until_shown("keys: r roll back, a accept");
        // No is no, and so is every other key.
        terminal.press("x");
        terminal.press(key);
        terminal.until_shown("y: yes, else no");
        terminal.press("n");
        terminal.press(key);
        terminal.press("y");
        assert_eq!(terminal.ended(), code, "{key}");
        assert!(person_of(&project.newest_run()).starts_with("grace@"));
    }
}

#[test]
fn a_guard_that_is_killed_at_its_keys_leaves_no_terminal_without_echo() {
    let project = patient();
    let gone = "while test -e ../state/runs/*/terminal.json; do sleep 0.1; done;";
    let mut terminal = Terminal::run(&project, 80, gone);
    terminal.until_shown("keys: r roll back, a accept");
    let run = project.newest_run();
    let pid = std::fs::read_to_string(run.join("journal.jsonl")).unwrap();
    let pid = pid
        .split("\"pid\":")
        .nth(1)
        .unwrap()
        .split([',', '}'])
        .next()
        .unwrap()
        .to_owned();
    let killed = Command::new("kill").args(["-KILL", &pid]).status().unwrap();
    assert!(killed.success());
    assert_eq!(terminal.ended(), 137);
    // The watcher goes on for an hour otherwise.
    until(|| project.guard().run(&["decide", "accept"]).code == Some(0));
    until(|| run.join("result.json").exists());
}

#[test]
fn a_signal_puts_the_terminal_back_as_well() {
    let project = patient();
    let before = project.everything();
    let mut terminal = Terminal::run(&project, 40, "");
    terminal.until_shown("keys: r roll back, a accept");
    terminal.press("\u{3}");
    assert_eq!(terminal.ended(), 23);
    assert_eq!(project.everything(), before);
}
