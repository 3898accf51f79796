//! Copies that were changed at random: none is ever taken for the one that was made.

use chrono::DateTime;
use guard::model::artifact::Artifact;
use guard::model::event::Voice;
use guard::model::fingerprint::Fingerprint;
use guard::resources::Slot;
use guard::store::{Backup, Knowledge, ManifestInput, Store};
use guard::system::clock::MachineClock;
use guard::system::context::Context;
use guard::system::environment::Environment;

use crate::figures::{is_full, reached, wanted};
use crate::sim::chance::Chance;

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
