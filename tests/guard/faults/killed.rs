//! The real guard is killed at every call by which it changes a file, and resumed: the state is the old one then.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;

use crate::figures::{is_full, reached, wanted};
use crate::sim::chance::Chance;
use crate::traced::{Blow, Journey, for_each, traced};

/// What is there, by other means than guard's.
pub type State = BTreeMap<&'static str, String>;

/// The numbers of the cases that are tried, out of 1 to `count`: a few, chosen by a seed that is told; in the long series all,
/// or those from `GUARD_FAULTS_FROM` on; or `GUARD_FAULTS_ONLY` one. With them how to repeat that.
pub fn chosen(count: u32, everyday: u64) -> (Vec<u32>, String) {
    let only = u32::try_from(wanted("GUARD_FAULTS_ONLY", 0)).unwrap();
    if only > 0 {
        return (vec![only], format!("GUARD_FAULTS_ONLY={only}"));
    }
    if is_full() {
        let first = u32::try_from(wanted("GUARD_FAULTS_FROM", 1)).unwrap();
        return ((first..=count).collect(), "--full".to_owned());
    }
    let seed = wanted("GUARD_FAULTS_FROM", u64::from(std::process::id()));
    let mut chance = Chance::new(seed);
    let mut all: Vec<u32> = (1..=count).collect();
    let few = usize::try_from(everyday).unwrap().min(all.len());
    let chosen = (0..few).map(|_| all.swap_remove(chance.below(all.len()))).collect();
    (chosen, format!("GUARD_FAULTS_FROM={seed}"))
}

/// Kills the journey at one of its calls, resumes, and compares.
fn strike(journey: Journey, at: u32) {
    journey.again(|project, old, deployments| {
        let new = project.everything();
        let runs = project.runs().len();
        let (calls, output) = traced(project, Blow::Kill(at), journey.words());
        let last = calls.last().cloned();
        let story = || format!("{journey:?}, killed at call {at}: {last:?}");
        // The very last calls may come in another number than when they were counted.
        if output.status.signal() != Some(9) {
            assert!(output.status.code().is_some(), "{}: {output:?}", story());
        }
        let resumed = project.guard().env("GUARD_NO_WATCHER", "1").run(&["resume"]);
        let code = resumed.code.unwrap();
        assert!(
            [0, 14, 20].contains(&code),
            "{}: {code}\n{}",
            story(),
            resumed.everything()
        );
        if journey == Journey::Rollback && project.runs().len() == runs {
            assert_eq!(project.everything(), new, "{}: nothing was announced", story());
        }
        if journey == Journey::Rollback && project.everything() == new {
            // It was cut off before it had begun; asking again does it.
            project.guard().run(journey.words()).expect(0);
        }
        assert_eq!(&project.everything(), old, "{}, resume ended with {code}", story());
        assert!(
            project.deployments().len() <= deployments.max(1),
            "{}: the command ran twice",
            story()
        );
        assert!(
            !project.backups().is_empty() || journey == Journey::FailingDeploy,
            "{}",
            story()
        );
        project.guard().run(&["resume"]).expect(0);
    });
}

fn strike_everywhere(journey: Journey, everyday: u64) {
    let count = u32::try_from(journey.calls().len()).unwrap();
    assert!(count > 100, "{count} calls");
    let (points, again) = chosen(count, everyday);
    let points: Vec<(u32, u32)> = points.into_iter().map(|at| (at, at)).collect();
    for_each(&format!("kills, {journey:?}"), &points, |at| strike(journey, *at));
    reached(
        "R1",
        "killed at every call that changes a file, resumed: the old state",
        &format!("{journey:?}: {} of {count} calls, all correct", points.len()),
        &again,
    );
}

#[test]
fn fault_a6_a_failing_deployment_killed_at_any_call_goes_back() {
    strike_everywhere(Journey::FailingDeploy, 12);
}

#[test]
fn fault_a6_a_rollback_killed_at_any_call_is_finished() {
    strike_everywhere(Journey::Rollback, 8);
}
