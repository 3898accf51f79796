//! Fresh data directories of servers, made once and copied for each test, in memory: making one takes longer than most
//! tests.

use std::path::Path;
use std::process::Command;

/// Puts a copy of the template `name` at `into`, which must not exist. Who finds no template makes
/// it with `make`, which fills `into`; it is kept between runs of the tests.
pub fn copied(name: &str, into: &Path, make: impl FnOnce()) {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if kept.exists() {
        copy(&kept, into);
        return;
    }
    make();
    // Whole or not at all: other tests look for it at the same time.
    let half = tempfile::Builder::new()
        .prefix(".template-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap();
    let whole = half.path().join("data");
    copy(into, &whole);
    // Another test may have been faster.
    let _moved = std::fs::rename(&whole, &kept);
}

/// A short path in memory where there is one: a server's thousand files are made and removed for every test.
pub fn memory() -> &'static str {
    if Path::new("/dev/shm").is_dir() {
        "/dev/shm"
    } else {
        "/tmp"
    }
}

fn copy(from: &Path, into: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(into).status().unwrap();
    assert!(
        copied.success(),
        "could not copy {} to {}",
        from.display(),
        into.display()
    );
}
