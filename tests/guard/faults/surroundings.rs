//! The real guard among others: whose lock is free when its holder dies, without a network, and which programs it starts.

use std::process::Command;
use std::time::Instant;

use guard::model::fact::Actor;
use guard::system::lock::Lock;

use crate::figures::{is_full, reached};
use crate::support::embedded::{Embedded, until};
use crate::traced::{Journey, privileged};

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
    // The lock is free, and what its holder left is still in everybody's way but that of who finishes it.
    guard.run(&["backup"]).expect(13).says("is not finished");
    guard.run(&["resume"]).expect(20);
    reached(
        "R11",
        "the lock of a killed guard is free within 10 ms",
        &format!("after {milliseconds} ms"),
        "measured",
    );
}

/// The same call behind these words.
pub fn behind_all(words: &[&str], guard: &Command) -> Command {
    let mut command = match words[0] {
        "strace" => privileged(words[0]),
        other => Command::new(other),
    };
    command
        .args(&words[1..])
        .arg(guard.get_program())
        .args(guard.get_args());
    command.current_dir(guard.get_current_dir().unwrap());
    for (name, value) in guard.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("GUARD_NO_WATCHER", "1");
    command
}

/// guard in the project behind these words.
fn behind(words: &[&str], project: &Embedded, args: &[&str]) -> Command {
    behind_all(words, &project.guard().command(args))
}

#[test]
fn fault_b8_nothing_is_renamed_from_one_file_system_to_another() {
    let journey = Journey::FailingDeploy;
    let (project, old, _) = journey.begin();
    let device = |path: &std::path::Path| std::os::unix::fs::MetadataExt::dev(&std::fs::metadata(path).unwrap());
    // The project is in memory where there is room for it; the state is where the project is not.
    let places = [
        std::env::temp_dir(),
        std::path::PathBuf::from("/dev/shm"),
        std::path::PathBuf::from("/var/tmp"),
    ];
    let elsewhere = places
        .iter()
        .find(|place| place.is_dir() && device(place) != device(&project.directory()));
    let state = tempfile::tempdir_in(elsewhere.expect("a second file system")).unwrap();
    let log = project.root().join("renames").display().to_string();
    let calls = "trace=rename,renameat,renameat2,link,linkat";
    let strace = [
        "strace",
        "-f",
        "-qq",
        "-s",
        "400",
        "-e",
        calls,
        "-e",
        "signal=none",
        "-o",
        &log,
    ];
    let mut command = behind(&strace, &project, journey.words());
    command.env("GUARD_STATE_DIR", state.path().join("state"));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(20), "{output:?}");
    assert_eq!(project.everything(), old);
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.lines().count() > 20, "{text}");
    let crossing: Vec<&str> = text.lines().filter(|line| line.contains("EXDEV")).collect();
    assert!(crossing.is_empty(), "{crossing:#?}");
}

/// The most memory that a process has had at a time, in bytes.
fn peak_of(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: Option<u64> = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    kilobytes.unwrap_or_default() * 1024
}

#[test]
fn fault_b18_a_file_that_is_larger_than_what_guard_may_remember_is_copied_and_put_back() {
    // The long series goes over the limit of numbers of 32 bits.
    let bytes: u64 = if is_full() { 4_300_000_000 } else { 400_000_000 };
    let project = Embedded::patient("");
    project.sh(&format!(
        "truncate -s {bytes} objects/huge; printf tail >> objects/huge"
    ));
    let mut guard = project.guard().start(&["backup"]);
    let mut peak = 0;
    while guard.try_wait().unwrap().is_none() {
        peak = peak_of(guard.id()).max(peak);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(guard.wait().unwrap().code(), Some(0));
    assert!(peak > 0 && peak < 200_000_000, "{peak} bytes of memory");
    project.sh("rm objects/huge");
    project.guard().run(&["rollback", "--yes"]).expect(0);
    assert_eq!(
        project.sh("stat -c %s objects/huge; tail -c 4 objects/huge"),
        format!("{}\ntail", bytes + 4)
    );
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
