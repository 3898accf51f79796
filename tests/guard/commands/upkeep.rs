//! The upkeep of a store: samples, archives that are compressed again, and thousands of backups.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use guard::model::artifact::{Artifact, FileEntry};
use guard::model::fingerprint::Fingerprint;
use guard::resources::Slot;
use guard::store::{Knowledge, Listed, ManifestInput, Store};

use crate::support::embedded::{Embedded, end, signal, until};

fn archive(project: &Embedded, backup: &str) -> PathBuf {
    project.state().join("backups").join(backup).join("objects")
}

fn is_whole(project: &Embedded, backup: &str) {
    let place = project.state().join("backups").join(backup);
    let sums = Command::new("sha256sum")
        .args(["--quiet", "-c", "SHA256SUMS"])
        .current_dir(place)
        .output()
        .unwrap();
    assert!(sums.status.success(), "{sums:?}");
    project.guard().run(&["verify", backup]).expect(0);
}

/// Two backups of some megabytes that compress well, and better with more effort.
fn project() -> (Embedded, String, String) {
    let project = Embedded::new();
    project.sh("sed -i 's,^path = \"objects\",path = \"objects\"\\ncompression = 1,' guard.toml
        for i in $(seq 1 60000); do echo \"line $i of $((i * 7919 % 1000)), and $((i * 104729 % 65537)) more of it\"; done > objects/text");
    project.guard().run(&["backup"]).expect(0);
    project.guard().run(&["backup"]).expect(0);
    let mut backups = project.backups();
    let newest = backups.remove(0);
    (project, backups.remove(0), newest)
}

#[test]
fn older_archives_are_compressed_again_and_go_back_as_before() {
    let (project, older, newest) = project();
    let before = project.everything();
    let size = |path: PathBuf| std::fs::metadata(path).unwrap().len();
    let was = size(archive(&project, &older).join("data.tar.zst"));
    // What a cut may leave: a new file that no manifest names.
    std::fs::create_dir(archive(&project, &older).join("again-1")).unwrap();
    std::fs::write(archive(&project, &older).join("again-1/data.tar.zst"), b"half of it").unwrap();
    project
        .guard()
        .run(&["prune", "--recompress"])
        .expect(0)
        .says("1 file compressed again");
    let again = archive(&project, &older).join("again-1/data.tar.zst");
    assert!(size(again.clone()) < was - was / 50 && !archive(&project, &older).join("data.tar.zst").exists());
    assert!(
        archive(&project, &newest).join("data.tar.zst").exists(),
        "the newest way back is left alone"
    );
    is_whole(&project, &older);
    // Or an old one that the new manifest does not name any more.
    std::fs::write(archive(&project, &older).join("data.tar.zst"), b"the old one").unwrap();
    project
        .guard()
        .run(&["prune", "--recompress"])
        .expect(0)
        .says("nothing would become smaller");
    assert!(!archive(&project, &older).join("data.tar.zst").exists());
    project.sh("./deploy.sh all");
    project
        .guard()
        .run(&["rollback", "--yes", "--backup-timestamp", &older])
        .expect(0);
    assert_eq!(project.everything(), before);
    // What is damaged is not packed anew.
    let mut bytes = std::fs::read(&again).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&again, bytes).unwrap();
    project
        .guard()
        .run(&["prune", "--recompress", "19"])
        .expect(40)
        .says("damaged");
    assert!(again.exists());
}

#[test]
fn fault_a2_a_cut_while_compressing_again_leaves_a_whole_backup() {
    let (project, older, _) = project();
    for _ in 0..4 {
        let mut child = project.guard().start(&["prune", "--recompress", "19"]);
        until(|| archive(&project, &older).join("again-1").exists() || child.try_wait().unwrap().is_some());
        signal(&child, rustix::process::Signal::KILL);
        end(&mut child);
        is_whole(&project, &older);
    }
    project.guard().run(&["prune", "--recompress", "19"]).expect(0);
    is_whole(&project, &older);
    assert!(archive(&project, &older).join("again-1/data.tar.zst").exists());
}

