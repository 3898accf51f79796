//! guard itself panics, at many points of a run: the kernel refuses it a thread, which the standard library answers with a
//! panic. What it leaves is finished like the run of any guard that was killed.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::figures::reached;
use crate::killed::chosen;
use crate::support::embedded::until;
use crate::traced::{Blow, Journey, for_each, traced, traced_with_watcher};

/// There are too many processes for now.
const EAGAIN: i32 = 11;

fn refused(from: u32, count: u32) -> Blow<'static> {
    Blow::Fail {
        name: "thread",
        from,
        count,
        errno: EAGAIN,
    }
}

/// How many threads a journey begins, and which of them the first thread begins, that of the loop: its panic ends guard.
fn threads(journey: Journey) -> (u32, Vec<u32>) {
    let (project, ..) = journey.begin();
    let (calls, output) = traced(&project, refused(u32::MAX, 0), journey.words());
    assert!(output.status.code().is_some(), "{output:?}");
    let first = (1..).zip(&calls).filter(|(_, call)| call.path.ends_with("first"));
    let first: Vec<u32> = first.map(|(number, _)| number).collect();
    assert!(first.len() > 8, "{calls:?}");
    (u32::try_from(calls.len()).unwrap(), first)
}

/// Refuses a thread, finishes what is left, and compares; whether it came to a panic that ended guard.
fn strike(journey: Journey, at: u32, ended: &AtomicUsize, survived: &AtomicUsize) {
    let (project, old, deployments) = journey.begin();
    let (before, runs) = (project.everything(), project.runs().len());
    let (_, output) = traced(&project, refused(at, 1), journey.words());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code();
    let story = format!("{journey:?}, no thread {at}: {code:?}\n{said}");
    if code == Some(70) {
        ended.fetch_add(1, Ordering::SeqCst);
        assert!(
            said.contains("a bug in guard") || said.contains("nothing was begun"),
            "{story}"
        );
        // Before a run has begun its first step there is nowhere to keep it.
        let newest = project.runs().pop().filter(|_| project.runs().len() > runs);
        let journal = newest
            .as_ref()
            .and_then(|run| std::fs::read_to_string(run.join("journal.jsonl")).ok());
        if journal.is_some_and(|journal| journal.contains("\"begun\"")) {
            assert!(newest.is_some_and(|run| run.join("bug.log").exists()), "{story}");
            assert!(said.contains("guard resume") && said.contains("bug.log"), "{story}");
        }
    } else {
        survived.fetch_add(1, Ordering::SeqCst);
        assert!(
            matches!(code, Some(0 | 2 | 10 | 11 | 14 | 20 | 22 | 24 | 30 | 32 | 33)),
            "{story}"
        );
    }
    let resumed = project.guard().env("GUARD_NO_WATCHER", "1").run(&["resume"]);
    let resumed_code = resumed.code.unwrap();
    assert!(
        [0, 14, 20, 22, 24].contains(&resumed_code),
        "{story}\n{}",
        resumed.everything()
    );
    if journey == Journey::Rollback && project.everything() == before {
        project.guard().run(journey.words()).expect(0);
    }
    assert_eq!(project.everything(), old, "{story}\n{}", resumed.everything());
    assert!(
        project.deployments().len() <= deployments.max(1),
        "{story}: the command ran twice"
    );
    project.guard().run(&["resume"]).expect(0);
}

#[test]
fn fault_a12_a_panic_at_any_point_is_70_and_what_it_leaves_is_finished() {
    let (ended, survived) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut all = 0;
    let mut struck = 0;
    for (journey, everyday) in [(Journey::FailingDeploy, 4), (Journey::Rollback, 2)] {
        let (count, first) = threads(journey);
        let (mut points, _) = chosen(count, everyday);
        let (among_first, _) = chosen(u32::try_from(first.len()).unwrap(), everyday);
        points.extend(among_first.iter().filter_map(|number| first.get(*number as usize - 1)));
        points.sort_unstable();
        points.dedup();
        let numbered: Vec<(u32, u32)> = points.iter().map(|at| (*at, *at)).collect();
        for_each("A12", &numbered, |at| strike(journey, *at, &ended, &survived));
        all += count;
        struck += points.len();
    }
    let (ended, survived) = (ended.into_inner(), survived.into_inner());
    assert!(ended > 0, "nothing ended guard: this test tries nothing");
    reached(
        "A12",
        "a panic at many points: exit 70, or contained in its step; a resume finishes it",
        &format!("{struck} of {all} threads refused: {ended} times 70, {survived} times contained, all finished"),
        "GUARD_FAULTS_FROM",
    );
}

#[test]
fn fault_a12_a_panic_behind_the_deploy_command_is_finished_by_the_watcher() {
    let journey = Journey::FailingDeploy;
    for round in 1..=ROUNDS {
        let (_, first) = threads(journey);
        // From the end of the way back on: many panics are contained.
        for (tried, at) in (1..).zip(first.iter().rev().take(16)) {
            if is_finished_by_watcher(journey, *at) {
                eprintln!(
                    "round {round}, number {tried} of {} from the end: a panic that ended guard",
                    first.len()
                );
                return;
            }
        }
    }
    panic!("no panic on the way back has ended guard");
}

/// The numbers of threads are not quite the same in every run, least of all on a crowded machine.
const ROUNDS: u32 = 5;

/// Refuses this thread; whether that ended guard on the way back. Its watcher has to end the run then.
fn is_finished_by_watcher(journey: Journey, at: u32) -> bool {
    let (project, old, _) = journey.begin();
    let (_, output) = traced_with_watcher(&project, refused(at, 1), journey.words());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let Some(run) = project.runs().pop() else { return false };
    let journal = std::fs::read_to_string(run.join("journal.jsonl")).unwrap_or_default();
    // Contained in its step, or when all was done; the watcher may have closed it by now.
    let was_over = journal.contains("\"closed\"") && !journal.contains("\"reopened\"");
    if output.status.code() != Some(70) || !journal.contains("\"turned\"") || was_over {
        return false;
    }
    until(|| run.join("result.json").exists());
    let result = std::fs::read_to_string(run.join("result.json")).unwrap();
    assert!(
        run.join("bug.log").exists() && result.contains("\"exit_code\": 20") && result.contains("\"watcher\""),
        "{said}\n{result}"
    );
    assert_eq!(project.everything(), old, "{said}");
    true
}
