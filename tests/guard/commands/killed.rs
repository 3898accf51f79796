//! guard killed with -9 at many points of a deployment, a rollback and an undo: `guard resume` ends in the right state.
//!
//! Half of the points are counted by the records of the journal, so that every step is hit; the others by the clock.
//! `GUARD_TEST_KILLS` raises their number.

use std::collections::BTreeMap;
use std::process::Child;
use std::time::Duration;

use crate::support::embedded::{Embedded, until};
use crate::support::program::Program;

type State = BTreeMap<&'static str, String>;

/// How many kills each of the three tests makes.
fn kills() -> u32 {
    let asked = std::env::var("GUARD_TEST_KILLS").ok();
    asked.map_or(16, |text| text.parse().expect("a number"))
}

/// guard without a watcher, so that `guard resume` finds the run as the kill left it.
fn alone(project: &Embedded) -> Program {
    project.guard().env("GUARD_NO_WATCHER", "yes")
}

/// Where to kill, spread evenly over a run by the number of the kill, with no two alike.
enum Point {
    /// So many milliseconds after the start.
    Time(u64),
    /// So many milliseconds after the journal has so many records.
    Record(usize, u64),
}

impl Point {
    fn of(number: u32, count: u32, records: usize, milliseconds: u64) -> Self {
        let share = f64::from(number) / f64::from(count);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "small positive numbers"
        )]
        if number.is_multiple_of(2) {
            Self::Time((share * milliseconds as f64) as u64)
        } else {
            Self::Record(1 + (share * records as f64) as usize, u64::from(number % 5))
        }
    }

    /// Waits for the point, and kills; guard may have come to its end before.
    fn strike(&self, project: &Embedded, runs_before: usize, guard: &mut Child) {
        match self {
            Self::Time(milliseconds) => std::thread::sleep(Duration::from_millis(*milliseconds)),
            Self::Record(records, milliseconds) => {
                until(|| {
                    let has_come = || {
                        let runs = project.runs();
                        let run = runs.last().filter(|_| runs.len() > runs_before)?;
                        let text = std::fs::read_to_string(run.join("journal.jsonl")).ok()?;
                        (text.lines().count() >= *records).then_some(())
                    };
                    has_come().is_some() || guard.try_wait().unwrap().is_some()
                });
                std::thread::sleep(Duration::from_millis(*milliseconds));
            }
        }
        // It may be gone, which is what is wanted.
        let _gone = guard.kill();
        guard.wait().unwrap();
    }
}

/// Resumes, kills that as well every third time, and resumes until it has come to its end; returns the last exit code.
fn resume(project: &Embedded, number: u32) -> i32 {
    if number.is_multiple_of(3) {
        let mut again = alone(project).start(&["resume"]);
        std::thread::sleep(Duration::from_millis(u64::from(number * 7 % 90)));
        let _gone = again.kill();
        again.wait().unwrap();
    }
    let resumed = alone(project).run(&["resume"]);
    let code = resumed.code.expect("an exit code");
    assert!(![30, 32, 33, 70].contains(&code), "{}", resumed.everything());
    alone(project).run(&["resume"]).expect(0);
    code
}

#[track_caller]
fn assert_state(project: &Embedded, wanted: &State, number: u32, code: i32) {
    let found = project.everything();
    assert_eq!(
        &found,
        wanted,
        "kill {number}, resume ended with {code}:\n{}",
        story(project)
    );
}

/// What the newest journal says, for whoever has to understand a failure.
fn story(project: &Embedded) -> String {
    let path = project.newest_run().join("journal.jsonl");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| line.chars().take(250).collect::<String>() + "\n")
        .collect()
}

#[test]
fn a_bad_deployment_that_is_killed_anywhere_ends_in_the_old_state() {
    for number in 0..kills() {
        let project = Embedded::new();
        let before = project.everything();
        let point = Point::of(number, kills(), 46, 1000);
        let mut guard = alone(&project).start(&["deploy", "--", "./deploy.sh", "all", "sick"]);
        point.strike(&project, 0, &mut guard);
        let code = resume(&project, number);
        assert_state(&project, &before, number, code);
        assert!(project.deployments().len() <= 1, "the deploy command ran twice");
        // The project is as usable as ever.
        if number.is_multiple_of(4) {
            alone(&project).run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
        }
    }
}

#[test]
fn a_good_deployment_that_is_killed_anywhere_ends_in_the_old_state_or_in_the_new_one() {
    // A while inside the deploy command: a release that is half there when guard dies.
    let words = [
        "deploy",
        "--",
        "./deploy.sh",
        "all",
        "sleep 0.3",
        "echo done > code.txt; commit three",
    ];
    for number in 0..kills() {
        let project = Embedded::new();
        let before = project.everything();
        let point = Point::of(number, kills(), 18, 1300);
        let mut guard = alone(&project).start(&words);
        point.strike(&project, 0, &mut guard);
        let code = resume(&project, number);
        assert!(project.deployments().len() <= 1, "the deploy command ran twice");
        // It may have been killed before it had made anything.
        let ended_well = !project.runs().is_empty() && story(&project).contains("\"ending\":\"deployed\"");
        if (code == 0 && ended_well) || code == 34 {
            // Where the rest of the window is too short for a judgement, the release stays, and 34 says that it is unproven.
            assert_eq!(
                project.sh("cat code.txt"),
                "done\n",
                "kill {number}:\n{}",
                story(&project)
            );
            assert_ne!(project.everything()["rows"], before["rows"]);
        } else {
            assert_state(&project, &before, number, code);
        }
    }
}

#[test]
fn a_rollback_and_its_undo_that_are_killed_anywhere_are_finished() {
    let project = Embedded::new();
    let old = project.everything();
    alone(&project).run(&["deploy", "--", "./deploy.sh", "all"]).expect(0);
    let new = project.everything();
    for number in 0..kills() {
        let (words, from, to) = if number.is_multiple_of(2) {
            (["rollback", "--yes", "--reason=a test"], &new, &old)
        } else {
            (["rollback", "--yes", "--undo"], &old, &new)
        };
        // Those of even number are rollbacks: both kinds of points for both.
        let point = Point::of(number / 2, kills() / 2, 28, 400);
        let runs = project.runs().len();
        let mut guard = alone(&project).start(&words);
        point.strike(&project, runs, &mut guard);
        let code = resume(&project, number);
        // Where nothing was announced yet, nothing was done, and asking again does it.
        if project.runs().len() == runs || project.everything() == *from {
            assert_state(&project, from, number, code);
            alone(&project).run(&words).expect(0);
        }
        assert_state(&project, to, number, code);
        assert_eq!(project.deployments().len(), 1);
    }
}
