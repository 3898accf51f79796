//! Trees with everything that a file system allows, and a full view of one by other means than guard's.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps, UTIME_OMIT, XattrFlags, mknodat, setxattr};

/// Runs a program and returns what it printed.
pub fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().expect("started");
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Everything `find`, `stat` and `sha256sum` see of a tree: names, types, modes, owners, times, links, contents, holes aside.
pub fn observe(root: &Path) -> String {
    let script = r#"
        cd "$1" || exit 1
        find . -path './.guard-*' -prune -o -path . -printf 'd . %m %U:%G\n' -o -type f -printf '%y %p %m %U:%G %s %T@ %n\n' \
            -o -printf '%y %p %m %U:%G %T@ %l\n' | LC_ALL=C sort
        find . -path './.guard-*' -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum
        find . -path './.guard-*' -prune -o -type f -links +1 -printf '%i %p\n' | LC_ALL=C sort |
            awk '{ if ($1 != last) n++; last = $1; $1 = ""; print n $0 }' | LC_ALL=C sort -k2
    "#;
    run("sh", &["-c", script, "sh", root.to_str().unwrap()])
}

fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds,
        },
    };
    rustix::fs::utimensat(CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// A tree of odd things.
pub fn plant(root: &Path) {
    let file = |name: &[u8], content: &[u8]| {
        let path = root.join(OsStr::from_bytes(name));
        fs::write(&path, content).unwrap();
        path
    };
    fs::create_dir_all(root.join("data/deep/deeper")).unwrap();
    fs::create_dir(root.join("data/empty")).unwrap();
    fs::write(root.join("data/deep/deeper/object"), vec![7; 300_000]).unwrap();
    for name in [
        &b"with space"[..],
        b"new\nline",
        b"-rf",
        b"\xff\xfe",
        b".hidden",
        b"caf\xc3\xa9",
        b"cafe\xcc\x81",
        &[b'n'; 255],
    ] {
        file(name, name);
    }
    let setuid = file(b"setuid", b"#!/bin/true\n");
    chown(&setuid, Some(1234), Some(70_000)).unwrap();
    fs::set_permissions(&setuid, fs::Permissions::from_mode(0o6751)).unwrap();
    fs::write(root.join("data/original"), "one file, three names").unwrap();
    fs::hard_link(root.join("data/original"), root.join("data/second")).unwrap();
    fs::hard_link(root.join("data/original"), root.join("third")).unwrap();
    symlink("data/original", root.join("link")).unwrap();
    symlink("/nowhere/at/all", root.join("dangling")).unwrap();
    symlink("x".repeat(300), root.join("long link")).unwrap();
    rustix::fs::chownat(
        CWD,
        root.join("link"),
        Some(rustix::fs::Uid::from_raw(99)),
        None,
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
    )
    .unwrap();
    mknodat(CWD, root.join("pipe"), FileType::Fifo, Mode::from(0o620), 0).unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.set_len(20_000_000).unwrap();
    let attributed = file(b"attributed", b"has attributes");
    setxattr(&attributed, "user.note", b"two\nlines\0and a NUL", XattrFlags::empty()).unwrap();
    let ancient = file(b"ancient", b"before 1970");
    set_time(&ancient, -12_345, 600_000_000);
    set_time(&root.join("with space"), 1_600_000_000, 123_456_789);
    fs::set_permissions(root.join("data/empty"), fs::Permissions::from_mode(0o3770)).unwrap();
    set_time(&root.join("data/empty"), 1_500_000_000, 5);
    set_time(&root.join("data"), 1_500_000_001, 5);
    chown(root, Some(999), Some(998)).unwrap();
    fs::set_permissions(root, fs::Permissions::from_mode(0o2750)).unwrap();
}

/// What a bad deployment does to it.
pub fn spoil(root: &Path) {
    fs::write(root.join(".minio.sys of the failed state"), "extra").unwrap();
    fs::create_dir(root.join("new directory")).unwrap();
    fs::write(root.join("new directory/file"), "extra").unwrap();
    fs::write(root.join("data/deep/deeper/object"), vec![8; 300_001]).unwrap();
    fs::remove_file(root.join("-rf")).unwrap();
    fs::remove_dir_all(root.join("data/empty")).unwrap();
    fs::remove_file(root.join("with space")).unwrap();
    fs::create_dir(root.join("with space")).unwrap();
    fs::remove_file(root.join("setuid")).unwrap();
    symlink("/etc/passwd", root.join("setuid")).unwrap();
    fs::set_permissions(root.join(".hidden"), fs::Permissions::from_mode(0o600)).unwrap();
    chown(root, Some(0), Some(0)).unwrap();
    fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
}
