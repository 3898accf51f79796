//! Making a backup: its name, its sums, its manifest last, what older scripts read, which one is chosen.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use guard::model::fingerprint::Fingerprint;
use guard::store::{Knowledge, Last, ManifestInput, StoreError, newest};

use super::{Place, artifact, backup, latest, moment, previous, shown, stamp};

#[test]
fn a_backup_exists_from_its_manifest_on() {
    let place = Place::new();
    let store = place.store();
    let draft = store.begin(moment(0)).unwrap();
    assert_eq!(draft.timestamp().as_str(), "20251022_153000");
    assert_eq!(shown(&store.list().unwrap()), ["incomplete 20251022_153000"]);
    let copy = artifact(draft.directory(), "db", "postgres", &[("dump.pgc", b"dump")]);
    assert!(matches!(
        store.get(draft.timestamp()),
        Err(StoreError::NoManifest { .. })
    ));
    let input = ManifestInput {
        artifacts: vec![copy.clone()],
        command: vec!["./deploy".to_owned()],
        ..ManifestInput::default()
    };
    let sealed = store.seal(&draft, input.clone()).unwrap();
    assert_eq!(sealed.directory, draft.directory());
    assert_eq!(shown(&store.list().unwrap()), ["backup 20251022_153000"]);
    let read = place.store().get(draft.timestamp()).unwrap();
    assert_eq!(read, sealed);
    assert_eq!(
        (read.manifest.generation, &read.manifest.artifacts[..]),
        (1, &[copy][..])
    );
    let bytes = std::fs::read(draft.directory().join("manifest.json")).unwrap();
    let again = store
        .seal(
            &draft,
            ManifestInput {
                artifacts: Vec::new(),
                ..input
            },
        )
        .unwrap();
    assert_eq!(again, sealed, "a second sealing changes nothing");
    assert_eq!(std::fs::read(draft.directory().join("manifest.json")).unwrap(), bytes);
    let text = String::from_utf8(bytes).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["schema_version"], 1);
    assert_eq!(value["manifest"]["known_good"], "unknown");
    assert_eq!(value["manifest"]["artifacts"][0]["files"][0]["bytes"], 4);
}

#[test]
fn fault_c5_backups_of_one_second_get_names_of_their_own() {
    let place = Place::new();
    let store = place.store();
    let names: Vec<String> = (0..11)
        .map(|_| backup(&store, moment(0), Knowledge::KnownGood).timestamp().to_string())
        .collect();
    assert_eq!(
        (names[0].as_str(), names[1].as_str(), names[10].as_str()),
        ("20251022_153000", "20251022_153000-2", "20251022_153000-11")
    );
    // The names alone would sort -11 before -2.
    let listed = store.list().unwrap();
    assert_eq!(shown(&listed)[0], "backup 20251022_153000-11");
    assert_eq!(
        latest(&listed, None).unwrap().timestamp().as_str(),
        "20251022_153000-11"
    );
}

#[test]
fn fault_b15_sha256sum_checks_the_sums_whatever_the_names() {
    let place = Place::new();
    let store = place.store();
    let draft = store.begin(moment(0)).unwrap();
    let names = [
        "plain",
        "-rf",
        "two words",
        "line\nend",
        "back\\slash",
        "return\r",
        "*star",
        "\u{e9}\u{1f600}",
        "\\n",
    ];
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, name.as_bytes())).collect();
    let input = ManifestInput {
        artifacts: vec![artifact(draft.directory(), "odd", "files", &files)],
        ..ManifestInput::default()
    };
    let sealed = store.seal(&draft, input).unwrap();
    let check = || {
        Command::new("sha256sum")
            .args(["--strict", "-c", "SHA256SUMS"])
            .current_dir(&sealed.directory)
            .output()
            .unwrap()
    };
    let output = check();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).matches(": OK").count(),
        names.len()
    );
    std::fs::write(sealed.directory.join("odd/line\nend"), "other").unwrap();
    assert!(!check().status.success());
    assert_eq!(store.get(sealed.timestamp()).unwrap(), sealed);
}

#[test]
fn what_is_not_there_cannot_be_sealed() {
    let place = Place::new();
    let store = place.store();
    let draft = store.begin(moment(0)).unwrap();
    let copy = artifact(draft.directory(), "db", "postgres", &[("dump.pgc", b"dump")]);
    let mut outside = copy.clone();
    outside.files[0].path = "../../state/key".to_owned();
    let mut shorter = copy.clone();
    shorter.files[0].bytes = 5;
    for wrong in [outside, shorter] {
        let input = ManifestInput {
            artifacts: vec![wrong],
            ..ManifestInput::default()
        };
        assert!(matches!(store.seal(&draft, input), Err(StoreError::Incomplete { .. })));
    }
    std::fs::remove_file(draft.directory().join("db/dump.pgc")).unwrap();
    let input = ManifestInput {
        artifacts: vec![copy],
        ..ManifestInput::default()
    };
    assert!(matches!(store.seal(&draft, input), Err(StoreError::Incomplete { .. })));
    assert!(matches!(
        store.get(draft.timestamp()),
        Err(StoreError::NoManifest { .. })
    ));
}

