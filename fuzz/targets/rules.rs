//! A rule's condition, as somebody wrote it: it is read or refused, and a refusal points into the text.
#![no_main]

use guard_model::health::Numbers;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let probes = [
        ("web".parse().unwrap(), Numbers::None),
        ("queue".parse().unwrap(), Numbers::One),
        ("machine".parse().unwrap(), Numbers::Named(&["disk", "memory"])),
    ];
    if let Err(complaint) = guard_watch::rules::parse(text, &probes) {
        assert!(text.is_char_boundary(complaint.at), "{complaint:?}");
    }
});
