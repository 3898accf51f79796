//! A backup's manifest: whatever is read of one is written and read as the same.
#![no_main]

use guard_store::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes) else { return };
    let _ = manifest.bytes();
    let text = serde_json::to_string(&manifest).expect("what was read is written");
    let again: Manifest = serde_json::from_str(&text).expect("what was written is read");
    assert_eq!(again, manifest);
});
