//! The file systems below a store: full, refusing, not mounted.

use std::path::Path;
use std::process::Command;

use guard::store::{Knowledge, ManifestInput, Store, StoreError};

use super::{Place, artifact, backup, moment, shown};
use crate::journal::{again, child_directory};

fn open(root: &Path) -> Result<Store, StoreError> {
    Store::open(&root.join("mounted/backups"), &root.join("state"))
}

/// Whether this user may mount here; nothing outside the child's own namespace sees it.
fn may_mount() -> bool {
    let script = "mount -t tmpfs none /mnt";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .output()
        .unwrap();
    if !output.status.success() {
        eprintln!("skipped: mounting is not permitted here");
    }
    output.status.success()
}

/// Runs a child test in a mount namespace of its own, with a small tmpfs at `mounted`.
fn with_tmpfs(options: &str, test: &str, root: &Path) {
    std::fs::create_dir_all(root.join("mounted")).unwrap();
    let script = format!("mount -t tmpfs -o {options} none \"$0\" && exec \"$@\"");
    let mounted = root.join("mounted");
    let words = ["unshare", "--mount", "sh", "-c", &script, mounted.to_str().unwrap()];
    let output = again(&words, test, root);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{output:?}");
}

#[test]
fn a_store_that_can_be_used_is_tried_out_without_a_trace() {
    let place = Place::new();
    let store = place.store();
    let before = walkdir::WalkDir::new(place.root()).into_iter().count();
    store.try_out().unwrap();
    store.try_out().unwrap();
    assert_eq!(walkdir::WalkDir::new(place.root()).into_iter().count(), before);
}

#[test]
fn fault_b9_a_file_system_that_cannot_lock_rename_or_sync_is_told() {
    for (call, error, word) in [
        ("flock", "ENOLCK", "lock"),
        ("fsync", "EIO", "sync"),
        ("rename,renameat,renameat2", "EPERM", "put in its place"),
    ] {
        let place = Place::new();
        drop(place.store());
        std::fs::write(place.root().join("expected"), word).unwrap();
        let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error={error}"));
        let words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
        let output = again(&words, "store::trial::child_tries", place.root());
        assert!(
            output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 passed"),
            "{output:?}"
        );
    }
}

#[test]
#[ignore = "started by fault_b9"]
fn child_tries() {
    let Some(root) = child_directory() else { return };
    let word = std::fs::read_to_string(root.join("expected")).unwrap();
    let error = Store::open(&root.join("backups"), &root.join("state"))
        .unwrap()
        .try_out()
        .unwrap_err()
        .to_string();
    assert!(error.contains(&word) && error.contains("backups"), "{error}");
    assert!(!root.join("backups/.guard-trial").exists());
}

#[test]
fn fault_b1_a_full_file_system_leaves_no_backup() {
    if !may_mount() {
        return;
    }
    let place = Place::new();
    with_tmpfs("size=64k,mode=0700", "store::trial::child_fills", place.root());
}

#[test]
fn fault_b3_a_file_system_without_inodes_leaves_no_backup() {
    if !may_mount() {
        return;
    }
    let place = Place::new();
    with_tmpfs("nr_inodes=14,mode=0700", "store::trial::child_fills", place.root());
}

#[test]
#[ignore = "started by fault_b1 and fault_b3"]
fn child_fills() {
    let Some(root) = child_directory() else { return };
    let store = open(&root).unwrap();
    let draft = store.begin(moment(0)).unwrap();
    let slot = guard::resources::Slot::new(draft.directory(), &"db".parse().unwrap());
    let error = (0..100)
        .find_map(|count| slot.keep_bytes(&[7; 3000], &format!("part{count}")).err())
        .expect("a limit that is met");
    let text = guard::model::fact::Failure::from_error(&error).sentence();
    assert!(text.contains("No space left"), "{text}");
    let input = ManifestInput {
        known_good: Knowledge::KnownGood,
        ..ManifestInput::default()
    };
    assert!(
        store.seal(&draft, input).is_err(),
        "there is no room for a manifest either"
    );
    assert_eq!(shown(&store.list().unwrap()), ["incomplete 20251022_153000"]);
    store.sweep(moment(10), &[]).unwrap();
    backup(&store, moment(20), Knowledge::KnownGood);
    assert_eq!(shown(&store.list().unwrap()), ["backup 20251022_153020"]);
}

#[test]
fn fault_b12_a_file_system_that_is_not_mounted_any_more_is_missed() {
    if !may_mount() {
        return;
    }
    let place = Place::new();
    with_tmpfs("mode=0700", "store::trial::child_backs_up", place.root());
    let error = open(place.root()).unwrap_err();
    assert!(
        matches!(error, StoreError::Unsafe(_)) && error.to_string().contains("mounted at"),
        "{error}"
    );
    with_tmpfs("mode=0700", "store::trial::child_backs_up", place.root());
    assert!(
        Store::open(&place.backups(), &place.state()).is_ok(),
        "another directory is another matter"
    );
}

#[test]
#[ignore = "started by fault_b12"]
fn child_backs_up() {
    let Some(root) = child_directory() else { return };
    let store = open(&root).unwrap();
    let draft = store.begin(moment(0)).unwrap();
    let copy = artifact(draft.directory(), "db", "postgres", &[("dump.pgc", b"dump")]);
    store
        .seal(
            &draft,
            ManifestInput {
                artifacts: vec![copy],
                ..ManifestInput::default()
            },
        )
        .unwrap();
}
