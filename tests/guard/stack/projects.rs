//! Compose projects of many shapes, with the settings that `guard init` writes, unedited: a bad release of each is walked back.

use std::process::Command;

use super::Leave;

/// The oracle is a script of its own, which looks from outside; by hand it tries every project with every kind of release.
fn matrix(words: &[&str]) -> String {
    let _leave = Leave::wait();
    let ran = Command::new("bash")
        .arg("scripts/matrix")
        .args(words)
        .env("GUARD", env!("CARGO_BIN_EXE_guard"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{told}{}", String::from_utf8_lossy(&ran.stderr));
    told
}

fn right(told: &str) -> usize {
    told.lines().filter(|line| line.ends_with(" ok")).count()
}

/// Other projects and other kinds of release in each: a container that dies, a file that Compose refuses, a service beside the
/// old ones, and a service that the deploy command stops.
#[test]
fn four_projects_are_as_before_with_the_settings_of_init() {
    let told = matrix(&["workers/crash", "scaled/compose", "envfile/added", "profiles/stopped"]);
    assert_eq!(right(&told), 4, "{told}");
}

#[test]
#[ignore = "takes many minutes; scripts/faults --full matrix runs all pairs"]
fn every_kind_of_project_is_as_before_with_the_settings_of_init() {
    let told = matrix(&["--sample"]);
    assert!(right(&told) >= 14, "{told}");
}
