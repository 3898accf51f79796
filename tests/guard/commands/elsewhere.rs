//! Copies in a real S3 server: made after each run, complete without the host that made them, never a reason to fail.

use std::path::{Path, PathBuf};

use crate::support::embedded::{Embedded, until};
use crate::support::program::Program;
use crate::support::slow::SlowWay;
use crate::support::storage::{SECRET, Storage, WHO};

/// The bucket of the copies.
const BUCKET: &str = "copies";

/// A server with an empty bucket for copies.
pub fn storage() -> Storage {
    Storage::with(BUCKET)
}

/// The places of installations.
pub fn places(storage: &Storage) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(storage.bucket(BUCKET).join("shop"))
        .into_iter()
        .flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The objects of this kind, `files` or `backups`, sorted.
pub fn objects(storage: &Storage, kind: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = places(storage).iter().map(|place| place.join(kind)).collect();
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Copies to the server, or to what stands before it, at this port.
pub fn settings(port: u16) -> String {
    format!("[copy]\nurl = \"s3://copies/shop\"\nendpoint = \"http://127.0.0.1:{port}\"\n")
}

pub fn known(program: Program) -> Program {
    program
        .env("AWS_ACCESS_KEY_ID", WHO)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
}

/// guard on another machine: the project's directory, and a state that knows nothing.
pub fn elsewhere(project: &Embedded, state: &Path) -> Program {
    known(Program::new(&project.directory(), state))
}

#[test]
fn a_backup_outlives_its_host() {
    let storage = storage();
    let project = Embedded::and(&settings(storage.port()));
    let before = project.everything();
    let ran = known(project.guard())
        .run(&["deploy", "--", "./deploy.sh", "all"])
        .expect(0);
    let ran = ran.says("is copied elsewhere");
    assert!(!ran.everything().contains(SECRET));
    let backup = project.backups().remove(0);
    let count = objects(&storage, "files").len();
    known(project.guard())
        .run(&["backup"])
        .expect(0)
        .says("is copied elsewhere");
    assert!(
        objects(&storage, "files").len() < count * 2,
        "what was there was not sent again"
    );
    known(project.guard())
        .run(&["copy"])
        .expect(0)
        .says("every backup is copied");
    known(project.guard())
        .run(&["copy", &backup])
        .expect(0)
        .says("nothing had to be sent");

    let key = project.state().join("key");
    let fresh = project.root().join("fresh");
    std::fs::create_dir(&fresh).unwrap();
    let guard = elsewhere(&project, &fresh);
    let listed = guard.run(&["fetch"]).expect(0).stdout;
    assert!(
        listed.contains("no backups of this installation") && listed.contains("bring the file `key`"),
        "{listed}"
    );
    guard.run(&["fetch", &backup]).expect(40).says("bring the file `key`");
    std::fs::copy(&key, fresh.join("key")).unwrap();
    let listed = guard.run(&["fetch"]).expect(0).stdout;
    assert_eq!(listed.lines().count(), 2, "{listed}");
    guard.run(&["fetch", &backup]).expect(0).says("is here, whole");
    guard.run(&["fetch", &backup]).expect(40).says("here already");
    guard.run(&["verify", &backup]).expect(0);
    guard
        .run(&["fetch", "20200101_000000"])
        .expect(40)
        .says("no such backup");
    // What is in the repository itself cannot come from elsewhere.
    let words = [
        "rollback",
        "--yes",
        "--backup-timestamp",
        &backup,
        "--only",
        "db,objects,config",
    ];
    guard.run(&words).expect(0);
    let after = project.everything();
    for part in ["rows", "objects", "config"] {
        assert_eq!(after[part], before[part]);
    }
}

#[test]
fn many_files_are_copied_and_fetched_side_by_side() {
    let storage = storage();
    let way = SlowWay::to(storage.port());
    let directory = tempfile::tempdir().unwrap();
    let mut resources = settings(way.port());
    for number in 0..24 {
        let place = directory.path().join(number.to_string());
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join("file"), format!("file {number}")).unwrap();
        let place = place.display();
        resources = format!("{resources}[resources.of{number}]\nkind = \"volume\"\npath = \"{place}\"\n");
    }
    let project = Embedded::and(&resources);
    // A storage that asks for less is heard, also at the end of a run, where nothing is waited for long.
    way.bear(8);
    known(project.guard())
        .run(&["backup"])
        .expect(0)
        .says("is copied elsewhere");
    let (most, refused) = (way.most(), way.refused());
    assert!(
        (16..=48).contains(&most) && refused > 0,
        "{most} at once, {refused} refused"
    );
    let backup = project.backups().remove(0);
    let fresh = project.root().join("fresh");
    std::fs::create_dir(&fresh).unwrap();
    std::fs::copy(project.state().join("key"), fresh.join("key")).unwrap();
    let guard = elsewhere(&project, &fresh);
    guard.run(&["fetch", &backup]).expect(0).says("is here, whole");
    let (most, refused) = (way.most(), way.refused());
    assert!(
        (16..=48).contains(&most) && refused > 0,
        "{most} at once, {refused} refused"
    );
    guard.run(&["verify", &backup]).expect(0);
    // What is damaged on the way is named, whichever of many it is.
    for path in objects(&storage, "files").iter().skip(30).take(1) {
        let mut content = std::fs::read(path).unwrap();
        content[0] ^= 1;
        std::fs::write(path, content).unwrap();
    }
    let other = project.root().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::copy(project.state().join("key"), other.join("key")).unwrap();
    way.bear(0);
    elsewhere(&project, &other)
        .run(&["fetch", &backup])
        .expect(40)
        .says("its SHA-256 is not the manifest's");
}

