//! guard killed with -9 while a watcher stands by: the run comes to its end, and nobody types anything.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::embedded::{Embedded, end, signal, until};
use crate::support::watched::{Watched, is_alive, json};

/// Tells a measurement to whoever reads the test's output.
fn told(what: &str, reaction: Option<Duration>) {
    eprintln!("reaction to a kill {what}: {reaction:.1?}");
}

/// A project whose every phase takes long enough to be killed in.
fn slow() -> Embedded {
    Embedded::and(
        "[verify]\ncommands = [\"sh -c 'sleep 0.2; grep -q mode=good conf/app.conf'\"]\n\
         [services]\nstop = [[\"sleep\", \"0.1\"]]\nstart = [[\"sleep\", \"0.1\"]]",
    )
}

/// Kills guard as soon as the journal says this, and returns the run after its watcher has ended.
fn killed_at(project: &Embedded, words: &[&str], says: &str) -> Watched {
    let mut guard = project.guard().start(words);
    let watched = Watched::of(project, &mut guard).expect("a watcher stands by");
    until(|| watched.journal().contains(says) || guard.try_wait().unwrap().is_some());
    told(&format!("at {says}"), watched.kill(&mut guard));
    watched
}

fn assert_finished_by_watcher(project: &Embedded, watched: &Watched, code: i64) {
    let ended = watched.exit_code();
    let result = json(&watched.run.join("result.json"));
    let shown = format!("{}\n{}\n{result:#}", watched.log(), watched.journal());
    assert_eq!(ended, code, "{shown}");
    assert_eq!(result["finished_by"], "watcher", "{shown}");
    project.guard().run(&["resume"]).expect(0).says("nothing is unfinished");
    let history = project.guard().run(&["history"]).expect(0);
    assert!(history.stdout.contains("by the watcher"), "{}", history.stdout);
}

/// Where a bad deployment is killed, and the code that it then ends with.
const STEPS: [(&str, i64); 11] = [
    ("begun\":{\"step\":\"deploy\"", 20),
    ("begun\":{\"step\":\"gate\"", 21),
    ("begun\":{\"step\":\"evidence\"", 21),
    ("begun\":{\"step\":\"prepare/db\"", 21),
    ("begun\":{\"step\":\"quiesce\"", 21),
    ("begun\":{\"step\":\"restore/db\"", 21),
    ("begun\":{\"step\":\"restore/objects\"", 21),
    ("begun\":{\"step\":\"restore/code\"", 21),
    ("begun\":{\"step\":\"restore/config\"", 21),
    ("begun\":{\"step\":\"start\"", 21),
    ("begun\":{\"step\":\"prove\"", 21),
];

#[test]
fn fault_a4_a6_a_bad_deployment_that_is_killed_at_any_step_is_walked_back_by_the_watcher() {
    let (one, other) = STEPS.split_at(STEPS.len() / 2);
    std::thread::scope(|scope| {
        for steps in [one, other] {
            scope.spawn(move || {
                for (says, code) in steps {
                    let project = slow();
                    let before = project.everything();
                    let words = ["deploy", "--", "./deploy.sh", "all", "sick", "sleep 0.2"];
                    let watched = killed_at(&project, &words, says);
                    assert_finished_by_watcher(&project, &watched, *code);
                    assert_eq!(project.everything(), before, "{says}: {}", watched.log());
                    assert!(project.deployments().len() <= 1);
                }
            });
        }
    });
}

#[test]
fn fault_a5_a_good_release_that_is_killed_while_it_is_looked_at_is_looked_at_by_the_watcher() {
    for says in ["begun\":{\"step\":\"verify\"", "begun\":{\"step\":\"watch\""] {
        let project = slow();
        let watched = killed_at(&project, &["deploy", "--", "./deploy.sh", "all"], says);
        assert_finished_by_watcher(&project, &watched, 0);
        assert_eq!(project.sh("cat code.txt"), "code 2\n");
    }
}

