//! Copies, manifests and journals that were changed: none is ever taken for the one that was written.

use std::path::Path;

use chrono::DateTime;
use guard::journal::parse;
use guard::model::artifact::Artifact;
use guard::model::event::Voice;
use guard::model::fingerprint::Fingerprint;
use guard::model::name::RunKind;
use guard::resources::Slot;
use guard::store::{Backup, Knowledge, ManifestInput, Store, StoreError};
use guard::system::clock::MachineClock;
use guard::system::context::Context;
use guard::system::environment::Environment;

use crate::figures::{is_full, reached, wanted};
use crate::sim::chance::Chance;
use crate::sim::journal_of;
use crate::sim::scenario::{Fate, KINDS, plain};

fn backup(store: &Store) -> Backup {
    let draft = store
        .begin(DateTime::from_timestamp(1_761_147_000, 0).unwrap())
        .unwrap();
    let resource = "db".parse().unwrap();
    let slot = Slot::new(draft.directory(), &resource);
    let contents = [&b"a dump of some length, all of which counts"[..], b"x", &[0; 700]];
    let files = contents.iter().zip(["dump", "one", "zeros"]);
    let files = files
        .map(|(bytes, name)| slot.keep_bytes(bytes, name).unwrap())
        .collect();
    let artifact = Artifact {
        resource,
        project: None,
        kind: "files".to_owned(),
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
        ..ManifestInput::default()
    };
    store.seal(&draft, input).unwrap()
}

/// Changes some bytes at random: one, several, a cut, something more, or two that change places.
fn change(bytes: &mut Vec<u8>, chance: &mut Chance) {
    let at = chance.below(bytes.len());
    let byte = u8::try_from(chance.below(256)).unwrap();
    match chance.below(5) {
        0 => bytes[at] ^= 1 << chance.below(8),
        1 => bytes[at..].fill(byte),
        2 => bytes.truncate(at),
        3 => bytes.insert(at, byte),
        _ => {
            let other = chance.below(bytes.len());
            bytes.swap(at, other);
        }
    }
}

#[test]
fn fault_b13_no_changed_copy_is_believed() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(&root.path().join("backups"), &root.path().join("state")).unwrap();
    let sealed = backup(&store);
    let cx = Context::new(
        root.path(),
        Environment::of_this_process(),
        MachineClock::start(),
        Voice::silent(),
    );
    let count = wanted("GUARD_FAULTS_CHANGES", if is_full() { 100_000 } else { 500 });
    let seed = wanted("GUARD_FAULTS_FROM", u64::from(std::process::id()));
    let mut chance = Chance::new(seed);
    let mut changed = 0;
    while changed < count {
        let entry = chance.pick(&sealed.manifest.artifacts[0].files).clone();
        let path = sealed.directory.join(&entry.path);
        let sound = std::fs::read(&path).unwrap();
        let mut bytes = sound.clone();
        change(&mut bytes, &mut chance);
        std::fs::write(&path, &bytes).unwrap();
        let verified = store.verify(&sealed, &cx);
        assert_eq!(
            verified.is_ok(),
            bytes == sound,
            "seed {seed}, change {changed} of {}",
            entry.path
        );
        changed += u64::from(bytes != sound);
        std::fs::write(&path, &sound).unwrap();
    }
    store.verify(&sealed, &cx).unwrap();
    reached(
        "R7",
        "100,000 random changes of copies, none believed",
        &format!("{count} changes, none believed"),
        &format!("GUARD_FAULTS_FROM={seed}"),
    );
}

/// What a byte is changed to: everything else that it can be, or in an everyday run each bit of it, and what JSON is made of.
fn others(byte: u8) -> Vec<u8> {
    let all: Vec<u8> = if is_full() {
        (0..=255).collect()
    } else {
        let bits = (0..8).map(|bit| byte ^ (1 << bit));
        bits.chain([0, b' ', b'\n', b'"', b'0', b'}']).collect()
    };
    all.into_iter().filter(|other| *other != byte).collect()
}

#[test]
fn fault_l8_no_manifest_with_a_changed_byte_is_believed() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(&root.path().join("backups"), &root.path().join("state")).unwrap();
    let sealed = backup(&store);
    let path = sealed.directory.join("manifest.json");
    let sound = std::fs::read(&path).unwrap();
    let mut count = 0_u32;
    for at in 0..sound.len() {
        for other in others(sound[at]) {
            let mut bytes = sound.clone();
            bytes[at] = other;
            std::fs::write(&path, &bytes).unwrap();
            let read = store.get(sealed.timestamp());
            let is_refused = matches!(read, Err(StoreError::NotAuthentic { .. } | StoreError::Newer { .. }));
            assert!(is_refused, "byte {at} -> {other}: {read:?}");
            count += 1;
        }
    }
    std::fs::write(&path, &sound).unwrap();
    assert_eq!(store.get(sealed.timestamp()).unwrap(), sealed);
    reached(
        "R7",
        "every change of one byte of a manifest, none believed",
        &format!("{count} changes of {} bytes, none believed", sound.len()),
        "exhaustive",
    );
}

#[test]
fn fault_l2_no_journal_with_a_changed_byte_is_believed() {
    let sound = journal_of(&plain(RunKind::Deploy, Fate::GateFails, &KINDS[1..2]));
    let path = Path::new("journal");
    let records = parse(path, &sound).unwrap().records;
    let last = sound[..sound.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    let (mut count, mut torn) = (0_u32, 0_u32);
    let mut bytes = sound.clone();
    for at in 0..sound.len() {
        for other in others(sound[at]) {
            bytes[at] = other;
            if let Ok(reading) = parse(path, &bytes) {
                // Zeros at the end of a sector of the last line, or of the line, are what a write that was cut off leaves.
                let is_end = (at + 1) % 512 == 0 || at + 1 == sound.len();
                assert!(at >= last && other == 0 && is_end, "byte {at} -> {other}");
                assert_eq!(reading.records, records[..records.len() - 1], "byte {at} -> {other}");
                torn += 1;
            }
            count += 1;
        }
        bytes[at] = sound[at];
    }
    assert_eq!(parse(path, &sound).unwrap().records, records);
    reached(
        "R7",
        "every change of one byte of a journal, none believed",
        &format!(
            "{count} changes of {} bytes, none believed; {torn} of them as a cut-off last line",
            sound.len()
        ),
        "exhaustive",
    );
}
