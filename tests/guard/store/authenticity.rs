//! Only what this installation made, whole and in its place, is believed.

use guard::store::{Fault, Knowledge, Last, Listed, StoreError};

use super::{Place, backup, moment, shown};
use crate::support::Scene;

fn refused(error: &StoreError) -> bool {
    matches!(error, StoreError::NotAuthentic { .. } | StoreError::Newer { .. })
}

#[test]
fn fault_l8_no_changed_byte_of_a_manifest_is_believed() {
    let place = Place::new();
    let store = place.store();
    let sealed = backup(&store, moment(0), Knowledge::KnownGood);
    let path = sealed.directory.join("manifest.json");
    let bytes = std::fs::read(&path).unwrap();
    let mut count = 0;
    for at in 0..bytes.len() {
        for changed in [
            bytes[at] ^ 1,
            bytes[at] ^ 2,
            bytes[at] ^ 32,
            bytes[at] ^ 128,
            0,
            b' ',
            b'9',
        ] {
            if changed == bytes[at] {
                continue;
            }
            let mut damaged = bytes.clone();
            damaged[at] = changed;
            std::fs::write(&path, &damaged).unwrap();
            let error = store.get(sealed.timestamp()).expect_err("a changed manifest");
            assert!(refused(&error), "byte {at} -> {changed}: {error}");
            count += 1;
        }
    }
    assert!(count > 5000);
    for length in 0..bytes.len() {
        std::fs::write(&path, &bytes[..length]).unwrap();
        assert!(refused(&store.get(sealed.timestamp()).expect_err("a cut manifest")));
    }
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(store.get(sealed.timestamp()).unwrap(), sealed);
}

#[test]
fn fault_l8_manifests_and_artifacts_of_two_backups_cannot_be_swapped() {
    let place = Place::new();
    let scene = Scene::new();
    let store = place.store();
    let one = backup(&store, moment(0), Knowledge::KnownGood);
    let other = backup(&store, moment(1), Knowledge::KnownGood);
    let third = backup(&store, moment(2), Knowledge::KnownGood);
    std::fs::copy(one.directory.join("db/dump.pgc"), other.directory.join("db/dump.pgc")).unwrap();
    match store
        .verify(&store.get(other.timestamp()).unwrap(), &scene.cx)
        .unwrap_err()
    {
        StoreError::Damaged {
            file,
            fault: Fault::Contents,
            newest_good,
            ..
        } => {
            assert_eq!(
                (file.as_str(), newest_good.as_ref()),
                ("db/dump.pgc", Some(third.timestamp()))
            );
        }
        error => panic!("{error}"),
    }
    std::fs::copy(
        one.directory.join("manifest.json"),
        other.directory.join("manifest.json"),
    )
    .unwrap();
    assert!(matches!(
        store.get(other.timestamp()),
        Err(StoreError::NotAuthentic { .. })
    ));
    store
        .mark(one.timestamp(), &Knowledge::Tainted("bad".to_owned()))
        .unwrap();
    std::fs::copy(one.directory.join("verdict.json"), third.directory.join("verdict.json")).unwrap();
    assert!(matches!(
        store.get(third.timestamp()),
        Err(StoreError::NotAuthentic { .. })
    ));
}

#[test]
fn fault_b13_a_damaged_file_is_named_with_the_newest_sound_backup() {
    let place = Place::new();
    let scene = Scene::new();
    let store = place.store();
    let oldest = backup(&store, moment(0), Knowledge::KnownGood);
    let damaged_too = backup(&store, moment(1), Knowledge::KnownGood);
    let sealed = backup(&store, moment(2), Knowledge::KnownGood);
    backup(&store, moment(3), Knowledge::Tainted("probes failed".to_owned()));
    std::fs::remove_file(damaged_too.directory.join("objects/volume.tar.zst")).unwrap();
    let verified = store.verify(&sealed, &scene.cx).unwrap();
    assert_eq!((verified.files, verified.bytes), (3, sealed.manifest.bytes()));
    let path = sealed.directory.join("db/dump.pgc");
    let bytes = std::fs::read(&path).unwrap();
    let mut faults = Vec::new();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&path, flipped).unwrap();
        faults.push((store.verify(&sealed, &scene.cx).unwrap_err(), Fault::Contents));
    }
    let length = bytes.len() as u64;
    std::fs::write(&path, &bytes[..4]).unwrap();
    faults.push((
        store.verify(&sealed, &scene.cx).unwrap_err(),
        Fault::Length {
            found: 4,
            listed: length,
        },
    ));
    std::fs::write(&path, [&bytes[..], b"!"].concat()).unwrap();
    faults.push((
        store.verify(&sealed, &scene.cx).unwrap_err(),
        Fault::Length {
            found: length + 1,
            listed: length,
        },
    ));
    std::fs::remove_file(&path).unwrap();
    faults.push((store.verify(&sealed, &scene.cx).unwrap_err(), Fault::Missing));
    // The same bytes, by a link: whoever can place one can change what it leads to.
    std::fs::write(place.root().join("elsewhere"), &bytes).unwrap();
    std::os::unix::fs::symlink(place.root().join("elsewhere"), &path).unwrap();
    faults.push((store.verify(&sealed, &scene.cx).unwrap_err(), Fault::NotPlain));
    for (error, expected) in faults {
        let text = error.to_string();
        assert!(
            text.contains("db/dump.pgc") && text.contains(oldest.timestamp().as_str()),
            "{text}"
        );
        match error {
            StoreError::Damaged { fault, newest_good, .. } => {
                assert_eq!((fault, newest_good.as_ref()), (expected, Some(oldest.timestamp())));
            }
            error => panic!("{error}"),
        }
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    store.verify(&sealed, &scene.cx).unwrap();
    std::fs::rename(sealed.directory.join("db"), place.root().join("db")).unwrap();
    std::os::unix::fs::symlink(place.root().join("db"), sealed.directory.join("db")).unwrap();
    assert!(matches!(
        store.verify(&sealed, &scene.cx),
        Err(StoreError::Damaged {
            fault: Fault::NotPlain,
            ..
        })
    ));
}