#[test]
fn a_release_that_is_to_be_held_is_held_by_the_watcher_too() {
    let project = Embedded::but("data_restore = \"always\"", "on_unknown = \"hold\"");
    let words = ["deploy", "--", "./deploy.sh", "all", "sleep 3600"];
    let watched = killed_at(&project, &words, "begun\":{\"step\":\"deploy\"");
    assert_finished_by_watcher(&project, &watched, 31);
}

#[test]
fn a_rollback_and_its_undo_that_are_killed_are_finished_by_the_watcher() {
    let project = slow();
    let old = project.everything();
    project.guard().run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    let new = project.everything();
    let watched = killed_at(&project, &["rollback", "--yes"], "begun\":{\"step\":\"restore/db\"");
    assert_finished_by_watcher(&project, &watched, 0);
    assert_eq!(project.everything(), old);
    let watched = killed_at(
        &project,
        &["rollback", "--undo", "--yes"],
        "begun\":{\"step\":\"undo/db\"",
    );
    assert_finished_by_watcher(&project, &watched, 0);
    assert_eq!(project.everything(), new);
}

#[test]
fn fault_a13_a_watcher_that_is_killed_as_well_leaves_the_run_to_people() {
    let project = slow();
    let before = project.everything();
    let words = ["deploy", "--", "./deploy.sh", "all", "exit 7"];
    let mut guard = project.guard().start(&words);
    let watched = Watched::of(&project, &mut guard).unwrap();
    let says = |text: &str| watched.journal().contains(text);
    until(|| says("begun\":{\"step\":\"quiesce\"") || guard.try_wait().unwrap().is_some());
    assert!(says("begun\":{\"step\":\"quiesce\""), "{}", watched.journal());
    guard.kill().unwrap();
    guard.wait().unwrap();
    until(|| says("\"reopened\""));
    project.sh(&format!("kill -9 {}", watched.watcher));
    watched.until_ended();
    project
        .guard()
        .run(&["deploy", "--", "true"])
        .expect(13)
        .says("guard resume");
    project.guard().run(&["resume"]).expect(20);
    assert_eq!(project.everything(), before);
}

#[test]
fn fault_d7_a_person_who_resumes_while_the_watcher_works_is_told_who_does() {
    let project =
        Embedded::and("[services]\nstop = [[\"sh\", \"-c\", \"echo > ../stopping; sleep 2\"]]\nstart = [\"true\"]");
    let before = project.everything();
    let mut guard = project
        .guard()
        .start(&["deploy", "--", "./deploy.sh", "all", "echo > ../reached; sleep 3600"]);
    let watched = Watched::of(&project, &mut guard).unwrap();
    until(|| project.root().join("reached").exists());
    let status = project.guard().run(&["status"]).expect(0);
    assert!(
        status.stdout.contains(&format!("stands by (pid {})", watched.watcher)),
        "{}",
        status.stdout
    );
    guard.kill().unwrap();
    guard.wait().unwrap();
    until(|| project.root().join("stopping").exists());
    let second = project.guard().run(&["resume"]).expect(12).says("the watcher of");
    second.says(&watched.watcher.to_string());
    let waited = project.guard().run(&["resume", "--lock-wait"]).expect(0);
    waited.says("nothing is unfinished");
    assert_finished_by_watcher(&project, &watched, 20);
    assert_eq!(project.everything(), before);
}

