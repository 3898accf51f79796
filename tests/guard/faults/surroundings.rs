//! The real guard among others: whose lock is free when its holder dies, without a network, and which programs it starts.

use std::process::Command;
use std::time::Instant;

use guard::model::fact::Actor;
use guard::system::lock::Lock;

use crate::figures::reached;
use crate::support::embedded::{Embedded, until};
use crate::traced::Journey;

#[test]
fn fault_d3_the_lock_is_free_when_its_holder_was_killed() {
    let project = Embedded::new();
    let guard = project.guard().env("GUARD_NO_WATCHER", "1");
    let mut holder = guard.start(&["deploy", "--", "./deploy.sh", "echo > ../reached; sleep 3600"]);
    until(|| project.root().join("reached").exists());
    let us = Actor {
        pid: 1,
        group: 1,
        host: "here".into(),
        boot: "now".into(),
        user: "me".into(),
        version: "0".into(),
        watcher: false,
    };
    let take = || Lock::take(&project.state().join("lock"), &us, "a test", "now");
    assert!(take().is_err(), "it was held");
    let killed = Instant::now();
    holder.kill().unwrap();
    until(|| take().is_ok());
    let milliseconds = killed.elapsed().as_millis();
    holder.wait().unwrap();
    guard.run(&["resume"]).expect(20);
    reached(
        "R11",
        "the lock of a killed guard is free at once",
        &format!("after {milliseconds} ms"),
        "measured",
    );
}

/// Copies the settings of a call to another that stands behind these words.
fn behind(words: &[&str], project: &Embedded, args: &[&str]) -> Command {
    let guard = project.guard().command(args);
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .arg(guard.get_program())
        .args(guard.get_args());
    command.current_dir(project.directory());
    for (name, value) in guard.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("GUARD_NO_WATCHER", "1");
    command
}

#[test]
fn fault_h5_a_rollback_needs_no_network() {
    let (project, old, _) = Journey::Rollback.begin();
    let words = if rustix::process::geteuid().is_root() {
        &["unshare", "--net"][..]
    } else {
        &["unshare", "--map-root-user", "--net"]
    };
    let output = behind(words, &project, Journey::Rollback.words()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(project.everything(), old);
    reached(
        "R14",
        "a restore in an empty network namespace",
        "files, git, a directory, SQLite",
        "unshare --net",
    );
}

#[test]
fn fault_m1_no_shell_is_started_with_data_in_its_words() {
    let mut programs = 0;
    for journey in [Journey::FailingDeploy, Journey::Rollback] {
        let (project, _, _) = journey.begin();
        let log = project.root().join("programs").display().to_string();
        let strace = [
            "strace",
            "-f",
            "-qq",
            "-s",
            "400",
            "-e",
            "trace=execve",
            "-e",
            "signal=none",
            "-o",
            &log,
        ];
        let output = behind(&strace, &project, journey.words()).output().unwrap();
        assert!(output.status.code().is_some(), "{output:?}");
        let text = std::fs::read_to_string(&log).unwrap();
        for line in text.lines().filter(|line| line.contains("execve(")) {
            programs += 1;
            let is_shell = ["\"sh\", \"-c\"", "\"bash\", \"-c\"", "/sh\", \"-c\"", "/bash\", \"-c\""];
            // The project of this test has no command of the user's own that is one.
            assert!(!is_shell.iter().any(|start| line.contains(start)), "{line}");
        }
    }
    assert!(programs > 20, "{programs} programs");
    reached(
        "R16",
        "shells started with data in their words: 0",
        &format!("0 of {programs} programs"),
        "strace",
    );
}