#[test]
fn fault_b14_a_shorter_file_with_sums_to_match_is_refused() {
    let place = Place::new();
    let scene = Scene::new();
    let store = place.store();
    let sealed = backup(&store, moment(0), Knowledge::KnownGood);
    let path = sealed.directory.join("objects/volume.tar.zst");
    let bytes = std::fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let listed = format!(
            "{}  objects/volume.tar.zst\n",
            guard::system::disk::sha256_hex(&bytes[..length])
        );
        std::fs::write(sealed.directory.join("SHA256SUMS"), listed).unwrap();
        let error = store
            .verify(&store.get(sealed.timestamp()).unwrap(), &scene.cx)
            .unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::Damaged {
                    fault: Fault::Length { .. },
                    newest_good: None,
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn fault_l7_a_directory_without_its_manifest_is_no_backup() {
    let place = Place::new();
    let store = place.store();
    let sealed = backup(&store, moment(0), Knowledge::KnownGood);
    std::fs::remove_file(sealed.directory.join("manifest.json")).unwrap();
    assert!(matches!(
        store.get(sealed.timestamp()),
        Err(StoreError::NoManifest { .. })
    ));
    assert_eq!(shown(&store.list().unwrap()), ["unreadable 20251022_153000"]);
    // It was whole once, so what it holds is not swept away.
    assert!(store.sweep(moment(100), &[]).unwrap().is_empty());
    assert!(sealed.directory.join("db/dump.pgc").exists());
}

#[test]
fn a_manifest_of_a_newer_guard_is_refused_by_its_schema() {
    let place = Place::new();
    let store = place.store();
    let sealed = backup(&store, moment(0), Knowledge::KnownGood);
    std::fs::write(
        sealed.directory.join("manifest.json"),
        r#"{"schema_version":4,"sealed":"otherwise"}"#,
    )
    .unwrap();
    let error = store.get(sealed.timestamp()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 4, ours: 2, .. }), "{error}");
}

#[test]
fn without_the_key_nothing_is_believed_and_the_reason_is_told() {
    let place = Place::new();
    let sealed = backup(&place.store(), moment(0), Knowledge::KnownGood);
    let key = std::fs::read(place.state().join("key")).unwrap();
    assert_eq!(key.len(), 32);
    std::fs::remove_file(place.state().join("key")).unwrap();
    let store = place.store();
    let error = store.get(sealed.timestamp()).unwrap_err().to_string();
    assert!(error.contains("another machine") && error.contains("lost"), "{error}");
    assert!(matches!(&store.list().unwrap()[..], [Listed::Unreadable { .. }]));
    assert!(
        store.delete(sealed.timestamp(), &[], Last::Goes).is_err(),
        "what cannot be read is not removed"
    );
    assert_ne!(std::fs::read(place.state().join("key")).unwrap(), key);
    std::fs::write(place.state().join("key"), &key).unwrap();
    assert_eq!(place.store().get(sealed.timestamp()).unwrap(), sealed);
    std::fs::write(place.state().join("key"), &key[..31]).unwrap();
    let opened = guard::store::Store::open(&place.backups(), &place.state());
    assert!(matches!(opened, Err(StoreError::Unfit { .. })));
}

#[test]
fn fault_l9_a_hidden_newest_backup_is_missed() {
    let place = Place::new();
    let store = place.store();
    backup(&store, moment(0), Knowledge::KnownGood);
    let newest = backup(&store, moment(1), Knowledge::KnownGood);
    assert_eq!(store.missing_newest().unwrap(), None);
    std::fs::rename(&newest.directory, place.root().join("hidden")).unwrap();
    assert_eq!(store.missing_newest().unwrap().as_ref(), Some(newest.timestamp()));
    std::fs::rename(place.root().join("hidden"), &newest.directory).unwrap();
    store.delete(newest.timestamp(), &[], Last::Stays).unwrap();
    assert_eq!(store.missing_newest().unwrap(), None, "guard's own removal is no gap");
}