#[test]
fn older_scripts_find_the_newest_backup() {
    let place = Place::new();
    let store = place.store();
    backup(&store, moment(0), Knowledge::KnownGood);
    let draft = store.begin(moment(1)).unwrap();
    let mut code = artifact(draft.directory(), "code", "git", &[("head", b"c0ffee")]);
    // What HEAD stood on stands in the fingerprint; the details name the commit by which guard holds the files.
    code.fingerprint = Fingerprint::default()
        .with("commit", "c0ffee1")
        .with("branch", "refs/heads/feature/it's");
    let database = artifact(
        draft.directory(),
        "db",
        "postgres",
        &[("roles", b"r"), ("dump.pgc", b"a dump")],
    );
    let objects = artifact(
        draft.directory(),
        "objects",
        "volume",
        &[("volume.tar.zst", b"archive")],
    );
    let input = ManifestInput {
        artifacts: vec![code, database, objects],
        ..ManifestInput::default()
    };
    let sealed = store.seal(&draft, input).unwrap();
    assert_eq!(
        std::fs::read_to_string(place.backups().join(".latest_backup")).unwrap(),
        "20251022_153001\n"
    );
    let script = r#". "$1" && printf '%s|' "$DEPLOYMENT_TIMESTAMP" "$BACKUP_DIR" "$DB_BACKUP_FILE" "$MINIO_BACKUP_FILE" "$GIT_COMMIT" "$GIT_BRANCH""#;
    let marker = place.backups().join(".last-deployment-backup");
    let output = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(&marker)
        .output()
        .unwrap();
    let directory = sealed.directory.display();
    let expected = format!(
        "20251022_153001|{directory}|{directory}/db/dump.pgc|{directory}/objects/volume.tar.zst|c0ffee1|feature/it's|"
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    assert_eq!(
        sealed.manifest.git.as_ref().unwrap().branch.as_deref(),
        Some("feature/it's")
    );
}

#[test]
fn fault_c1_the_order_is_that_of_making_whatever_the_clock_says() {
    let place = Place::new();
    let store = place.store();
    let year = 365 * 86_400;
    let first = backup(&store, moment(0), Knowledge::KnownGood);
    let second = backup(&store, moment(-year), Knowledge::KnownGood);
    let listed = store.list().unwrap();
    assert_eq!(newest(&listed).unwrap().timestamp(), second.timestamp());
    assert_eq!(previous(&listed, None).unwrap().timestamp(), first.timestamp());
    store.delete(second.timestamp(), &[], Last::Stays).unwrap();
    let third = backup(&store, moment(-2 * year), Knowledge::KnownGood);
    assert_eq!(third.manifest.generation, 3, "a generation is never given twice");
    assert_eq!(
        latest(&store.list().unwrap(), None).unwrap().timestamp(),
        third.timestamp()
    );
}

#[test]
fn fault_l18_latest_is_the_newest_known_good_one_of_the_target() {
    let place = Place::new();
    let store = place.store();
    let good = backup(&store, moment(0), Knowledge::KnownGood);
    let better = backup(&store, moment(1), Knowledge::KnownGood);
    backup(&store, moment(2), Knowledge::Tainted("probes failed".to_owned()));
    backup(&store, moment(3), Knowledge::Unknown);
    store.begin(moment(4)).unwrap();
    let listed = store.list().unwrap();
    assert_eq!(latest(&listed, None).unwrap().timestamp(), better.timestamp());
    assert_eq!(previous(&listed, None).unwrap().timestamp(), good.timestamp());
    // What is learnt later counts, and the manifest stays as it is.
    let manifest = std::fs::read(better.directory.join("manifest.json")).unwrap();
    store
        .mark(better.timestamp(), &Knowledge::Tainted("the watch failed".to_owned()))
        .unwrap();
    assert_eq!(
        latest(&store.list().unwrap(), None).unwrap().timestamp(),
        good.timestamp()
    );
    store.mark(&stamp("20251022_153003"), &Knowledge::KnownGood).unwrap();
    assert_eq!(
        latest(&store.list().unwrap(), None).unwrap().timestamp().as_str(),
        "20251022_153003"
    );
    assert_eq!(std::fs::read(better.directory.join("manifest.json")).unwrap(), manifest);
    let draft = store.begin(moment(5)).unwrap();
    let input = ManifestInput {
        known_good: Knowledge::KnownGood,
        target: Some("other".to_owned()),
        ..ManifestInput::default()
    };
    store.seal(&draft, input).unwrap();
    let listed = store.list().unwrap();
    assert_eq!(
        latest(&listed, Some("this")).unwrap().timestamp().as_str(),
        "20251022_153003"
    );
    assert_eq!(
        latest(&listed, Some("other")).unwrap().timestamp().as_str(),
        "20251022_153005"
    );
}

#[test]
fn fault_m6_everything_is_private_whatever_a_tool_left_open() {
    let place = Place::new();
    let store = place.store();
    let draft = store.begin(moment(0)).unwrap();
    let copy = artifact(draft.directory(), "db", "postgres", &[("dump.pgc", b"dump")]);
    let file = draft.directory().join("db/dump.pgc");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::set_permissions(draft.directory().join("db"), std::fs::Permissions::from_mode(0o777)).unwrap();
    store
        .seal(
            &draft,
            ManifestInput {
                artifacts: vec![copy],
                ..ManifestInput::default()
            },
        )
        .unwrap();
    for entry in walkdir::WalkDir::new(place.root()).min_depth(1) {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(
            mode,
            if entry.file_type().is_dir() { 0o700 } else { 0o600 },
            "{}",
            entry.path().display()
        );
    }
    assert!(store.exposures().unwrap().is_empty());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(store.exposures().unwrap().len(), 1);
}
