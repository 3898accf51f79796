//! Signals, locks and freezes: who is told to stop stops where production is in a state that has a name.

use rustix::process::Signal;

use crate::support::embedded::{Embedded, end, signal};

#[test]
fn fault_e1_a_signal_before_the_deploy_command_is_14_and_nothing_was_touched() {
    for wish in [Signal::INT, Signal::TERM] {
        let project = Embedded::but(
            "interval = \"50ms\"\nconsecutive_failures = 2\npersist = \"50ms\"",
            "interval = \"100ms\"",
        );
        // Random bytes do not shrink, so their copy takes long enough to be interrupted.
        project.sh("head -c 80000000 /dev/urandom > objects/large");
        let before = project.everything();
        let mut guard = project.guard().start(&["deploy", "--", "./deploy.sh", "all"]);
        project.until_journal_says("{\"begun\":{\"step\":\"capture/objects\"}}", &mut guard);
        signal(&guard, wish);
        assert_eq!(end(&mut guard).code(), Some(14));
        assert_eq!(project.everything(), before);
        assert!(project.deployments().is_empty());
        assert!(project.backups().is_empty(), "half a backup is none");
    }
}

#[test]
fn fault_e2_a_signal_during_the_deploy_command_is_23() {
    for wish in [Signal::INT, Signal::TERM] {
        let project = Embedded::new();
        let before = project.everything();
        let mut guard = project
            .guard()
            .start(&["deploy", "--", "./deploy.sh", "all", "echo > ../reached; sleep 3600"]);
        crate::support::embedded::until(|| project.root().join("reached").exists());
        signal(&guard, wish);
        assert_eq!(end(&mut guard).code(), Some(23));
        assert_eq!(project.everything(), before);
    }
}

#[test]
fn fault_e4_a_signal_during_the_watch_is_23() {
    let project = Embedded::but("duration = \"400ms\"", "duration = \"1h\"");
    let before = project.everything();
    let mut guard = project.guard().start(&["deploy", "--", "./deploy.sh", "all"]);
    project.until_journal_says("{\"begun\":{\"step\":\"watch\"}}", &mut guard);
    signal(&guard, Signal::INT);
    assert_eq!(end(&mut guard).code(), Some(23));
    assert_eq!(project.everything(), before);
}

#[test]
fn fault_e10_a_lost_terminal_is_no_wish_to_stop() {
    let project = Embedded::new();
    let mut guard = project
        .guard()
        .start(&["deploy", "--", "./deploy.sh", "all", "echo > ../reached; sleep 1"]);
    crate::support::embedded::until(|| project.root().join("reached").exists());
    signal(&guard, Signal::HUP);
    let code = end(&mut guard).code();
    assert_eq!(code, Some(0), "{}", project.sh("cat ../state/runs/*/result.json"));
}

/// A probe that answers slowly, so that there is time to interrupt the proof; it counts its calls outside.
fn slow_to_prove() -> Embedded {
    Embedded::and("[services]\nstop = [[\"sh\", \"-c\", \"echo > ../stopping; sleep 2\"]]\nstart = [\"true\"]")
}

#[test]
fn fault_e5_e7_a_signal_during_the_way_back_does_not_stop_it_and_two_do_33() {
    for (wishes, code) in [(1, 20), (2, 33)] {
        let project = slow_to_prove();
        let before = project.everything();
        let mut guard = project.guard().start(&["deploy", "--", "./deploy.sh", "all", "exit 7"]);
        crate::support::embedded::until(|| project.root().join("stopping").exists());
        for _ in 0..wishes {
            signal(&guard, Signal::INT);
            std::thread::sleep(std::time::Duration::from_millis(150));
        }
        assert_eq!(end(&mut guard).code(), Some(code));
        if code == 33 {
            project
                .guard()
                .run(&["deploy", "--", "./deploy.sh", "all"])
                .expect(13)
                .says("guard resume");
            project.guard().run(&["resume"]).expect(20);
        }
        assert_eq!(project.everything(), before);
        assert_eq!(project.deployments().len(), 1);
    }
}

