//! A disk that refuses to read: every such error is told, none is taken for absence.

use guard::journal::{JournalError, Runs};
use guard::store::{Knowledge, Listed, Store, StoreError};

use super::{Place, backup, moment};
use crate::journal::{again, child_directory, run, written};

const CALLS: [&str; 6] = ["openat", "statx", "newfstatat", "read", "getdents64", "readlink"];

#[test]
fn fault_b6_no_read_error_makes_a_backup_or_a_run_absent() {
    let place = Place::new();
    backup(&place.store(), moment(0), Knowledge::KnownGood);
    let opened = Runs::below(&place.state()).claim_named(&run()).unwrap().unwrap();
    written(&opened.directory, &opened.id, "here", 4);
    let log = place.root().join("strace");
    let began = place.root().join("began");
    let mut injected = 0;
    for call in CALLS {
        for when in 1.. {
            let _absent = std::fs::remove_file(&began);
            let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error=EIO:when={when}"));
            let words = [
                "strace",
                "-f",
                "-qq",
                "-o",
                log.to_str().unwrap(),
                "-e",
                &trace,
                "-e",
                &inject,
            ];
            let output = again(&words, "store::refusing::child_reads", place.root());
            let was_met = std::fs::read_to_string(&log).unwrap().contains("INJECTED");
            // Before the test began, the error met the loader or the test's own harness.
            let is_ours = began.exists();
            assert!(output.status.success() || !is_ours, "{call} {when}: {output:?}");
            injected += u32::from(was_met && is_ours);
            if !was_met {
                break;
            }
            assert!(when < 500, "{call} {when} is still reached");
        }
    }
    assert!(injected > 20, "{injected} errors");
}

#[test]
#[ignore = "started by fault_b6"]
fn child_reads() {
    let Some(root) = child_directory() else { return };
    std::fs::write(root.join("began"), "").unwrap();
    let is_told = |error: &StoreError| {
        !matches!(
            error,
            StoreError::NotFound { .. } | StoreError::NoManifest { .. } | StoreError::Incomplete { .. }
        )
    };
    match Store::open(&root.join("backups"), &root.join("state")) {
        Ok(store) => {
            match store.list() {
                Ok(listed) => match &listed[..] {
                    [Listed::Backup(_)] => {}
                    [Listed::Unreadable { reason, .. }] => assert!(reason.contains("could not"), "{reason}"),
                    other => panic!("{other:?}"),
                },
                Err(error) => assert!(is_told(&error), "{error}"),
            }
            assert!(
                store.sweep(moment(1_000), &[]).is_ok_and(|swept| swept.is_empty())
                    || root.join("backups/20251022_153000").exists()
            );
            if let Err(error) = store.get(&super::stamp("20251022_153000")) {
                assert!(is_told(&error), "{error}");
            }
        }
        Err(error) => assert!(is_told(&error), "{error}"),
    }
    let runs = Runs::below(&root.join("state"));
    // An error is told, and so not taken for a list without the run.
    if let Ok(unfinished) = runs.unfinished() {
        assert_eq!(unfinished, [runs.at(run())]);
    }
    match runs.at(run()).read() {
        Ok(records) => assert_eq!(records.len(), 4),
        Err(error) => assert!(matches!(error, JournalError::Disk(_)), "{error}"),
    }
}
