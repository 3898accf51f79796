//! The place of a store: links, other people's directories, and names that lead astray.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use guard::store::{Knowledge, Last, Store, StoreError};

use super::{Place, backup, moment, shown, stamp};

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn refusal(directory: &Path, state: &Path) -> Option<String> {
    match Store::open(directory, state) {
        Ok(_) => None,
        Err(StoreError::Unsafe(reason)) => Some(reason),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn fault_b10_a_linked_or_replaceable_directory_is_refused() {
    let place = Place::new();
    let state = place.state();
    backup(&place.store(), moment(0), Knowledge::KnownGood);
    let link = place.root().join("link");
    symlink(place.backups(), &link).unwrap();
    assert!(refusal(&link, &state).unwrap().contains("symbolic link"));
    let dangling = place.root().join("dangling");
    symlink("/nonexistent/backups", &dangling).unwrap();
    assert!(refusal(&dangling, &state).unwrap().contains("symbolic link"));

    mode(&place.backups(), 0o777);
    assert!(refusal(&place.backups(), &state).unwrap().contains("chmod 0700"));
    mode(&place.backups(), 0o1777);
    assert!(
        refusal(&place.backups(), &state).is_some(),
        "others could plant a backup in a sticky directory"
    );
    mode(&place.backups(), 0o755);
    assert_eq!(refusal(&place.backups(), &state), None);
    assert_eq!(place.store().exposures().unwrap().len(), 1);

    mode(&place.backups(), 0o700);
    let middle = place.root().join("middle");
    std::fs::create_dir(&middle).unwrap();
    mode(&middle, 0o777);
    assert!(
        refusal(&middle.join("backups"), &state)
            .unwrap()
            .contains("leads to it")
    );
    mode(&middle, 0o1777);
    assert_eq!(
        refusal(&middle.join("backups"), &state),
        None,
        "a sticky directory on the way is fine"
    );
}

#[test]
fn fault_m5_hostile_names_are_neither_followed_nor_removed() {
    let place = Place::new();
    let store = place.store();
    let sealed = backup(&store, moment(0), Knowledge::KnownGood);
    let inside = place.backups();
    let victim = place.root().join("victim");
    std::fs::create_dir(&victim).unwrap();
    std::fs::write(victim.join("precious"), "precious").unwrap();
    std::fs::copy(sealed.directory.join("manifest.json"), victim.join("manifest.json")).unwrap();
    symlink(&victim, inside.join("20251022_153001")).unwrap();
    symlink("..", inside.join("20251022_153002")).unwrap();
    std::fs::write(inside.join("20251022_153003"), "a file").unwrap();
    for garbage in [
        "notes",
        "20251022_153000.old",
        "20251022_153000-1",
        "20251399_153000",
        "-rf",
        "new\nline",
        "tmp.draft",
    ] {
        std::fs::create_dir(inside.join(garbage)).unwrap();
        std::fs::write(inside.join(garbage).join(".draft"), "").unwrap();
    }
    let bytes = std::ffi::OsStr::from_bytes(b"\xff\xfe_20251022");
    std::fs::create_dir(inside.join(bytes)).unwrap();
    // A linked manifest, and a linked tag in a directory that is not guard's.
    std::fs::create_dir(inside.join("20251022_153004")).unwrap();
    symlink(
        sealed.directory.join("manifest.json"),
        inside.join("20251022_153004/manifest.json"),
    )
    .unwrap();

    let before: Vec<_> = walkdir::WalkDir::new(place.root())
        .sort_by_file_name()
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .collect();
    let listed = shown(&store.list().unwrap());
    let expected = [
        "backup 20251022_153000",
        "unreadable 20251022_153001",
        "unreadable 20251022_153002",
        "unreadable 20251022_153003",
        "unreadable 20251022_153004",
    ];
    assert_eq!(listed, expected);
    assert!(store.sweep(moment(100_000), &[]).unwrap().is_empty());
    for name in [
        "20251022_153001",
        "20251022_153002",
        "20251022_153003",
        "20251022_153004",
    ] {
        assert!(
            matches!(
                store.delete(&stamp(name), &[], Last::Goes),
                Err(StoreError::NotAuthentic { .. })
            ),
            "{name}"
        );
    }
    assert!("../victim".parse::<guard::model::name::Timestamp>().is_err());
    let after: Vec<_> = walkdir::WalkDir::new(place.root())
        .sort_by_file_name()
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .collect();
    assert_eq!(before, after);
}

#[test]
fn the_key_must_be_private_and_free_space_is_told() {
    let place = Place::new();
    let store = place.store();
    assert!(store.free_bytes().unwrap() > 0);
    mode(&place.state().join("key"), 0o644);
    let error = Store::open(&place.backups(), &place.state()).unwrap_err();
    assert!(
        matches!(error, StoreError::Unfit { .. }) && error.to_string().contains("chmod"),
        "{error}"
    );
}
