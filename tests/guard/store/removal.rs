//! Removing: whole or not at all, never the last way back, and what cut-off runs left.

use guard::store::{Knowledge, StoreError};

use super::{Place, backup, moment, shown};

#[test]
fn the_last_known_good_backup_and_a_pinned_one_stay() {
    let place = Place::new();
    let store = place.store();
    let one = backup(&store, moment(0), Knowledge::KnownGood);
    let other = backup(&store, moment(1), Knowledge::KnownGood);
    let tainted = backup(&store, moment(2), Knowledge::Tainted("bad".to_owned()));
    let pins = [other.timestamp().clone()];
    assert!(matches!(
        store.delete(other.timestamp(), &pins, true),
        Err(StoreError::Pinned { .. })
    ));
    store.delete(one.timestamp(), &pins, false).unwrap();
    assert!(matches!(
        store.delete(one.timestamp(), &[], false),
        Err(StoreError::NotFound { .. })
    ));
    assert!(matches!(
        store.delete(other.timestamp(), &[], false),
        Err(StoreError::LastKnownGood { .. })
    ));
    assert!(other.directory.join("db/dump.pgc").exists());
    store.delete(tainted.timestamp(), &[], false).unwrap();
    let marker = place.backups().join(".latest_backup");
    assert_eq!(
        std::fs::read_to_string(&marker).unwrap(),
        "20251022_153001\n",
        "older scripts are not sent to what is gone"
    );
    store.delete(other.timestamp(), &[], true).unwrap();
    assert!(store.list().unwrap().is_empty());
    assert!(!marker.exists() && !place.backups().join(".last-deployment-backup").exists());
}

#[test]
fn fault_a2_what_a_cut_off_backup_left_is_swept() {
    let place = Place::new();
    let store = place.store();
    let kept = backup(&store, moment(0), Knowledge::KnownGood);
    let cut = store.begin(moment(1)).unwrap();
    super::artifact(cut.directory(), "db", "postgres", &[("dump.pgc", b"half a du")]);
    let pinned = store.begin(moment(2)).unwrap();
    let at_work = store.begin(moment(50)).unwrap();
    // Cut off between the directory and its tag.
    std::fs::create_dir(place.backups().join("20251022_153003")).unwrap();
    std::fs::write(place.backups().join("20251022_153003/.guard-x1.tmp"), "").unwrap();
    // Somebody's own copy under such a name.
    std::fs::create_dir(place.backups().join("20251022_153004")).unwrap();
    std::fs::write(place.backups().join("20251022_153004/photos.tar"), "mine").unwrap();
    let pins = [pinned.timestamp().clone()];
    let swept: Vec<String> = store
        .sweep(moment(50), &pins)
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(swept, ["20251022_153001", "20251022_153003"]);
    assert!(pinned.directory().exists() && at_work.directory().exists() && kept.directory.exists());
    assert!(place.backups().join("20251022_153004/photos.tar").exists());
    assert!(store.sweep(moment(50), &pins).unwrap().is_empty());
}

#[test]
fn fault_a8_a_removal_that_was_cut_off_is_finished() {
    let place = Place::new();
    let store = place.store();
    backup(&store, moment(0), Knowledge::KnownGood);
    let gone = backup(&store, moment(1), Knowledge::KnownGood);
    // As a kill leaves it between the rename and the unlinking.
    let trash = place.backups().join(".trash");
    std::fs::rename(&gone.directory, trash.join("20251022_153001")).unwrap();
    std::fs::remove_file(trash.join("20251022_153001/db/dump.pgc")).unwrap();
    assert_eq!(shown(&store.list().unwrap()), ["backup 20251022_153000"]);
    store.sweep(moment(10), &[]).unwrap();
    assert_eq!(std::fs::read_dir(&trash).unwrap().count(), 0);
}
