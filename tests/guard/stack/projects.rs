//! Compose projects of many shapes, with the settings that `guard init` writes, unedited: a bad release of each is walked back.

use std::process::Command;

use super::Leave;

/// The oracle is a script of its own, which looks from outside; by hand it tries every project with every kind of release.
#[test]
#[ignore = "takes many minutes; scripts/faults --full matrix runs it"]
fn every_kind_of_project_is_as_before_with_the_settings_of_init() {
    let _leave = Leave::wait();
    let root = env!("CARGO_MANIFEST_DIR");
    let ran = Command::new("bash")
        .arg("scripts/matrix")
        .arg("--sample")
        .env("GUARD", env!("CARGO_BIN_EXE_guard"))
        .current_dir(root)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{told}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(
        told.lines().filter(|line| line.ends_with(" ok")).count() >= 12,
        "{told}"
    );
}
