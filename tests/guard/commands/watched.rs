//! What may reach a watcher, and what must not: CI systems that clean up, a binary that is replaced, pipes, locks, terminals.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::embedded::{Embedded, until};
use crate::support::watched::{Watched, json};

/// The parent and the environment of every process that can be read.
fn processes() -> Vec<(u32, u32, String)> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let read = |entry: std::fs::DirEntry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        Some((pid, parent, String::from_utf8_lossy(&environment).into_owned()))
    };
    entries.filter_map(read).collect()
}

/// The tree below a process, as a runner collects it.
fn tree(root: u32) -> BTreeSet<u32> {
    let all = processes();
    let mut found = BTreeSet::from([root]);
    loop {
        let more: Vec<u32> = all
            .iter()
            .filter(|(pid, parent, _)| found.contains(parent) && !found.contains(pid))
            .map(|(pid, _, _)| *pid)
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// What a process has open, by number.
fn descriptors(pid: u32) -> Vec<(u32, String)> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let read = |entry: std::fs::DirEntry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        Some((number, std::fs::read_link(entry.path()).ok()?.display().to_string()))
    };
    entries.filter_map(read).collect()
}

fn send(signal: &str, pid: u32) {
    // It may be gone, which is what is wanted.
    let _gone = Command::new("kill")
        .args([signal, &pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

/// The steps of GitHub's runner when a job is cancelled, or its time is over: SIGINT to the shell, 7.5 s, SIGTERM to the shell,
/// 2.5 s, then SIGKILL for the whole tree, and for every process that carries the job's mark.
fn cancel(shell: u32, mark: &str, [first, second]: [Duration; 2]) {
    send("-INT", shell);
    std::thread::sleep(first);
    let below = tree(shell);
    send("-TERM", shell);
    std::thread::sleep(second);
    for pid in below.into_iter().chain(tree(shell)) {
        send("-KILL", pid);
    }
    for (pid, _, environment) in processes() {
        if environment.split('\0').any(|variable| variable == mark) {
            send("-KILL", pid);
        }
    }
}

/// A step of a job: guard below the runner's shell, which runs this script. All of it carries the mark.
fn step(project: &Embedded, script: &str, mark: &str, words: &[&str]) -> Child {
    let (name, value) = mark.split_once('=').unwrap();
    let guard = project
        .guard()
        .env(name, value)
        .env("CI", "true")
        .env("GITHUB_ACTIONS", "true");
    let guard = guard.command(words);
    let mut shell = Command::new("bash");
    shell.args(["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script, "bash"]);
    shell
        .arg(guard.get_program())
        .args(guard.get_args())
        .current_dir(project.directory());
    for (name, value) in guard.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().unwrap()
}

fn mark_of(project: &Embedded, number: usize) -> String {
    format!("RUNNER_TRACKING_ID=github_{}_{number}", project.root().display())
}

/// GitHub's own pauses.
const EXACTLY: [Duration; 2] = [Duration::from_millis(7500), Duration::from_millis(2500)];
/// Too short for guard to do anything by itself between two signals.
const HASTILY: [Duration; 2] = [Duration::from_millis(450), Duration::from_millis(150)];

#[test]
fn fault_e8_a_job_that_is_cancelled_with_githubs_own_pauses_ends_in_the_old_state() {
    for (number, script) in ["\"$@\"; true", "exec \"$@\""].into_iter().enumerate() {
        let project = Embedded::patient("");
        let before = project.everything();
        let mark = mark_of(&project, number);
        let words = ["deploy", "--", "./deploy.sh", "all", "echo > ../reached; sleep 3600"];
        let mut shell = step(&project, script, &mark, &words);
        let watched = Watched::of(&project, &mut shell).unwrap();
        until(|| project.root().join("reached").exists());
        cancel(shell.id(), &mark, EXACTLY);
        shell.wait().unwrap();
        watched.until_ended();
        // guard has heard of it in time, or its watcher has finished it.
        let code = watched.exit_code();
        assert!([20, 23].contains(&code), "{code}: {}", watched.log());
        assert_eq!(project.everything(), before);
    }
}

#[test]
fn fault_j12_a_job_whose_time_runs_out_during_the_watch_is_23_and_the_old_state_is_there() {
    let project = Embedded::patient("");
    let before = project.everything();
    let mark = mark_of(&project, 0);
    let words = ["deploy", "--monitor-duration", "1h", "--", "./deploy.sh", "all"];
    let mut shell = step(&project, "\"$@\"; true", &mark, &words);
    let watched = Watched::of(&project, &mut shell).unwrap();
    project.until_journal_says("begun\":{\"step\":\"watch\"", &mut shell);
    // Time to hear of it, and none to go all the way back.
    cancel(shell.id(), &mark, [HASTILY[0], Duration::from_millis(1500)]);
    shell.wait().unwrap();
    // Whoever is left has an hour to watch, and does not: the end of the job is a wish to stop.
    until(|| watched.run.join("result.json").exists());
    watched.until_ended();
    assert_eq!(watched.exit_code(), 23, "{}", watched.log());
    assert_eq!(project.everything(), before);
}

#[test]
fn fault_e8_e9_a_job_that_is_cancelled_as_runners_do_is_finished_by_the_watcher() {
    for (number, script) in ["\"$@\"; true", "exec \"$@\""].into_iter().enumerate() {
        let project = Embedded::and("[services]\nstop = [[\"sleep\", \"2\"]]\nstart = [\"true\"]");
        let before = project.everything();
        let mark = mark_of(&project, number);
        let words = ["deploy", "--", "./deploy.sh", "all", "echo > ../reached; sleep 3600"];
        let mut shell = step(&project, script, &mark, &words);
        let watched = Watched::of(&project, &mut shell).unwrap();
        until(|| project.root().join("reached").exists());
        cancel(shell.id(), &mark, HASTILY);
        shell.wait().unwrap();
        watched.until_ended();
        let result = json(&watched.run.join("result.json"));
        assert_eq!(result["finished_by"], "watcher", "{}", watched.log());
        let code = watched.exit_code();
        assert!([20, 23].contains(&code), "{code}: {}", watched.log());
        assert_eq!(project.everything(), before);
        // The shell's own group is gone with it.
        assert!(
            !processes()
                .iter()
                .any(|(_, _, environment)| environment.split('\0').any(|one| one == mark))
        );
    }
}

#[test]
fn fault_a14_a_program_that_is_deleted_while_it_runs_is_still_watched_over() {
    let project = Embedded::new();
    let before = project.everything();
    let installed = project.root().join("guard");
    std::fs::copy(env!("CARGO_BIN_EXE_guard"), &installed).unwrap();
    let guard = project.guard();
    // Gone before the deploy command begins, and so before the watcher is started.
    let template = guard.command(&["deploy", "--", "./deploy.sh", "all", "echo > ../reached; sleep 3600"]);
    project.sh("head -c 60000000 /dev/urandom > objects/large");
    let before =
        [("objects", project.everything()["objects"].clone())]
            .into_iter()
            .fold(before, |mut all, (name, text)| {
                all.insert(name, text);
                all
            });
    let mut command = Command::new(&installed);
    command.args(template.get_args()).current_dir(project.directory());
    for (name, value) in template.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut guard = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    project.until_journal_says("{\"begun\":{\"step\":\"capture/objects\"}}", &mut guard);
    std::fs::remove_file(&installed).unwrap();
    std::fs::write(&installed, "#!/bin/sh\nexit 99\n").unwrap();
    let watched = Watched::of(&project, &mut guard).expect("a watcher stands by");
    until(|| project.root().join("reached").exists());
    watched.kill(&mut guard);
    assert_eq!(watched.exit_code(), 20, "{}", watched.log());
    assert_eq!(project.everything(), before);
}

#[test]
fn a_watcher_holds_nothing_of_guards_and_carries_no_mark_of_the_job() {
    let project = Embedded::new();
    let marks = ["RUNNER_TRACKING_ID", "JENKINS_NODE_COOKIE", "JENKINS_SERVER_COOKIE"];
    let guard = marks
        .iter()
        .fold(project.guard(), |guard, name| guard.env(name, "a-job"));
    let words = [
        "deploy",
        "--",
        "./deploy.sh",
        "all",
        "echo > ../reached; read line < ../go",
    ];
    project.sh("mkfifo ../go");
    let mut command = guard.command(&words);
    let mut guard = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let watched = Watched::of(&project, &mut guard).unwrap();
    until(|| project.root().join("reached").exists());
    let pid = watched.watcher;
    let (_, parent, environment) = processes().into_iter().find(|(process, _, _)| *process == pid).unwrap();
    assert_ne!(parent, guard.id());
    for name in marks.iter().chain(&["GUARD_RUN_ID", "GUARD_ACT", "GUARD_EVENTS"]) {
        assert!(!environment.contains(name), "{name}");
    }
    let of = |pid: u32| project.sh(&format!("ps -o sid=,tty=,comm= -p {pid}"));
    let (ours, its) = (of(guard.id()), of(pid));
    let its: Vec<&str> = its.split_whitespace().collect();
    assert_eq!(its[1..], ["?", "guard-watcher"]);
    assert_ne!(ours.split_whitespace().next(), Some(its[0]));
    // What came from whoever runs this test is not guard's.
    let inherited = descriptors(std::process::id());
    for descriptor in descriptors(pid) {
        let to = &descriptor.1;
        let is_held = to.starts_with("pipe:") && !inherited.contains(&descriptor);
        assert!(!is_held && !to.ends_with("/lock"), "{descriptor:?}");
    }
    let mode = project.sh(&format!(
        "stat -c %a {0}/watcher.log {0}/watcher.json",
        watched.run.display()
    ));
    assert_eq!(mode, "600\n600\n");
    project.sh("echo > ../go");
    // Whoever reads guard's output sees its end when guard ends, not when the watcher does.
    let output = guard.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    watched.until_ended();
}
