//! The store and the journal under kill -9 at every system call that changes a state.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use guard::journal::{Journal, read};
use guard::store::{Knowledge, Last, ManifestInput, Store};

use super::{Place, artifact, backup, latest, moment};
use crate::journal::{again, child_directory, facts, run};
use crate::support::Scene;

const CALLS: [&str; 13] = [
    "mkdir",
    "write",
    "pwrite64",
    "fallocate",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "linkat",
    "unlink",
    "unlinkat",
    "rmdir",
];

/// Runs a child test once for each call of each kind, killed when it makes that call; `look` sees what is left. Returns how
/// many were killed.
fn kill_everywhere(test: &str, mut look: impl FnMut(&Place, &str), set: impl Fn(&Place)) -> u32 {
    let mut killed = 0;
    for call in CALLS {
        for when in 1.. {
            let place = Place::new();
            set(&place);
            let (trace, inject) = (
                format!("trace={call}"),
                format!("inject={call}:signal=SIGKILL:when={when}"),
            );
            let words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let output = again(&words, test, place.root());
            let point = format!("{call} {when}");
            look(&place, &point);
            if output.status.success() {
                assert!(
                    String::from_utf8_lossy(&output.stdout).contains("1 passed"),
                    "{output:?}"
                );
                break;
            }
            assert_eq!(output.status.signal(), Some(9), "{point}: {output:?}");
            killed += 1;
            assert!(when < 500, "{point} is still reached");
        }
    }
    eprintln!("{test}: killed at {killed} points");
    killed
}

/// Everything that is listed is whole, there is a way back, and the next run needs no human step.
fn is_sound(place: &Place, point: &str) {
    let scene = Scene::new();
    let store = place.store();
    store.sweep(moment(1_000), &[]).unwrap();
    let listed = store.list().unwrap();
    let names = super::shown(&listed);
    assert!(
        names.iter().all(|name| name.starts_with("backup ")),
        "{point}: {names:?}"
    );
    assert!(!names.is_empty(), "{point}: no way back");
    for name in &names {
        let timestamp = name.trim_start_matches("backup ").parse().unwrap();
        let backup = store.get(&timestamp).unwrap();
        store.verify(&backup, &scene.cx).unwrap();
        assert!(
            backup.directory.join("SHA256SUMS").exists(),
            "{point}: {name} has no sums"
        );
    }
    let next = backup(&store, moment(2_000), Knowledge::KnownGood);
    assert_eq!(
        latest(&store.list().unwrap(), None).unwrap().timestamp(),
        next.timestamp(),
        "{point}"
    );
    assert_eq!(
        std::fs::read_to_string(place.backups().join(".latest_backup"))
            .unwrap()
            .trim(),
        next.timestamp().as_str()
    );
    let left: Vec<_> = walkdir::WalkDir::new(place.backups().join(".trash"))
        .min_depth(1)
        .into_iter()
        .flatten()
        .collect();
    assert!(left.is_empty(), "{point}: {left:?}");
}

#[test]
fn fault_a8_killed_at_every_call_of_a_backup_and_a_removal() {
    let killed = kill_everywhere("store::killed::child_backs_up", is_sound, |place| {
        backup(&place.store(), moment(0), Knowledge::KnownGood);
        backup(&place.store(), moment(1), Knowledge::KnownGood);
    });
    assert!(killed > 40, "{killed} points");
}

#[test]
#[ignore = "started by fault_a8"]
fn child_backs_up() {
    let Some(root) = child_directory() else { return };
    let store = Store::open(&root.join("backups"), &root.join("state")).unwrap();
    let draft = store.begin(moment(2)).unwrap();
    let copy = artifact(draft.directory(), "db", "postgres", &[("dump.pgc", b"dump")]);
    let input = ManifestInput {
        artifacts: vec![copy],
        known_good: Knowledge::KnownGood,
        ..ManifestInput::default()
    };
    let sealed = store.seal(&draft, input).unwrap();
    store.mark(sealed.timestamp(), &Knowledge::KnownGood).unwrap();
    store
        .delete(&super::stamp("20251022_153000"), &[], Last::Stays)
        .unwrap();
}

fn acknowledged(root: &Path) -> usize {
    std::fs::read_to_string(root.join("acknowledged")).map_or(0, |text| text.len())
}

#[test]
fn what_append_has_returned_survives_a_kill_at_every_call() {
    let look = |place: &Place, point: &str| {
        let acknowledged = acknowledged(place.root());
        let directory = place.root().join("run");
        if !directory.join(guard::journal::FILE).exists() {
            assert_eq!(acknowledged, 0, "{point}");
            return;
        }
        let (mut journal, records) = Journal::open(&directory).unwrap();
        assert!(
            (acknowledged..=acknowledged + 1).contains(&records.len()),
            "{point}: {} of {acknowledged}",
            records.len()
        );
        let all = facts(&run(), "here");
        assert!(
            records.iter().zip(&all).all(|(record, fact)| &record.fact == fact),
            "{point}"
        );
        for fact in all.into_iter().skip(records.len()) {
            journal.append(fact, moment(9)).unwrap();
        }
        assert_eq!(read(&directory).unwrap().len(), 7, "{point}");
    };
    let killed = kill_everywhere("store::killed::child_journals", look, |_| ());
    assert!(killed > 15, "{killed} points");
}

#[test]
#[ignore = "started by what_append"]
fn child_journals() {
    use std::io::Write;
    let Some(root) = child_directory() else { return };
    let mut journal = Journal::create(&root.join("run")).unwrap();
    let mut acknowledged = std::fs::File::create(root.join("acknowledged")).unwrap();
    for fact in facts(&run(), "here") {
        journal.append(fact, moment(0)).unwrap();
        acknowledged.write_all(b"+").unwrap();
    }
}
