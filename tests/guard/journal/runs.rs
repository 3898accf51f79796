//! The directories of runs: their order, those that are not over, those that do not belong here.

use guard::journal::{Journal, JournalError, Runs, State, strangeness};
use guard::model::name::RunKind;

use super::{actor, moment, run, written};

#[test]
fn runs_of_one_second_get_names_of_their_own_and_are_listed_newest_first() {
    let state = tempfile::tempdir().unwrap();
    let runs = Runs::below(state.path());
    assert!(runs.list().unwrap().is_empty() && runs.newest().unwrap().is_none());
    let mut made: Vec<String> = (0..12)
        .map(|_| runs.claim(moment(), RunKind::Deploy).unwrap().id.to_string())
        .collect();
    assert_eq!(made[1], "20251022_153000-2-deploy");
    made.push(
        runs.claim(moment() + chrono::TimeDelta::seconds(1), RunKind::Rollback)
            .unwrap()
            .id
            .to_string(),
    );
    made.reverse();
    let listed: Vec<String> = runs.list().unwrap().iter().map(|run| run.id.to_string()).collect();
    assert_eq!(listed, made);
    assert!(runs.claim_named(&run()).unwrap().is_none());
}

#[test]
fn fault_c1_the_order_of_runs_is_that_of_their_beginnings_and_not_the_clocks() {
    let state = tempfile::tempdir().unwrap();
    let runs = Runs::below(state.path());
    // The clock goes back a year, stands still, and goes on; the names of one second would sort by their kinds.
    let years = [0, -365, -365, -365, -364, 1, -400];
    let kinds = [
        RunKind::Undo,
        RunKind::Rollback,
        RunKind::Deploy,
        RunKind::Undo,
        RunKind::Backup,
    ];
    let mut made = Vec::new();
    for (number, days) in years.into_iter().enumerate() {
        let now = moment() + chrono::TimeDelta::days(days);
        made.push(runs.claim(now, kinds[number % kinds.len()]).unwrap());
        assert_eq!(runs.newest().unwrap().as_ref(), made.last());
    }
    made.reverse();
    assert_eq!(runs.list().unwrap(), made);
}

#[test]
fn what_is_not_a_run_is_not_listed() {
    let state = tempfile::tempdir().unwrap();
    let runs = Runs::below(state.path());
    let real = runs.claim(moment(), RunKind::Backup).unwrap();
    let inside = state.path().join("runs");
    std::fs::create_dir(inside.join("lost+found")).unwrap();
    std::fs::write(inside.join("20251022_153001-deploy"), "a file").unwrap();
    std::os::unix::fs::symlink("/", inside.join("20251022_153002-deploy")).unwrap();
    assert_eq!(runs.list().unwrap(), [real]);
}

#[test]
fn a_run_without_an_end_is_unfinished_and_an_unreadable_one_too() {
    let state = tempfile::tempdir().unwrap();
    let runs = Runs::below(state.path());
    let second = |count| moment() + chrono::TimeDelta::seconds(count);
    let empty = runs.claim(second(0), RunKind::Deploy).unwrap();
    let open = runs.claim(second(1), RunKind::Deploy).unwrap();
    let closed = runs.claim(second(2), RunKind::Deploy).unwrap();
    let damaged = runs.claim(second(3), RunKind::Deploy).unwrap();
    written(&open.directory, &open.id, "here", 4);
    written(&closed.directory, &closed.id, "here", 7);
    written(&damaged.directory, &damaged.id, "here", 7);
    std::fs::write(damaged.directory.join("journal.jsonl"), "rubbish\nrubbish\n").unwrap();
    assert_eq!(empty.state().unwrap(), State::Empty);
    assert_eq!(open.state().unwrap(), State::Open);
    assert!(matches!(closed.state().unwrap(), State::Closed(_)));
    assert!(matches!(
        damaged.state(),
        Err(JournalError::Damaged { line: 1, lines: 2, .. })
    ));
    assert_eq!(runs.unfinished().unwrap(), [damaged, open]);
}

#[test]
fn fault_l6_a_journal_of_another_host_or_run_is_told_apart() {
    let state = tempfile::tempdir().unwrap();
    written(state.path(), &run(), "there", 3);
    let (_, records) = Journal::open(state.path()).unwrap();
    assert_eq!(strangeness(&run(), &records, &actor("there")), None);
    let other_host = strangeness(&run(), &records, &actor("here")).unwrap();
    assert!(
        other_host.contains("there") && other_host.contains("here"),
        "{other_host}"
    );
    let other_run = "20251022_153000-2-deploy".parse().unwrap();
    assert!(strangeness(&other_run, &records, &actor("there")).is_some());
    assert!(strangeness(&run(), &records[1..], &actor("there")).is_some());
    assert_eq!(strangeness(&run(), &[], &actor("there")), None);
}
