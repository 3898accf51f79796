//! Calls of the real guard that fail: the exit code tells the state of production, and nothing verified is lost.

use crate::figures::reached;
use crate::killed::chosen;
use crate::support::embedded::Embedded;
use crate::traced::{Blow, Call, Journey, for_each, traced};

/// By their numbers on Linux.
const ERRORS: [(&str, i32); 6] = [
    ("ENOSPC", 28),
    ("EIO", 5),
    ("EROFS", 30),
    ("EDQUOT", 122),
    ("EINTR", 4),
    ("EMFILE", 24),
];
/// For ever; a call that is interrupted so often in a row has met a kernel that does not exist.
const EVER: u32 = 1_000_000;

/// One blow: the call, from which of its kind on, how many, and the error.
#[derive(Debug, Clone)]
struct Case {
    name: String,
    from: u32,
    count: u32,
    error: (&'static str, i32),
}

fn cases(calls: &[Call]) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut names: Vec<&String> = calls.iter().map(|call| &call.name).collect();
    names.sort();
    names.dedup();
    for name in names {
        let count = u32::try_from(calls.iter().filter(|call| &call.name == name).count()).unwrap();
        for error in ERRORS {
            // The first, the last, and two between.
            let mut places = vec![1, count / 3 + 1, 2 * count / 3 + 1, count];
            places.dedup();
            for from in places {
                for count in [1, EVER] {
                    let count = if error.0 == "EINTR" { count.min(20) } else { count };
                    let name = name.clone();
                    cases.push(Case {
                        name,
                        from,
                        count,
                        error,
                    });
                }
            }
        }
    }
    cases
}

/// Every backup that is listed is whole, by guard's own proof and by `sha256sum`.
fn assert_backups_are_whole(project: &Embedded, story: &str) {
    // What was never completed is listed as that, and is no backup.
    let is_complete = |name: &String| {
        project
            .state()
            .join("backups")
            .join(name)
            .join("manifest.json")
            .exists()
    };
    for name in project.backups().into_iter().filter(is_complete) {
        let verified = project.guard().run(&["verify", &name]);
        assert_eq!(
            verified.code,
            Some(0),
            "{story}: backup {name}\n{}",
            verified.everything()
        );
        project.sh(&format!(
            "cd ../state/backups/{name} && sha256sum --check --quiet SHA256SUMS"
        ));
    }
}

fn strike(journey: Journey, case: &Case) {
    journey.again(|project, old, deployments| {
        let before = project.everything();
        let kept = project.backups();
        let blow = Blow::Fail {
            name: &case.name,
            from: case.from,
            count: case.count,
            errno: case.error.1,
        };
        let (calls, output) = traced(project, blow, journey.words());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let hit = calls.get(case.from as usize - 1).cloned();
        let story = format!("{journey:?}, {case:?} ({hit:?}): {:?}\n{said}", output.status);
        let is_rollback = journey == Journey::Rollback;
        match output.status.code().unwrap_or_default() {
            0 if is_rollback => assert_eq!(&project.everything(), old, "{story}"),
            20 | 24 if !is_rollback => assert_eq!(&project.everything(), old, "{story}"),
            // Old, and it could not be proven that it is well.
            32 => assert_eq!(&project.everything(), old, "{story}"),
            // Untouched.
            2 | 10 | 11 | 12 | 13 | 14 | 40 => assert_eq!(project.everything(), before, "{story}"),
            // Mixed: one command finishes it when the disk is well again.
            30 | 33 => {
                let resumed = project.guard().env("GUARD_NO_WATCHER", "1").run(&["resume"]);
                assert!(
                    [0, 20, 24].contains(&resumed.code.unwrap()),
                    "{story}\n{}",
                    resumed.everything()
                );
                assert_eq!(&project.everything(), old, "{story}\n{}", resumed.everything());
            }
            _ => panic!("{story}"),
        }
        assert!(
            project.deployments().len() <= deployments.max(1),
            "{story}: the command ran twice"
        );
        let left = project.backups();
        assert!(kept.iter().all(|name| left.contains(name)), "{story}: a backup is gone");
        assert_backups_are_whole(project, &story);
    });
}

#[test]
fn fault_b2_b4_b5_b6_b7_a_call_that_fails_never_makes_the_exit_code_lie() {
    let mut all: Vec<(Journey, Case)> = Vec::new();
    for journey in [Journey::FailingDeploy, Journey::Rollback] {
        all.extend(cases(&journey.calls()).into_iter().map(|case| (journey, case)));
    }
    let (numbers, again) = chosen(u32::try_from(all.len()).unwrap(), 12);
    let struck: Vec<(u32, &(Journey, Case))> = numbers
        .iter()
        .map(|number| (*number, &all[*number as usize - 1]))
        .collect();
    for_each("errors", &struck, |(journey, case)| strike(*journey, case));
    reached(
        "R5",
        "each kind of call, each error, once and for ever: the exit code is right, nothing verified is lost",
        &format!("{} of {} cases, all right", struck.len(), all.len()),
        &again,
    );
    reached(
        "R6",
        "lies about the state of production, by an oracle outside guard: 0",
        &format!("0 in {} exit codes", struck.len()),
        &again,
    );
}
