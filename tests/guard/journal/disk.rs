//! The journal on disks that fail: absence is ENOENT alone, a full disk is survived, a failed sync is final.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use guard::journal::{FILE, Journal, JournalError, read};

use super::{again, child_directory, facts, moment, run, written};

#[test]
fn only_enoent_is_absence() {
    let scene = tempfile::tempdir().unwrap();
    assert!(matches!(Journal::open(scene.path()), Err(JournalError::Absent { .. })));
    assert!(!scene.path().join(FILE).exists(), "opening makes nothing");
    std::fs::create_dir(scene.path().join(FILE)).unwrap();
    assert!(matches!(read(scene.path()), Err(JournalError::Disk(_))));
    std::fs::remove_dir(scene.path().join(FILE)).unwrap();
    std::os::unix::fs::symlink(FILE, scene.path().join(FILE)).unwrap();
    assert!(
        matches!(read(scene.path()), Err(JournalError::Disk(_))),
        "a loop of links is no absence"
    );
}

#[test]
fn the_file_is_private_and_room_is_set_aside_without_a_change_of_length() {
    let scene = tempfile::tempdir().unwrap();
    written(scene.path(), &run(), "here", 3);
    let metadata = std::fs::metadata(scene.path().join(FILE)).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert!(metadata.len() < 10_000);
    let probe = std::fs::File::create(scene.path().join("probe")).unwrap();
    let flags = rustix::fs::FallocateFlags::KEEP_SIZE;
    if rustix::fs::fallocate(&probe, flags, 0, 1 << 20).is_ok() {
        assert!(metadata.blocks() * 512 >= 1 << 20, "{} blocks", metadata.blocks());
    }
}

#[test]
fn fault_b2_a_record_that_found_no_room_can_be_written_again() {
    let scene = tempfile::tempdir().unwrap();
    let words = ["prlimit", "--fsize=6000:unlimited", "env", "--ignore-signal=XFSZ"];
    let output = again(&words, "journal::disk::child_without_room", scene.path());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
}

#[test]
#[ignore = "started by fault_b2"]
fn child_without_room() {
    let Some(directory) = child_directory() else { return };
    let mut journal = Journal::create(&directory).unwrap();
    let facts = facts(&run(), "here");
    let mut written = vec![journal.append(facts[0].clone(), moment()).unwrap()];
    let error = loop {
        match journal.append(facts[4].clone(), moment()) {
            Ok(record) => written.push(record),
            Err(error) => break error,
        }
        assert!(written.len() < 1000, "the limit was never met");
    };
    assert!(matches!(&error, JournalError::Disk(disk) if disk.is_full()), "{error}");
    assert_eq!(
        read(&directory).unwrap(),
        written,
        "the record that failed has left nothing"
    );
    let limit = rustix::process::Rlimit {
        current: None,
        maximum: None,
    };
    rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
    written.push(journal.append(facts[6].clone(), moment()).unwrap());
    assert_eq!(read(&directory).unwrap(), written);
}

#[test]
fn fault_b7_a_failed_sync_is_final_for_the_journal() {
    let scene = tempfile::tempdir().unwrap();
    let log = scene.path().join("strace");
    let words = [
        "strace",
        "-f",
        "-qq",
        "-o",
        log.to_str().unwrap(),
        "-e",
        "trace=fdatasync",
        "-e",
    ];
    let inject = ["inject=fdatasync:error=EIO:when=3"];
    let output = again(
        &[&words[..], &inject[..]].concat(),
        "journal::disk::child_without_sync",
        scene.path(),
    );
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
}

#[test]
#[ignore = "started by fault_b7"]
fn child_without_sync() {
    let Some(directory) = child_directory() else { return };
    let mut journal = Journal::create(&directory).unwrap();
    let facts = facts(&run(), "here");
    journal.append(facts[0].clone(), moment()).unwrap();
    journal.append(facts[1].clone(), moment()).unwrap();
    let error = journal.append(facts[2].clone(), moment()).unwrap_err();
    assert!(matches!(error, JournalError::Disk(_)), "{error}");
    for _ in 0..2 {
        // The kernel would report success now, whatever became of the data.
        let error = journal.append(facts[2].clone(), moment()).unwrap_err();
        assert!(matches!(error, JournalError::Poisoned { .. }), "{error}");
    }
}