#[test]
fn two_installations_with_one_prefix_never_meet() {
    let storage = storage();
    let (one, other) = (
        Embedded::and(&settings(storage.port())),
        Embedded::and(&settings(storage.port())),
    );
    for project in [&one, &other] {
        known(project.guard())
            .run(&["backup"])
            .expect(0)
            .says("is copied elsewhere");
    }
    let places = places(&storage);
    assert_eq!(places.len(), 2, "{places:?}");
    for place in places {
        let about = std::fs::read_to_string(place.join("about.json")).unwrap();
        assert!(about.contains(place.file_name().unwrap().to_str().unwrap()), "{about}");
    }
    let listed = known(one.guard()).run(&["fetch"]).expect(0).stdout;
    assert_eq!(listed.trim(), one.backups()[0]);
}

#[test]
fn a_storage_that_is_down_or_refuses_fails_no_deployment() {
    let mut storage = storage();
    let project = Embedded::and(&settings(storage.port()));
    storage.down();
    let ran = known(project.guard())
        .run(&["deploy", "--", "./deploy.sh", "all"])
        .expect(0);
    ran.says("is only on this host").says("guard copy");
    known(project.guard()).run(&["copy"]).expect(10).says("guard copy");
    project.guard().run(&["copy"]).expect(10).says("AWS_ACCESS_KEY_ID");
    storage.up();
    let stranger = project
        .guard()
        .env("AWS_ACCESS_KEY_ID", WHO)
        .env("AWS_SECRET_ACCESS_KEY", "canary-of-a-stranger");
    let ran = stranger.run(&["copy"]).expect(10);
    assert!(!ran.everything().contains("canary-of-a-stranger"));
    assert!(objects(&storage, "backups").is_empty());
    known(project.guard()).run(&["copy"]).expect(0).says("copied");
    assert!(!objects(&storage, "backups").is_empty());
    let other = Embedded::and("[copy]\ncommands = [\"false\"]\n");
    other.guard().run(&["backup"]).expect(0).says("is only on this host");
    let place = other.root().join("copies");
    other.write(
        "copy.sh",
        &format!(
            "#!/bin/sh\nmkdir -p {0} && cp -a \"$GUARD_BACKUP_DIR\" {0}/\n",
            place.display()
        ),
    );
    other.sh("chmod +x copy.sh; sed -i 's,\"false\",\"./copy.sh\",' guard.toml");
    other.guard().run(&["copy"]).expect(0);
    let backup = other.backups().remove(0);
    assert!(place.join(backup).join("manifest.json").exists());
}

#[test]
fn fault_b14_what_the_storage_gives_is_compared() {
    let storage = storage();
    let project = Embedded::and(&settings(storage.port()));
    known(project.guard()).run(&["backup"]).expect(0);
    let backup = project.backups().remove(0);
    let largest = objects(&storage, "files")
        .into_iter()
        .max_by_key(|path| std::fs::metadata(path).unwrap().len());
    let manifest = objects(&storage, "backups")
        .into_iter()
        .find(|path| path.ends_with("manifest.json"));
    let mut number = 0;
    for path in [largest.unwrap(), manifest.unwrap()] {
        let sound = std::fs::read(&path).unwrap();
        let mut flipped = sound.clone();
        flipped[sound.len() / 2] ^= 1;
        let longer = [sound.as_slice(), b"more"].concat();
        for bytes in [flipped, longer, sound[..sound.len() - 1].to_vec(), Vec::new()] {
            number += 1;
            std::fs::write(&path, bytes).unwrap();
            let state = project.root().join(format!("fresh-{number}"));
            std::fs::create_dir(&state).unwrap();
            std::fs::copy(project.state().join("key"), state.join("key")).unwrap();
            let guard = elsewhere(&project, &state);
            guard.run(&["fetch", &backup]).expect(40);
            let listed = guard.run(&["list"]).expect(0).stdout;
            assert!(!listed.contains("known good"), "{listed}");
        }
        std::fs::write(&path, sound).unwrap();
    }
    let state = project.root().join("fresh-1");
    let guard = elsewhere(&project, &state);
    // Backups of two hosts may have one second, and so one name: this one must not.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    guard.run(&["backup"]).expect(0);
    guard.run(&["fetch", &backup]).expect(0);
}

#[test]
fn fault_a2_an_upload_that_was_killed_goes_on() {
    let storage = storage();
    let project = Embedded::and(&settings(storage.port()));
    project.sh("head -c 100000000 /dev/urandom > objects/large");
    project.guard().run(&["backup"]).expect(0).says("is only on this host");
    let backup = project.backups().remove(0);
    let mut child = known(project.guard()).start(&["copy"]);
    let parts = || {
        let root = std::fs::read_dir(storage.root()).unwrap();
        let names = root.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.contains(".upload")).count()
    };
    until(|| parts() > 2 || child.try_wait().unwrap().is_some());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(objects(&storage, "backups").is_empty(), "no manifest before all files");
    assert!(project.state().join("uploads.json").exists());
    known(project.guard()).run(&["copy"]).expect(0);
    let uploads = std::fs::read_to_string(project.state().join("uploads.json")).unwrap();
    assert_eq!(uploads, "{}");
    let fresh = project.root().join("fresh");
    std::fs::create_dir(&fresh).unwrap();
    std::fs::copy(project.state().join("key"), fresh.join("key")).unwrap();
    elsewhere(&project, &fresh).run(&["fetch", &backup]).expect(0);
    elsewhere(&project, &fresh).run(&["verify", &backup]).expect(0);
}