#[test]
fn a_sample_looks_at_everything_and_reads_a_part() {
    let (project, older, newest) = project();
    let guard = || project.guard();
    let ran = guard().run(&["verify", "--all", "--sample", "1"]).expect(0);
    ran.says("of 2 backups are there in their lengths; 1 of them read");
    guard()
        .run(&["verify", &older, "--sample", "100%"])
        .expect(0)
        .says("of 1 backup ");
    guard().run(&["verify", "--all", "--sample", "none"]).expect(2);
    let path = archive(&project, &older).join("data.tar.zst");
    let sound = std::fs::read(&path).unwrap();
    let mut flipped = sound.clone();
    flipped[sound.len() / 2] ^= 1;
    std::fs::write(&path, &flipped).unwrap();
    let ran = guard().run(&["verify", "--all", "--sample", "100%"]).expect(40);
    ran.says(&older).says(&format!("sound is {newest}"));
    // A length is seen in every sample.
    std::fs::write(&path, &sound[1..]).unwrap();
    guard()
        .run(&["verify", "--all", "--sample", "1"])
        .expect(40)
        .says("cut off");
}

/// A backup of a few bytes, begun at this moment.
fn small(store: &Store, at: DateTime<Utc>, target: &str) {
    let draft = store.begin(at).unwrap();
    let resource = "objects".parse().unwrap();
    let slot = Slot::new(draft.directory(), &resource);
    let files: Vec<FileEntry> = vec![
        slot.keep_bytes(draft.timestamp().as_str().as_bytes(), "data.tar.zst")
            .unwrap(),
    ];
    let artifact = Artifact {
        project: None,
        resource,
        kind: "volume".to_owned(),
        fingerprint: Fingerprint::default(),
        files,
        details: serde_json::Value::Null,
        summary: "a copy".to_owned(),
        not_kept: Vec::new(),
        tools: Vec::new(),
    };
    let input = ManifestInput {
        artifacts: vec![artifact],
        known_good: Knowledge::KnownGood,
        target: Some(target.to_owned()),
        ..ManifestInput::default()
    };
    store.seal(&draft, input).unwrap();
}

/// `GUARD_TEST_BACKUPS=10000` makes so many of them and tells how long each command took.
#[test]
fn thousands_of_backups_are_listed_pruned_and_built_on() {
    let figures: Option<i64> = std::env::var("GUARD_TEST_BACKUPS")
        .ok()
        .map(|count| count.parse().unwrap());
    let count = figures.unwrap_or(300);
    let project = Embedded::and("[retention]\nkeep = 200\n");
    project.guard().run(&["backup"]).expect(0);
    let store = Store::open(&project.state().join("backups"), &project.state()).unwrap();
    let first = Utc::now() - TimeDelta::minutes(count + 10);
    let Some(Listed::Backup(real)) = store.list().unwrap().into_iter().next() else {
        panic!("one was made")
    };
    for number in 1..count {
        small(
            &store,
            first + TimeDelta::minutes(number),
            real.manifest.target.as_deref().unwrap(),
        );
    }
    let timed = |words: &[&str]| {
        let begun = Instant::now();
        let ran = project.guard().run(words).expect(0);
        if figures.is_some() {
            eprintln!(
                "{count} backups: guard {}: {:.2} s",
                words.join(" "),
                begun.elapsed().as_secs_f64()
            );
        }
        ran
    };
    let listed = timed(&["list"]);
    assert!(
        listed.stdout.contains(&format!("{count} backups,")) || count > 999,
        "{}",
        listed.stdout
    );
    // The first one alone holds more than the objects, so it stays.
    let removed = usize::try_from(count).unwrap() - 201;
    let would = timed(&["prune", "--dry-run"]);
    assert_eq!(would.everything().matches("would remove").count(), removed);
    timed(&["backup", "--skip", "code"]);
    // Whatever the names said: the newest is the newest, and the markers say so.
    let newest = project.backups().remove(0);
    let marker = std::fs::read_to_string(project.state().join("backups/.latest_backup")).unwrap();
    assert_eq!(marker.trim(), newest);
    timed(&["prune"]);
    timed(&["deploy", "--", "./deploy.sh", "all"]);
    assert_eq!(project.backups().len(), 201);
}
