//! What goes there and comes back: words as they are, variables that are listed, streams apart, files for the CI system, answers.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::{Going, code_of};
use crate::support::embedded::{Embedded, end, signal, until};
use crate::support::sshd::Sshd;

/// Writes its arguments to a file, each with its end marked.
const NOTE: &str = "#!/bin/sh\nfor word in \"$@\"; do printf '%s\\n--\\n' \"$word\"; done > ../words\nenv > ../env\n\
                    cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' > ../processes\n";

#[test]
fn words_arrive_as_they_are_and_only_listed_variables_do() {
    let sshd = Sshd::start();
    let project = super::project("");
    project.write("note.sh", NOTE);
    project.sh(
        "chmod +x note.sh; git add note.sh; git -c user.name=t -c user.email=t@example.invalid commit --quiet -m note",
    );
    let line = sshd.line();
    let outside = tempfile::tempdir().unwrap();
    let guard = sshd.guard(&project, &line, outside.path());
    let words: [&[u8]; 8] = [
        b"two words",
        b"it's \"quoted\"",
        b"a\nnew line",
        b"$HOME `id` \\ * ~ !",
        b"",
        b"--host",
        "ü".as_bytes(),
        b"; rm -rf ../gone #",
    ];
    let mut command = guard.command(&["--send-env", "API_TOKEN", "deploy", "--", "./note.sh"]);
    command.args(words.map(OsStr::from_bytes));
    command.env("API_TOKEN", "s3cr3t-of-the-api").env("OTHER", "stays-here");
    let ran = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
    let arrived = std::fs::read(project.root().join("words")).unwrap();
    let expected: Vec<u8> = words
        .iter()
        .flat_map(|word| [word, b"\n--\n".as_slice()].concat())
        .collect();
    assert_eq!(arrived, expected, "{}", String::from_utf8_lossy(&arrived));
    let env = std::fs::read_to_string(project.root().join("env")).unwrap();
    assert!(env.contains("API_TOKEN=s3cr3t-of-the-api\n"), "{env}");
    for absent in ["OTHER=", "GUARD_HOST", "GUARD_SSH", "GUARD_VISIT", "GUARD_CALLED_AS"] {
        assert!(!env.contains(absent), "{absent}: {env}");
    }
    // In no process list while it runs, and in no file afterwards.
    let processes = std::fs::read_to_string(project.root().join("processes")).unwrap();
    assert!(
        processes.contains("__outside keep") && !processes.contains("s3cr3t"),
        "{processes}"
    );
    let kept = Command::new("grep")
        .args(["-r", "s3cr3t"])
        .arg(sshd.cache().join("visits"))
        .output()
        .unwrap();
    assert!(kept.stdout.is_empty(), "{kept:?}");
    let missing = guard.run(&["--send-env", "NOT_SET_HERE", "status"]).expect(2);
    assert!(missing.stderr.contains("NOT_SET_HERE"), "{}", missing.stderr);
}

#[test]
fn streams_come_apart_and_settings_and_the_next_command_go_along() {
    let sshd = Sshd::start();
    let project = super::project("");
    let line = sshd.line();
    let outside = tempfile::tempdir().unwrap();
    let guard = sshd.guard(&project, &line, outside.path());
    let checked = guard.run(&["check"]).expect(0).says("the way back is open");
    assert!(checked.stdout.contains("ok  db"), "{}", checked.stdout);
    let mut command = guard.command(&["--output", "json", "deploy", "--", "./deploy.sh", "all"]);
    command.env("GUARD_MONITOR_DURATION", "700ms");
    let ran = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let last: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(
        (ran.status.code(), last["result"]["exit_code"].as_i64()),
        (Some(0), Some(0)),
        "{said}"
    );
    let request = std::fs::read_to_string(project.newest_run().join("request.json")).unwrap();
    assert!(request.contains("700ms"), "{request}");
    let listed = guard.run(&["list"]).expect(0);
    assert!(
        listed.stdout.contains("known good") && listed.stderr.is_empty(),
        "{listed:?}"
    );
    let asked = guard.run(&["rollback"]).expect(2);
    let next = format!("guard {} rollback --backup-timestamp=", guard.words(&[]).join(" "));
    assert!(
        asked.stderr.contains("no terminal to ask on") && asked.stderr.contains(&next),
        "{}",
        asked.stderr
    );
    let mut confirmed = guard.command(&["rollback"]);
    let confirmed = confirmed.env("ROLLBACK_CONFIRM", "yes").output().unwrap();
    assert_eq!(
        confirmed.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&confirmed.stderr)
    );
    guard.run(&["resume"]).expect(0).says("nothing is unfinished");
    let into = outside.path().join("report.html");
    guard.run(&["report", "--into", into.to_str().unwrap()]).expect(0);
    assert!(std::fs::read_to_string(&into).unwrap().contains("<html"));
    guard.run(&["logs"]).expect(0);
    guard.run(&["status"]).expect(0);
}

