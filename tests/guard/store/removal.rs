//! Removing: whole or not at all, never the last way back, and what cut-off runs left.

use guard::store::{Knowledge, Last, ManifestInput, StoreError};

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
        store.delete(other.timestamp(), &pins, Last::Goes),
        Err(StoreError::Pinned { .. })
    ));
    store.delete(one.timestamp(), &pins, Last::Stays).unwrap();
    assert!(matches!(
        store.delete(one.timestamp(), &[], Last::Stays),
        Err(StoreError::NotFound { .. })
    ));
    assert!(matches!(
        store.delete(other.timestamp(), &[], Last::Stays),
        Err(StoreError::LastKnownGood { .. })
    ));
    assert!(other.directory.join("db/dump.pgc").exists());
    store.delete(tainted.timestamp(), &[], Last::Stays).unwrap();
    let marker = place.backups().join(".latest_backup");
    assert_eq!(
        std::fs::read_to_string(&marker).unwrap(),
        "20251022_153001\n",
        "older scripts are not sent to what is gone"
    );
    store.delete(other.timestamp(), &[], Last::Goes).unwrap();
    assert!(store.list().unwrap().is_empty());
    assert!(!marker.exists() && !place.backups().join(".last-deployment-backup").exists());
}

#[test]
fn the_only_backup_of_something_stays_also_where_nobody_judges() {
    let place = Place::new();
    let store = place.store();
    let full = backup(&store, moment(0), Knowledge::Unknown);
    let draft = store.begin(moment(1)).unwrap();
    let config = super::artifact(
        draft.directory(),
        "objects",
        "volume",
        &[("volume.tar.zst", b"archive")],
    );
    let partial = ManifestInput {
        artifacts: vec![config],
        ..ManifestInput::default()
    };
    let partial = store.seal(&draft, partial).unwrap();
    match store.delete(full.timestamp(), &[], Last::Stays) {
        Err(StoreError::OnlyOne { of, .. }) => assert_eq!(of, ["db"]),
        other => panic!("{other:?}"),
    }
    store.delete(partial.timestamp(), &[], Last::Stays).unwrap();
    // One that is known to be good is no less worth for being of another environment.
    let draft = store.begin(moment(2)).unwrap();
    let staging = ManifestInput {
        artifacts: vec![super::artifact(
            draft.directory(),
            "db",
            "postgres",
            &[("dump.pgc", b"dump")],
        )],
        known_good: Knowledge::KnownGood,
        environment: Some("staging".to_owned()),
        ..ManifestInput::default()
    };
    let staging = store.seal(&draft, staging).unwrap();
    for backup in [&full, &staging] {
        assert!(store.delete(backup.timestamp(), &[], Last::Stays).is_err());
        store.delete(backup.timestamp(), &[], Last::Goes).unwrap();
    }
}

#[test]
fn the_markers_keep_to_their_environment() {
    let place = Place::new();
    let store = place.store();
    let take = |second, environment: Option<&str>| {
        let draft = store.begin(moment(second)).unwrap();
        let input = ManifestInput {
            environment: environment.map(str::to_owned),
            ..ManifestInput::default()
        };
        store.seal(&draft, input).unwrap()
    };
    let told = |name: &str| std::fs::read_to_string(place.backups().join(name)).ok();
    take(0, Some("production"));
    let staging = take(1, Some("staging"));
    assert_eq!(told(".latest_backup").as_deref(), Some("20251022_153000\n"));
    assert_eq!(told(".latest_backup-staging").as_deref(), Some("20251022_153001\n"));
    assert!(told(".last-deployment-backup").unwrap().contains("20251022_153000"));
    let newest = take(2, Some("production"));
    assert_eq!(told(".latest_backup").as_deref(), Some("20251022_153002\n"));
    store.delete(newest.timestamp(), &[], Last::Goes).unwrap();
    assert_eq!(
        told(".latest_backup").as_deref(),
        Some("20251022_153000\n"),
        "not to staging's newer one"
    );
    store.delete(staging.timestamp(), &[], Last::Goes).unwrap();
    assert_eq!(told(".latest_backup-staging"), None);
    assert_eq!(told(".latest_backup").as_deref(), Some("20251022_153000\n"));
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
