//! A run's journal, as a disk gives it back: what is sound, what is torn, or where the damage is; the sound part reads the same
//! by itself.
#![no_main]

use std::path::Path;

use guard_journal::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("journal.jsonl");
    let Ok(reading) = parse(path, bytes) else { return };
    let sound = usize::try_from(reading.sound_bytes).unwrap();
    assert!(sound as u64 + reading.torn_bytes <= bytes.len() as u64);
    let again = parse(path, &bytes[..sound]).expect("what is sound is read");
    assert_eq!(again.records.len(), reading.records.len());
    assert_eq!(again.torn_bytes, 0);
});