#[test]
fn two_signals_in_the_deploy_command_are_33_and_resumable() {
    let project = Embedded::new();
    let before = project.everything();
    // The command does not mind the first signal, so guard is still waiting for it when the second comes.
    let stubborn = "trap '' INT TERM; echo > ../reached; sleep 3600";
    let mut guard = project.guard().start(&["deploy", "--", "./deploy.sh", "all", stubborn]);
    crate::support::embedded::until(|| project.root().join("reached").exists());
    signal(&guard, Signal::INT);
    std::thread::sleep(std::time::Duration::from_millis(200));
    signal(&guard, Signal::INT);
    assert_eq!(end(&mut guard).code(), Some(33));
    project.guard().run(&["resume"]).expect(23);
    assert_eq!(project.everything(), before);
    assert_eq!(project.deployments().len(), 1);
}

#[test]
fn a_signal_stops_a_rollback_by_hand_only_when_it_comes_twice() {
    let project = slow_to_prove();
    let before = project.everything();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    let mut guard = project.guard().start(&["rollback", "--yes"]);
    crate::support::embedded::until(|| project.root().join("stopping").exists());
    for _ in 0..2 {
        signal(&guard, Signal::TERM);
        std::thread::sleep(std::time::Duration::from_millis(150));
    }
    assert_eq!(end(&mut guard).code(), Some(33));
    project.guard().run(&["resume"]).expect(0);
    assert_eq!(project.everything(), before);
}

#[test]
fn fault_d1_a_second_guard_is_12_and_says_who_was_first() {
    let project = Embedded::new();
    let mut first = project
        .guard()
        .start(&["deploy", "--", "./deploy.sh", "echo > ../reached; sleep 2"]);
    crate::support::embedded::until(|| project.root().join("reached").exists());
    for words in [
        &["deploy", "--", "./deploy.sh"][..],
        &["rollback", "--yes"],
        &["resume"],
        &["backup"],
        &["prune"],
    ] {
        let second = project.guard().run(words).expect(12).says(&first.id().to_string());
        second.says("guard deploy").says("guard status");
    }
    // Looking needs no lock.
    assert!(
        project
            .guard()
            .run(&["status"])
            .expect(0)
            .stdout
            .contains(&first.id().to_string())
    );
    project.guard().run(&["list"]).expect(0);
    let waited = project.guard().run(&["backup", "--lock-wait"]);
    assert_eq!(end(&mut first).code(), Some(0));
    waited.expect(0).says("waiting");
}

#[test]
fn fault_d3_a_lock_dies_with_its_holder() {
    let project = Embedded::new();
    let mut first = project.guard().start(&["backup", "--lock-wait"]);
    end(&mut first);
    let mut first = project.guard().start(&[
        "deploy",
        "--no-watcher",
        "--",
        "./deploy.sh",
        "echo > ../reached; sleep 3600",
    ]);
    crate::support::embedded::until(|| project.root().join("reached").exists());
    first.kill().unwrap();
    first.wait().unwrap();
    project.guard().run(&["backup"]).expect(13).says("guard resume");
    project.guard().run(&["resume"]).expect(20);
    project.guard().run(&["backup"]).expect(0);
}

#[test]
fn a_freeze_refuses_a_deployment_with_12_until_it_is_ended() {
    let project = Embedded::new();
    project
        .guard()
        .run(&["lock", "-m", "audit until Friday"])
        .expect(0)
        .says("audit until Friday");
    let refused = project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(12);
    refused.says("audit until Friday").says("guard unlock");
    assert!(project.deployments().is_empty());
    assert!(
        project
            .guard()
            .run(&["status"])
            .expect(0)
            .stdout
            .contains("audit until Friday")
    );
    project.guard().run(&["unlock"]).expect(0);
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    project.guard().run(&["unlock"]).expect(0).says("nothing was frozen");
}

#[test]
fn a_resume_does_not_end_the_commands_of_another_project() {
    // Two runs of the same second have the same name; both guards are in the process group of this test.
    for _ in 0..10 {
        let (project, other) = (Embedded::new(), Embedded::new());
        let words = [
            "deploy",
            "--no-watcher",
            "--",
            "./deploy.sh",
            "all",
            "echo > ../reached; sleep 2",
        ];
        let (mut killed, mut alive) = (project.guard().start(&words), other.guard().start(&words));
        for reached in [&project, &other] {
            crate::support::embedded::until(|| reached.root().join("reached").exists());
        }
        killed.kill().unwrap();
        killed.wait().unwrap();
        let is_same_name = project.newest_run().file_name() == other.newest_run().file_name();
        project.guard().run(&["resume"]).expect(20);
        assert_eq!(end(&mut alive).code(), Some(0));
        if is_same_name {
            return;
        }
    }
    panic!("no two runs began in the same second");
}
