//! `guard abort`: a run that nobody wants to finish is ended as things are, and everything is kept.

use crate::support::embedded::{Embedded, end, until};
use crate::support::watched::json;

/// A deployment that cannot be walked back: one file cannot be replaced.
fn stuck() -> Embedded {
    let project = Embedded::new();
    let words = ["deploy", "--", "./deploy.sh", "all", "sick", "chattr +i conf/app.conf"];
    project.guard().run(&words).expect(30);
    project
}

#[test]
fn a_stuck_run_is_ended_as_things_are_and_a_deployment_may_begin() {
    let project = stuck();
    project.guard().run(&["deploy", "--", "true"]).expect(13);
    // Nobody is there to be asked.
    project.guard().run(&["abort"]).expect(2).says("guard abort --yes");
    project.guard().run(&["deploy", "--", "true"]).expect(13);
    let before = project.everything();
    let ran = project
        .guard()
        .run(&["abort", "--yes", "--reason", "mended by hand"])
        .expect(35);
    let shown = ran.everything();
    for (resource, words) in [("db", "as in backup"), ("config", "could not be put back")] {
        let told = |line: &str| line.contains(resource) && line.contains(words);
        assert!(shown.lines().any(told), "{resource} {words}: {shown}");
    }
    assert!(shown.contains("as it was left"), "{shown}");
    assert_eq!(project.everything(), before, "nothing was put back or removed");
    let run = project.newest_run();
    assert_eq!(json(&run.join("result.json"))["outcome"], "abandoned");
    assert_eq!(json(&run.join("aborted.json"))["reason"], "mended by hand");
    let history = project.guard().run(&["history"]).expect(0).stdout;
    assert!(
        history.contains("abandoned") && history.contains("mended by hand"),
        "{history}"
    );
    assert!(run.join("incident.md").exists() && project.backups().len() == 1);

    project.guard().run(&["resume"]).expect(0).says("nothing is unfinished");
    project.sh("chattr -i conf/app.conf");
    project.write("conf/app.conf", "mode=good version=3\n");
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
}

#[test]
fn the_state_before_an_abandoned_run_can_still_be_gone_back_to() {
    let project = Embedded::new();
    let before = project.everything();
    let mut guard = project.guard().start(&[
        "deploy",
        "--no-watcher",
        "--",
        "./deploy.sh",
        "all",
        "echo > ../reached; sleep 3600",
    ]);
    until(|| project.root().join("reached").exists());
    project.guard().run(&["abort", "--yes"]).expect(12).says("guard deploy");
    guard.kill().unwrap();
    end(&mut guard);
    let ran = project.guard().run(&["abort", "--yes"]).expect(35);
    assert!(
        ran.everything().contains("as the release left it"),
        "{}",
        ran.everything()
    );
    assert_eq!(project.sh("cat code.txt"), "code 2\n");
    let backup = format!("--backup-timestamp={}", project.backups()[0]);
    project.guard().run(&["rollback", "--yes", &backup]).expect(0);
    assert_eq!(project.everything(), before);
}

#[test]
fn where_nothing_was_touched_the_run_is_closed_and_where_nothing_is_unfinished_nothing_is_done() {
    let project = Embedded::new();
    project
        .guard()
        .run(&["abort", "--yes"])
        .expect(0)
        .says("nothing is unfinished");
    project.sh("head -c 80000000 /dev/urandom > objects/large");
    let mut guard = project.guard().start(&["deploy", "--", "./deploy.sh", "all"]);
    project.until_journal_says("{\"begun\":{\"step\":\"capture/objects\"}}", &mut guard);
    guard.kill().unwrap();
    end(&mut guard);
    project.guard().run(&["abort", "--yes"]).expect(14);
    project.guard().run(&["abort", "--yes"]).expect(0);
    assert!(project.deployments().is_empty());
}

/// A deployment whose command leaves a process that counts; its way back is killed while that process is held.
fn killed_while_held(project: &Embedded) {
    let counts = "touch ../armed; setsid sh -c 'echo $$ > ../pid; i=0; while [ ! -e ../end ]; do i=$((i+1)); echo $i > ../count; \
                  sleep 0.02; done' >/dev/null 2>&1 & until [ -s ../count ]; do sleep 0.02; done; exit 3";
    let mut guard = project
        .guard()
        .start(&["deploy", "--no-watcher", "--", "./deploy.sh", "all", counts]);
    until(|| project.root().join("hangs").exists());
    assert!(!counts_on(project), "it is held while the way back lasts");
    guard.kill().unwrap();
    end(&mut guard);
    project.sh("touch ../go");
    assert!(!counts_on(project), "nobody has let it go");
}

/// A command in which the way back hangs until the file `go` is there.
const HANGS: &str = "test ! -e ../armed || { touch ../hangs; until test -e ../go; do sleep 0.02; done; }";

/// Whether what the deploy command left goes on.
fn counts_on(project: &Embedded) -> bool {
    let before = project.sh("cat ../count");
    std::thread::sleep(std::time::Duration::from_millis(500));
    before != project.sh("cat ../count")
}

#[test]
fn what_the_deploy_command_left_goes_on_after_an_abort_and_is_named() {
    let own = "paths = [\"conf/**\", \".env\"]";
    let project = Embedded::but(own, &format!("{own}\ncheck = [[\"sh\", \"-c\", \"{HANGS}\"]]"));
    killed_while_held(&project);
    let status = project.guard().run(&["status"]).expect(0).stdout;
    let named = format!("sh (pid {})", project.sh("cat ../pid").trim());
    let ran = project.guard().run(&["abort", "--yes"]);
    let goes_on = counts_on(&project);
    project.sh("touch ../end");
    ran.expect(35).says("left by the deploy command, goes on");
    assert!(goes_on);
    assert!(status.contains("held ") && status.contains(&named), "{status}");
    let incident = std::fs::read_to_string(project.newest_run().join("incident.md")).unwrap();
    assert!(incident.contains("left by the deploy command, goes on"), "{incident}");
}

#[test]
fn what_stays_held_after_an_abort_is_let_go_by_the_command_that_is_told() {
    let hangs = format!("[services]\nstop = [\"true\"]\nstart = [[\"sh\", \"-c\", \"{HANGS}\"]]\n");
    let project = Embedded::and(&hangs);
    killed_while_held(&project);
    let ran = project.guard().run(&["abort", "--yes"]).expect(35);
    let stayed = !counts_on(&project);
    let told = ran.stderr.split('`').filter(|text| text.starts_with("kill -CONT "));
    for command in told {
        project.sh(command);
    }
    let goes_on = counts_on(&project);
    project.sh("touch ../end");
    assert!(stayed && goes_on, "{}", ran.stderr);
}
