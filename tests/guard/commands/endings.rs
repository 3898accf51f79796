//! The ways a deployment or a rollback ends by itself: the exit code is the state of production, as seen from outside.

use crate::support::embedded::Embedded;

/// Probes that print a number, which the release can spoil so that it is no evidence at all.
const GAUGE: &str = "command = [\"cat\", \"conf/gauge\"]\nnumber = { min = 1 }";
const GREP: &str = "command = [\"grep\", \"-q\", \"mode=good\", \"conf/app.conf\"]";

#[test]
fn a_good_release_stays_and_is_0() {
    let project = Embedded::new();
    let ran = project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    let ran = ran.says("new, verified");
    assert!(ran.stdout.is_empty(), "standard output is for data: {}", ran.stdout);
    assert_eq!(project.sh("cat code.txt"), "code 2\n");
    assert_eq!(project.sh("cat objects/new.txt"), "new\n");
    assert_eq!(project.deployments(), ["all"]);
}

#[test]
fn a_rollback_by_hand_is_0_and_brings_the_old_state_back() {
    let project = Embedded::new();
    let before = project.everything();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    assert_ne!(project.everything(), before);
    project.guard().run(&["rollback", "--yes"]).expect(0);
    assert_eq!(project.everything(), before);
}

#[test]
fn a_deploy_command_that_fails_is_20() {
    let project = Embedded::new();
    let before = project.everything();
    let ran = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", "exit 7"])
        .expect(20);
    ran.says("exit code 7").says("old, verified");
    assert_eq!(project.everything(), before);
    assert_eq!(project.deployments(), ["all exit 7"]);
}

#[test]
fn fault_f2_a_deploy_command_that_a_signal_ends_is_20() {
    let project = Embedded::new();
    let before = project.everything();
    let ran = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", "kill -9 $$"])
        .expect(20);
    ran.says("SIGKILL");
    assert_eq!(project.everything(), before);
}

#[test]
fn fault_f4_f5_a_deploy_command_that_takes_too_long_and_ignores_sigterm_is_20_and_survivors_are_listed() {
    let project = Embedded::new();
    let before = project.everything();
    let words = [
        "deploy",
        "--timeout",
        "1s",
        "--",
        "./deploy.sh",
        "all",
        "(setsid sh -c 'echo $$ > ../daemon; exec sleep 600' > /dev/null 2>&1 &)",
        "trap '' TERM; echo $$ > ../stubborn; sleep 3600 & wait; sleep 3600",
    ];
    let ran = project.guard().run(&words);
    let daemon = project.sh("cat ../daemon; kill $(cat ../daemon)");
    // Whoever ignores SIGTERM is killed; whoever has left the group of the command is named.
    let stubborn = project.sh("cat ../stubborn");
    assert!(!std::path::Path::new("/proc").join(stubborn.trim()).exists());
    let ran = ran.expect(20).says("time");
    ran.says(&format!("has left running: sleep (pid {})", daemon.trim()));
    assert_eq!(project.everything(), before);
}

#[test]
fn a_release_that_does_not_come_up_is_21() {
    let project = Embedded::new();
    let before = project.everything();
    project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", "sick"])
        .expect(21)
        .says("app");
    assert_eq!(project.everything(), before);
}

#[test]
fn a_check_of_the_users_own_that_fails_is_21() {
    let project = Embedded::and("[verify]\ncommands = [\"grep -q 1 code.txt\"]");
    let before = project.everything();
    project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all"])
        .expect(21)
        .says("grep");
    assert_eq!(project.everything(), before);
}

#[test]
fn a_release_that_falls_ill_while_it_is_watched_is_22() {
    let project = Embedded::but("duration = \"400ms\"", "duration = \"20s\"");
    let before = project.everything();
    // The release is well when the command ends, and falls ill by itself.
    let later = "(sleep 1; echo mode=bad > conf/app.conf) > /dev/null 2>&1 &";
    project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", later])
        .expect(22)
        .says("app");
    assert_eq!(project.everything(), before);
}

#[test]
fn a_deploy_command_that_failed_and_changed_nothing_is_24() {
    let project = Embedded::new();
    let before = project.everything();
    let ran = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "exit 9"])
        .expect(24);
    ran.says("exit code 9").says("old, verified");
    assert_eq!(project.everything(), before);
}

#[test]
fn fault_l14_i10_a_restore_that_cannot_succeed_is_30_and_a_resume_finishes_it_once_it_can() {
    let project = Embedded::new();
    let before = project.everything();
    // The file cannot be replaced, renamed or removed, by root neither.
    let ran = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", "sick", "chattr +i conf/app.conf"])
        .expect(30);
    ran.says("guard resume").says("mixed").says("Operation not permitted");
    // What could not be replaced is whole, and nothing half-written lies beside it.
    assert_eq!(
        project.sh("cat conf/app.conf; ls -A conf"),
        "mode=bad version=2\napp.conf\n"
    );
    project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all"])
        .expect(13)
        .says("guard resume");
    project.guard().run(&["resume"]).expect(30);
    project.sh("chattr -i conf/app.conf");
    project.guard().run(&["resume"]).expect(21).says("old, verified");
    assert_eq!(project.everything(), before);
    assert_eq!(project.deployments().len(), 1);
}

#[test]
fn a_release_that_is_to_be_kept_for_debugging_is_31() {
    let project = Embedded::new();
    let ran = project
        .guard()
        .run(&["deploy", "--no-rollback", "--", "./deploy.sh", "all", "sick"])
        .expect(31);
    ran.says("new, failed").says("guard rollback");
    assert_eq!(project.sh("cat conf/app.conf"), "mode=bad version=2\n");
    // The way back that it names is open.
    project.guard().run(&["rollback", "--yes"]).expect(0);
    assert_eq!(project.sh("cat conf/app.conf"), "mode=good version=1\n");
}

#[test]
fn data_that_must_not_be_put_back_is_31_and_nothing_is_put_back_by_halves() {
    let project = Embedded::new();
    let words = [
        "deploy",
        "--data-restore",
        "if-no-writes",
        "--",
        "./deploy.sh",
        "all",
        "sick",
    ];
    project.guard().run(&words).expect(31).says("rollback");
    assert_eq!(project.sh("cat code.txt conf/app.conf"), "code 2\nmode=bad version=2\n");
}

#[test]
fn an_old_state_that_is_not_well_any_more_is_32() {
    let project = Embedded::but(GREP, "command = [\"test\", \"-e\", \"../alive\"]");
    project.sh("touch ../alive");
    let before = project.everything();
    // What the release breaks is nothing that guard puts back.
    let ran = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", "rm ../alive"])
        .expect(32);
    ran.says("old, unhealthy").says("after the old release was started");
    assert_eq!(project.everything(), before);
}

#[test]
fn a_watch_without_evidence_is_34_and_leaves_the_release() {
    let project = Embedded::but(GREP, GAUGE);
    project.sh("echo 5 > conf/gauge");
    let ran = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", "echo none > conf/gauge"])
        .expect(34);
    ran.says("new, unproven");
    assert_eq!(project.sh("cat code.txt"), "code 2\n");
}
