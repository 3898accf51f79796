//! Drills that are cut off: guard killed by the drill itself, and by somebody else; whoever finishes takes the fault away.

use std::process::Child;

use super::{book, marked, only};
use crate::support::embedded::{Embedded, end, until};
use crate::support::program::Program;
use crate::support::staging::Staging;
use crate::support::watched::{Watched, is_alive, json};

#[test]
fn a_guard_that_the_drill_kills_is_followed_by_its_watcher_or_by_the_drill() {
    for (more, finisher) in [(vec![], true), (vec!["--no-watcher"], false)] {
        let project = marked("");
        let before = project.everything();
        let args = ["drill", "--fault", "guard-killed", "--within", "300ms", "--json"];
        let command = ["--", "./deploy.sh", "all"];
        let ran = project.guard().run(&[&args[..], &more, &command].concat());
        let told = only(&ran.expect(0));
        assert_eq!(project.everything(), before, "{told}");
        let run = project.newest_run();
        let journal = std::fs::read_to_string(run.join("journal.jsonl")).unwrap();
        assert!(journal.contains("\"reopened\""), "{journal}");
        assert_eq!(journal.contains("\"watcher\":true"), finisher, "{journal}");
        assert_eq!(project.deployments(), ["all"], "the deploy command ran once");
        assert_eq!((book(&project).len(), &told["passed"]), (1, &true.into()));
    }
}

/// guard without a watcher: nobody but the test finishes what was killed.
fn alone(program: Program) -> Program {
    program.env("GUARD_NO_WATCHER", "1")
}

/// Kills a guard as soon as the newest journal says this.
fn killed_at(project: &Embedded, text: &str, mut guard: Child) {
    project.until_journal_says(text, &mut guard);
    guard.kill().unwrap();
    end(&mut guard);
}

#[test]
fn a_drill_that_is_killed_anywhere_is_finished_by_resume_and_its_fault_is_gone() {
    for at in [
        "{\"begun\":{\"step\":\"watch\"}}",
        "\"turned\"",
        "{\"begun\":{\"step\":\"restore/objects\"}}",
        "{\"begun\":{\"step\":\"prove\"}}",
    ] {
        let project = marked("");
        let before = project.everything();
        let guard = alone(project.guard()).start(&["drill", "--fault", "objects-deleted", "--within", "300ms"]);
        killed_at(&project, at, guard);
        alone(project.guard()).run(&["resume"]).expect(0);
        assert_eq!(project.everything(), before, "{at}");
        let book = book(&project);
        assert_eq!(book.len(), 1, "{at}");
        assert_eq!(
            (&book[0]["passed"], &book[0]["lost"]),
            (&true.into(), &0.into()),
            "{at}: {book:?}"
        );
        alone(project.guard())
            .run(&["resume"])
            .expect(0)
            .says("nothing is unfinished");
    }
}

#[test]
fn before_the_deploy_command_a_killed_drill_has_touched_nothing() {
    let project = marked("");
    let before = project.everything();
    let guard = alone(project.guard()).start(&["drill", "--fault", "rows-deleted"]);
    killed_at(&project, "{\"begun\":{\"step\":\"baseline\"}}", guard);
    alone(project.guard()).run(&["resume"]).expect(14);
    assert_eq!(project.everything(), before);
    assert!(book(&project).is_empty());
}

#[test]
fn the_proxies_of_a_killed_drill_hand_on_and_end_with_its_resume() {
    let staging = Staging::open("20s", "");
    let before = staging.everything();
    let project = &staging.project;
    let guard = alone(staging.guard()).start(&["drill", "--fault", "http-slow"]);
    killed_at(project, "{\"begun\":{\"step\":\"gate\"}}", guard);
    let run = project.newest_run();
    let proxy = json(&run.join("drill.json"))["agents"][0]["process"]["pid"]
        .as_u64()
        .unwrap();
    let proxy = u32::try_from(proxy).unwrap();
    assert!(is_alive(proxy), "it outlives the guard that has started it");
    alone(staging.guard()).run(&["resume"]).expect(0);
    until(|| !is_alive(proxy));
    assert_eq!(staging.everything(), before);
    assert!(staging.is_well());
}

#[test]
fn a_drill_that_is_killed_with_a_watcher_is_finished_by_it() {
    let project = marked("");
    let before = project.everything();
    let mut guard = project
        .guard()
        .start(&["drill", "--fault", "config-broken", "--within", "20s"]);
    let watched = Watched::of(&project, &mut guard).unwrap();
    project.until_journal_says("{\"begun\":{\"step\":\"gate\"}}", &mut guard);
    watched.kill(&mut guard);
    assert_eq!(project.everything(), before, "{}", watched.log());
    let result = json(&watched.run.join("drill-result.json"));
    assert_eq!(
        (&result["passed"], &result["equal"]),
        (&true.into(), &true.into()),
        "{result}"
    );
}

#[test]
fn a_drill_that_is_given_up_leaves_no_fault_behind() {
    let staging = Staging::open("20s", "");
    let guard = alone(staging.guard()).start(&["drill", "--fault", "http-slow"]);
    killed_at(&staging.project, "{\"begun\":{\"step\":\"gate\"}}", guard);
    let run = staging.project.newest_run();
    let proxy = json(&run.join("drill.json"))["agents"][0]["process"]["pid"]
        .as_u64()
        .unwrap();
    let proxy = u32::try_from(proxy).unwrap();
    assert!(is_alive(proxy));
    alone(staging.guard()).run(&["abort", "--yes"]).expect(35);
    until(|| !is_alive(proxy));
    assert!(staging.is_well());
    assert!(book(&staging.project).is_empty(), "it was not carried to its end");
}
