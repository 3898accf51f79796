//! What a run meets when something that it relies on is bounded or taken away: memory, file sizes, its own backups, its journal.

use std::process::{Command, Output, Stdio};

use crate::support::embedded::{Embedded, until};
use crate::support::project::docker;

const DEPLOY: [&str; 3] = ["deploy", "--", "./deploy.sh"];

/// A command of guard's behind these words of a shell, which end in `exec "$@"`.
fn behind(shell: &str, project: &Embedded, words: &[&str]) -> Output {
    let guard = project.guard().command(words);
    let mut command = Command::new("bash");
    command
        .args(["-c", shell, "bash"])
        .arg(guard.get_program())
        .args(guard.get_args());
    command.current_dir(project.directory()).stdin(Stdio::null());
    for (name, value) in guard.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.output().unwrap()
}

#[test]
fn fault_a9_a_command_that_the_kernel_ends_for_want_of_memory_is_named_so() {
    let project = Embedded::patient("");
    let before = project.everything();
    // The kernel itself ends what takes more than the 16 MiB of its container.
    let hungry =
        "docker run --rm --label guard.test=1 --network none --memory 16m guard-test/debian:trixie tail /dev/zero";
    assert!(
        docker(&["image", "ls", "-q", "guard-test/debian:trixie"]).len() > 8,
        "scripts/setup makes the image"
    );
    let ran = project
        .guard()
        .run(&[&DEPLOY[..], &["all", hungry]].concat())
        .expect(20);
    ran.says("SIGKILL (killed, maybe out of memory)").says("old, verified");
    assert_eq!(project.everything(), before);
}

#[test]
fn fault_b4_a_limit_on_the_size_of_files_is_11_and_says_so() {
    let project = Embedded::patient("");
    // Random bytes do not shrink.
    project.sh("head -c 30000000 /dev/urandom > objects/large");
    let before = project.everything();
    // In units of 1024 bytes; the kernel would end whoever does not ask to be told as an error.
    let output = behind(
        "ulimit -f 4000; exec \"$@\"",
        &project,
        &[&DEPLOY[..], &["all"]].concat(),
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(11), "{said}");
    assert!(said.contains("File too large") && said.contains("untouched"), "{said}");
    assert_eq!(project.everything(), before);
    assert!(project.deployments().is_empty() && project.backups().is_empty());
    assert_eq!(
        project.sh("ls ../state/backups | grep -v '^\\.' || true"),
        "",
        "the partial copy is gone"
    );
    project.guard().run(&[&DEPLOY[..], &["all"]].concat()).expect(0);
}

#[test]
fn fault_b11_backups_that_vanish_before_a_rollback_are_40_and_nothing_is_stopped() {
    let project = Embedded::patient("[services]\nstop = [[\"touch\", \"../stopped\"]]\nstart = [\"true\"]");
    project.guard().run(&[&DEPLOY[..], &["all"]].concat()).expect(0);
    let (new, backup) = (project.everything(), project.backups().remove(0));
    project.sh("mv ../state/backups ../elsewhere");
    let named = format!("--backup-timestamp={backup}");
    for words in [&["rollback", "--yes", &named][..], &["rollback", "--yes"]] {
        project.guard().run(words).expect(40).says("untouched");
    }
    // A copy of one resource is gone: that is seen before anything is stopped as well.
    project.sh("rm -rf ../state/backups; mv ../elsewhere ../state/backups; mv ../state/backups/*/db ../db");
    project.guard().run(&["rollback", "--yes", &named]).expect(40);
    assert_eq!(project.everything(), new);
    assert!(!project.root().join("stopped").exists());
    project.sh(&format!("mv ../db ../state/backups/{backup}/db"));
    project.guard().run(&["rollback", "--yes"]).expect(0);
    assert!(project.root().join("stopped").exists());
}

#[test]
fn fault_f13_a_release_that_removes_the_backups_is_told_at_once() {
    let services = "[services]\nstop = [[\"touch\", \"../stopped\"]]\nstart = [\"true\"]";
    // A good release: it stays, and everybody knows.
    let project = Embedded::patient(services);
    let ran = project
        .guard()
        .run(&[&DEPLOY[..], &["all", "rm -rf ../state/backups"]].concat());
    ran.expect(0).says("THE WAY BACK IS GONE");
    // A bad one, which has removed a part: nothing can be put back, so nothing is stopped.
    for removal in ["rm -rf ../state/backups", "rm ../state/backups/*/db/*"] {
        let project = Embedded::patient(services);
        let ran = project
            .guard()
            .run(&[&DEPLOY[..], &["all", removal, "exit 7"]].concat());
        ran.expect(31).says("THE WAY BACK IS GONE").says("new, failed");
        assert!(!project.root().join("stopped").exists());
        assert_eq!(project.sh("cat code.txt"), "code 2\n");
        project.guard().run(&["resume"]).expect(0).says("nothing is unfinished");
    }
}

#[test]
fn fault_f13_a_release_that_removes_guards_state_is_31_and_no_resume_is_promised() {
    for last in ["true", "exit 7"] {
        let project = Embedded::patient("");
        let ran = project
            .guard()
            .run(&[&DEPLOY[..], &["all", "rm -rf ../state", last]].concat());
        let ran = ran.expect(31).says("was removed while the run went on");
        assert!(!ran.stderr.contains("guard resume"), "{}", ran.stderr);
        assert_eq!(project.sh("cat code.txt"), "code 2\n");
        // A new state is begun when guard is called again.
        project.guard().run(&["list"]).expect(0);
    }
}

#[test]
fn fault_l3_a_rollback_needs_no_journal() {
    let project = Embedded::patient("");
    let before = project.everything();
    project.guard().run(&[&DEPLOY[..], &["all"]].concat()).expect(0);
    let named = format!("--backup-timestamp={}", project.backups()[0]);
    project.sh("rm ../state/runs/*/journal.jsonl");
    let status = project.guard().run(&["status"]).expect(0);
    assert!(status.stdout.contains("its journal is gone"), "{}", status.stdout);
    project.guard().run(&["rollback", "--yes", &named]).expect(0);
    assert_eq!(project.everything(), before);
}

#[test]
fn fault_l3_a_run_that_was_cut_off_and_lost_its_journal_is_told_and_can_be_rolled_back() {
    let project = Embedded::patient("");
    let before = project.everything();
    let words = [
        &DEPLOY[..],
        &["all", "echo $$ > ../pid; echo > ../reached; exec sleep 3600"],
    ]
    .concat();
    let guard = project.guard().env("GUARD_NO_WATCHER", "1");
    let mut killed = guard.start(&words);
    until(|| project.root().join("reached").exists());
    killed.kill().unwrap();
    killed.wait().unwrap();
    // Without a journal nobody knows whose process it is, so guard ends none.
    project.sh("rm ../state/runs/*/journal.jsonl; kill -9 $(cat ../pid)");
    let named = format!("--backup-timestamp={}", project.backups()[0]);
    project
        .guard()
        .run(&["resume"])
        .expect(13)
        .says("its journal is gone")
        .says(&named);
    project.guard().run(&["rollback", "--yes", &named]).expect(0);
    assert_eq!(project.everything(), before);
    project.guard().run(&["resume"]).expect(0).says("nothing is unfinished");
}
