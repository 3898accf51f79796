//! What S3-compatible storage answers: listings, parts and errors are read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    guard_system::s3::fuzzing::answer(bytes);
});
