//! The packages: made of this program, installed in fresh containers, used and removed.

use std::path::Path;
use std::process::Command;

/// A release builds a static program, which takes minutes; what surrounds it is the same.
#[test]
fn each_package_is_installed_used_and_removed_without_a_trace() {
    let into = tempfile::tempdir().unwrap();
    let made = Command::new(super::root().join("scripts/package"))
        .args(["--try", "--program", env!("CARGO_BIN_EXE_guard"), "--into"])
        .arg(into.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[made.stdout, made.stderr].concat()).into_owned();
    assert!(made.status.success(), "{said}");
    let sums = Command::new("sha256sum")
        .args(["--check", "--quiet", "SHA256SUMS"])
        .current_dir(into.path())
        .status();
    assert!(sums.unwrap().success());
    let listed = Command::new("dpkg-deb")
        .arg("--contents")
        .arg(into.path().join(package(&said)))
        .output()
        .unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for path in [
        "./usr/bin/guard",
        "./usr/share/man/man1/guard.1.gz",
        "./usr/share/man/man1/guard-rollback.1.gz",
        "./usr/share/bash-completion/completions/guard",
        "./usr/share/zsh/vendor-completions/_guard",
        "./usr/share/fish/vendor_completions.d/guard.fish",
        "./usr/lib/systemd/system/guard-resume.service",
        "./usr/share/doc/guard/examples/guard.toml",
    ] {
        let line = listed.lines().find(|line| line.ends_with(&format!(" {path}")));
        assert!(
            line.is_some_and(|line| line.contains(" root/root ")),
            "{path}: {line:?}\n{listed}"
        );
    }
}

/// The name of the Debian package among the sums that were printed.
fn package(said: &str) -> &str {
    let mut names = said.split_whitespace();
    let found =
        names.find(|word| word.starts_with("guard_") && Path::new(word).extension().is_some_and(|end| end == "deb"));
    found.unwrap_or_else(|| panic!("no package: {said}"))
}