#[test]
fn a_person_who_insists_on_stopping_is_not_overruled_by_the_watcher() {
    let project =
        Embedded::and("[services]\nstop = [[\"sh\", \"-c\", \"echo > ../stopping; sleep 1\"]]\nstart = [\"true\"]");
    let before = project.everything();
    let mut guard = project.guard().start(&["deploy", "--", "./deploy.sh", "all", "exit 7"]);
    let watched = Watched::of(&project, &mut guard).unwrap();
    until(|| project.root().join("stopping").exists());
    for _ in 0..2 {
        signal(&guard, Signal::INT);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(end(&mut guard).code(), Some(33));
    watched.until_ended();
    assert!(!watched.journal().contains("reopened"), "{}", watched.log());
    project.guard().run(&["resume"]).expect(20);
    assert_eq!(project.everything(), before);
}

#[test]
fn a_run_that_ends_by_itself_ends_its_watcher() {
    let project = Embedded::new();
    let mut guard = project.guard().start(&["deploy", "--", "./deploy.sh", "all"]);
    let watched = Watched::of(&project, &mut guard).unwrap();
    assert!(is_alive(watched.watcher));
    assert_eq!(end(&mut guard).code(), Some(0));
    watched.until_ended();
    assert!(
        !watched.journal().contains("reopened") && watched.log().is_empty(),
        "{}",
        watched.log()
    );
    assert!(!watched.run.join("watcher.json").exists());
    assert_eq!(
        json(&watched.run.join("result.json"))["finished_by"],
        serde_json::Value::Null
    );
}

#[test]
fn nobody_watches_where_nobody_is_wanted() {
    let without = [
        (Embedded::new(), "--no-watcher", "no"),
        (Embedded::new(), "--quiet", "yes"),
        (Embedded::but("[policy]", "[policy]\nwatcher = false"), "--quiet", ""),
    ];
    for (project, flag, variable) in without {
        let guard = project.guard().env("GUARD_NO_WATCHER", variable);
        guard.run(&["deploy", flag, "--", "./deploy.sh", "all"]).expect(0);
        assert!(!project.newest_run().join("watcher.log").exists(), "{flag} {variable}");
    }
}

#[test]
fn fault_a5_a_guard_that_is_killed_while_its_watcher_reports_for_work_is_stood_in_for() {
    let project = slow();
    let before = project.everything();
    let mut guard = project
        .guard()
        .start(&["deploy", "--no-watcher", "--", "./deploy.sh", "all", "sleep 60"]);
    until(|| project.root().join("project/code.txt").exists() && project.sh("cat code.txt") == "code 2\n");
    let pid = guard.id().to_string();
    guard.kill().unwrap();
    guard.wait().unwrap();
    let run = project.newest_run();
    // The watcher begins, and nobody is left to read that it is ready.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let words = ["__watch", run.to_str().unwrap(), &pid, "1", "away"];
    let mut watcher = project.guard().command(&words).stdout(writer).spawn().unwrap();
    end(&mut watcher);
    assert_eq!(json(&run.join("result.json"))["exit_code"], 20);
    assert_eq!(project.everything(), before);
}

#[test]
fn fault_a15_a_run_that_is_killed_behind_its_last_record_has_its_report_all_the_same() {
    let off = "off = [[\"sh\", \"-c\", \"test -e ../told || { echo > ../telling; sleep 3600; }\"]]";
    let held = ["--no-rollback", "--", "./deploy.sh", "sick", "exit 3"];
    for flag in ["--watcher", "--no-watcher"] {
        let project = Embedded::and(&format!("[maintenance]\non = [\"true\"]\n{off}"));
        let flags: &[&str] = if flag == "--watcher" { &[] } else { &[flag] };
        let mut guard = project.guard().start(&[&["deploy"], flags, &held].concat());
        let watched = (flag == "--watcher").then(|| Watched::of(&project, &mut guard).unwrap());
        // The journal is closed by now.
        until(|| project.root().join("telling").exists());
        let run = project.newest_run();
        project.sh("echo > ../told");
        guard.kill().unwrap();
        guard.wait().unwrap();
        assert!(
            std::fs::read_to_string(run.join("journal.jsonl"))
                .unwrap()
                .contains("\"closed\"")
        );
        if let Some(watched) = watched {
            watched.until_ended();
            assert_eq!(watched.exit_code(), 31, "{}", watched.log());
        } else {
            assert!(!run.join("result.json").exists());
            project.guard().run(&["resume"]).expect(31).says("it was over");
            assert_eq!(json(&run.join("result.json"))["exit_code"], 31);
        }
        assert!(run.join("incident.md").exists());
        assert!(
            !std::fs::read_to_string(run.join("journal.jsonl"))
                .unwrap()
                .contains("reopened")
        );
        project.guard().run(&["resume"]).expect(0).says("nothing is unfinished");
    }
}