#[test]
fn the_ci_system_of_who_asks_is_told() {
    let sshd = Sshd::start();
    let line = sshd.line();
    let outside = tempfile::tempdir().unwrap();
    let project = super::project("");
    let guard = sshd.guard(&project, &line, outside.path());
    let at = |name: &str| outside.path().join(name);
    let read = |name: &str| std::fs::read_to_string(at(name)).unwrap_or_default();
    std::fs::write(at("output"), "before=1\n").unwrap();
    let mut command = guard.command(&["deploy", "--", "./deploy.sh", "all", "sick"]);
    command.env("GITHUB_ACTIONS", "true").env("CI", "true");
    command
        .env("GITHUB_OUTPUT", at("output"))
        .env("GITHUB_STEP_SUMMARY", at("summary"));
    let ran = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(21), "{said}");
    assert!(said.contains("::group::") && said.contains("::error"), "{said}");
    let output = read("output");
    assert!(
        output.starts_with("before=1\n") && output.contains("exit_code=21\n"),
        "{output}"
    );
    assert!(read("summary").contains("21"), "{}", read("summary"));

    let project = super::project("");
    let guard = sshd.guard(&project, &line, outside.path());
    let mut command = guard.command(&["deploy", "--", "./deploy.sh", "all"]);
    command
        .env("GITLAB_CI", "true")
        .env("CI", "true")
        .env("CI_PROJECT_DIR", outside.path());
    let ran = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(
        read("guard.env").contains("GUARD_EXIT_CODE=0\n"),
        "{}",
        read("guard.env")
    );
    assert!(read("guard-junit.xml").contains("<testsuite") && read("guard-report.html").contains("<html"));
    assert!(!read("guard-report.md").is_empty());
    assert!(!project.directory().join("guard.env").exists());
}

#[test]
fn a_person_outside_answers_decides_and_says_what_ctrl_c_means() {
    let sshd = Sshd::start();
    let line = sshd.line();
    let outside = tempfile::tempdir().unwrap();
    let project = super::project("");
    let guard = sshd.guard(&project, &line, outside.path());
    guard.run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    // A terminal: what is typed is the line that the person sends, and Ctrl-C a byte of it.
    let typed = |words: &[&str], dialogue: &[(&str, &str)]| {
        let command = guard.command(words);
        let program = command.get_program().to_string_lossy().into_owned();
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        let all: Vec<String> = command.get_args().map(|word| quoted(&word.to_string_lossy())).collect();
        let log = outside.path().join("typescript");
        let _old = std::fs::remove_file(&log);
        let mut script = Command::new("script");
        script
            .args(["-qefc", &format!("exec {} {}", quoted(&program), all.join(" "))])
            .arg(&log);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        script.env("TERM", "dumb").current_dir(outside.path());
        let mut child = script
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`script` of util-linux is installed");
        let mut keys = child.stdin.take().unwrap();
        let said = || String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).into_owned();
        for (seen, key) in dialogue {
            let mut has_ended = false;
            until(|| {
                has_ended = child.try_wait().unwrap().is_some();
                has_ended || said().contains(seen)
            });
            assert!(said().contains(seen), "{seen:?} did not come:\n{}", said());
            keys.write_all(key.as_bytes()).unwrap();
        }
        let code = end(&mut child).code();
        (code, said())
    };
    let (code, said) = typed(&["rollback"], &[("[yes/no]", "no\n")]);
    assert!(code == Some(2) && said.contains("not confirmed"), "{code:?} {said}");
    let (code, said) = typed(&["rollback"], &[("[yes/no]", "yes\n")]);
    assert_eq!((code, code_of(&project)), (Some(0), 0), "{said}");
    let long = ["deploy", "--monitor-duration", "30s", "--", "./deploy.sh", "all"];
    let (code, said) = typed(&long, &[("watch", "\x03"), ("s: stop it there", "s\n")]);
    assert_eq!((code, code_of(&project)), (Some(23), 23), "{said}");
    let (code, said) = typed(&long, &[("watch", "\x03"), ("s: stop it there", "d\n")]);
    assert!(code == Some(38) && said.contains("goes on"), "{code:?} {said}");
    guard.run(&["decide", "accept"]).expect(0);
    let (code, rest) = Going::start(&guard, &["attach"]).end();
    assert_eq!((code, code_of(&project)), (Some(0), 0), "{rest}");
}

#[test]
fn attach_at_the_host_hears_a_run_of_another_terminal() {
    let project = super::project("");
    let mut guard = project
        .guard()
        .start(&["deploy", "--", "./deploy.sh", "all", "echo one; sleep 1"]);
    project.until_journal_says("begun\":{\"step\":\"deploy\"", &mut guard);
    let mut left = project.guard().start(&["attach"]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    signal(&left, Signal::INT);
    assert_eq!(end(&mut left).code(), Some(38));
    let heard = project
        .guard()
        .run(&["attach"])
        .expect(0)
        .says("deploy | one")
        .says("Step 1: look");
    assert!(
        heard.stderr.contains("Production is new, verified."),
        "{}",
        heard.stderr
    );
    assert_eq!(end(&mut guard).code(), Some(0));
    let name = project.newest_run().file_name().unwrap().to_str().unwrap().to_owned();
    project.guard().run(&["attach", &name]).expect(0);
    project
        .guard()
        .run(&["attach", "20200101_000000-deploy"])
        .expect(2)
        .says("there is no run");
    let empty = Embedded::new();
    empty.guard().run(&["attach"]).expect(2).says("nothing has run yet");
    // A run that nobody finishes is no run to wait for.
    let project = super::project("");
    let mut guard = project
        .guard()
        .start(&["deploy", "--no-watcher", "--", "./deploy.sh", "sleep 5"]);
    project.until_journal_says("begun\":{\"step\":\"deploy\"", &mut guard);
    guard.kill().unwrap();
    guard.wait().unwrap();
    project
        .guard()
        .run(&["attach"])
        .expect(33)
        .says("nobody is at work")
        .says("resume");
    project.guard().run(&["resume"]).expect(20);
}
