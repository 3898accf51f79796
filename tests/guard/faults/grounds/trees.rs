//! Random trees and random changes: what they are made of, and how they come to be on a disk. What a file system refuses is
//! left out; the state that came to be is the one that counts.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rustix::fs::{
    AtFlags, CWD, FileType, IFlags, Mode, RenameFlags, Timespec, Timestamps, UTIME_OMIT, XattrFlags, ioctl_getflags,
    ioctl_setflags, lremovexattr, lsetxattr, mknodat, renameat_with, utimensat,
};

/// Names, few enough that changes meet what is there; and all that a file system allows in one.
const NAMES: [&[u8]; 13] = [
    b"a",
    b"b",
    b"c",
    b"sub",
    b"with space",
    b"new\nline",
    b"-rf",
    b".hidden",
    b"\xff\xfe",
    b"caf\xc3\xa9",
    b"100%41\\012*",
    b"a-b",
    &[b'n'; 255],
];

/// A place in a tree: numbers of names, from the root down.
type Place = Vec<usize>;
/// One of the entries that are there, by its number; it is taken modulo how many there are.
type Pick = usize;

/// What a file holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// So many bytes that follow from a number.
    Bytes(u8, usize),
    /// So long, with a few bytes at one place.
    Sparse(u64, u64),
}

/// What an entry is.
#[derive(Debug, Clone)]
pub enum Kind {
    Directory,
    File(Content),
    /// To one of the places, or to one of some odd targets.
    Symlink(Result<Place, usize>),
    Fifo,
    /// A further name of what is there.
    Link(Pick),
}

/// What an entry gets beside its content; what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Look {
    mode: Option<u32>,
    owner: Option<(u32, u32)>,
    /// An access list: for whom beside the owner, and what he may.
    access: Option<(u32, u16)>,
    /// The same, for what is made in a directory from now on.
    default: Option<(u32, u16)>,
    /// An attribute of the user's, of so many bytes.
    note: Option<usize>,
    /// An attribute that only root sees.
    trusted: bool,
    capability: bool,
    flags: Option<u32>,
    time: Option<(i64, i64)>,
}

/// An entry to be made.
#[derive(Debug, Clone)]
pub struct Entry(Place, Kind, Look);

/// What a release does.
#[derive(Debug, Clone)]
pub enum Change {
    /// Makes something where nothing is.
    Make(Entry),
    /// Makes something else of what is there.
    RollbackCause(Pick, Kind, Look),
    /// Writes into a file through this name; unseen: length and time stay.
    Write(Pick, u8, bool),
    /// Puts another file in a file's place; unseen: of the same length and time.
    Replace(Pick, u8, bool),
    /// Cuts a file, or makes it longer.
    Cut(Pick, u64),
    Remove(Pick),
    Rename(Pick, Place),
    /// Exchanges two entries.
    Exchange(Pick, Pick),
    /// Gives a file a further name.
    Link(Pick, Place),
    /// Makes a file of its own of a further name.
    Part(Pick),
    Dress(Pick, Look),
    /// Takes access lists and attributes away.
    Strip(Pick),
    /// A file that comes and goes.
    Pass(Pick),
}

/// A tree, and what is done to it.
#[derive(Debug, Clone)]
pub struct Case {
    pub tree: Vec<Entry>,
    pub changes: Vec<Change>,
}

fn place() -> impl Strategy<Value = Place> {
    prop::collection::vec(0..NAMES.len(), 1..4)
}

fn pick() -> impl Strategy<Value = Pick> {
    0_usize..64
}

fn content() -> impl Strategy<Value = Content> {
    let length = prop_oneof![Just(0_usize), Just(1), 2_usize..40, Just(4096), Just(70_000)];
    prop_oneof![
        6 => (any::<u8>(), length).prop_map(|(seed, length)| Content::Bytes(seed, length)),
        1 => (1_u64..4_000_000, 0_u64..4_000_000).prop_map(|(length, at)| Content::Sparse(length, at % length)),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        6 => content().prop_map(Kind::File),
        4 => Just(Kind::Directory),
        2 => place().prop_map(|place| Kind::Symlink(Ok(place))),
        1 => (0_usize..4).prop_map(|odd| Kind::Symlink(Err(odd))),
        1 => Just(Kind::Fifo),
        3 => pick().prop_map(Kind::Link),
    ]
}

fn sometimes<T: Clone + std::fmt::Debug>(
    strategy: impl Strategy<Value = T>,
    percent: u32,
) -> impl Strategy<Value = Option<T>> {
    prop_oneof![100 - percent => Just(None), percent => strategy.prop_map(Some)]
}

fn look() -> impl Strategy<Value = Look> {
    let mode = prop_oneof![
        Just(0o644),
        Just(0o600),
        Just(0),
        Just(0o755),
        Just(0o4755),
        Just(0o2750),
        Just(0o1777),
        0_u32..0o10000
    ];
    let user = || prop_oneof![Just(0_u32), Just(33), Just(1234), Just(70_000)];
    let list = || (prop_oneof![Just(1234_u32), Just(1235)], 0_u16..8);
    let time = (
        prop_oneof![
            Just(499_162_500_i64),
            Just(-12_345),
            Just(0),
            Just(4_000_000_000),
            1_600_000_000_i64..1_790_000_000
        ],
        prop_oneof![Just(0_i64), Just(5), 0_i64..1_000_000_000],
    );
    let flags = prop_oneof![
        Just(IFlags::NODUMP),
        Just(IFlags::NOATIME),
        Just(IFlags::SYNC),
        Just(IFlags::DIRSYNC)
    ];
    (
        sometimes(mode, 40),
        sometimes((user(), user()), 40),
        sometimes(list(), 15),
        sometimes(list(), 15),
        sometimes(prop_oneof![Just(0_usize), Just(9), Just(1500)], 15),
        prop::bool::weighted(0.05),
        prop::bool::weighted(0.05),
        sometimes(flags.prop_map(|flags| flags.bits()), 8),
        sometimes(time, 40),
    )
        .prop_map(
            |(mode, owner, access, default, note, trusted, capability, flags, time)| Look {
                mode,
                owner,
                access,
                default,
                note,
                trusted,
                capability,
                flags,
                time,
            },
        )
}

fn entry() -> impl Strategy<Value = Entry> {
    (place(), kind(), look()).prop_map(|(place, kind, look)| Entry(place, kind, look))
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => entry().prop_map(Change::Make),
        3 => (pick(), kind(), look()).prop_map(|(pick, kind, look)| Change::RollbackCause(pick, kind, look)),
        3 => (pick(), any::<u8>(), any::<bool>()).prop_map(|(pick, seed, unseen)| Change::Write(pick, seed, unseen)),
        3 => (pick(), any::<u8>(), any::<bool>()).prop_map(|(pick, seed, unseen)| Change::Replace(pick, seed, unseen)),
        1 => (pick(), 0_u64..100_000).prop_map(|(pick, length)| Change::Cut(pick, length)),
        3 => pick().prop_map(Change::Remove),
        2 => (pick(), place()).prop_map(|(pick, place)| Change::Rename(pick, place)),
        1 => (pick(), pick()).prop_map(|(one, other)| Change::Exchange(one, other)),
        2 => (pick(), place()).prop_map(|(pick, place)| Change::Link(pick, place)),
        1 => pick().prop_map(Change::Part),
        4 => (pick(), look()).prop_map(|(pick, look)| Change::Dress(pick, look)),
        1 => pick().prop_map(Change::Strip),
        1 => pick().prop_map(Change::Pass),
    ]
}

/// Trees of up to some twenty entries, and up to six changes.
pub fn case() -> impl Strategy<Value = Case> {
    (
        prop::collection::vec(entry(), 1..20),
        prop::collection::vec(change(), 1..7),
    )
        .prop_map(|(tree, changes)| Case { tree, changes })
}

/// What a file system refuses is left out.
fn attempt<T>(outcome: io::Result<T>) -> Option<T> {
    outcome.ok()
}

fn path_of(root: &Path, place: &Place) -> PathBuf {
    place
        .iter()
        .fold(root.to_owned(), |path, name| path.join(OsStr::from_bytes(NAMES[*name])))
}

/// Every entry of a tree, the root first; in the order of their names.
pub fn entries(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        if fs::symlink_metadata(&path).is_ok_and(|is| is.is_dir()) {
            let mut below: Vec<PathBuf> = fs::read_dir(&path)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            below.sort();
            found.extend(below);
        }
    }
    found
}

fn picked(root: &Path, pick: Pick) -> PathBuf {
    let found = entries(root);
    found[pick % found.len()].clone()
}

fn bytes(seed: u8, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| seed.wrapping_add(u8::try_from(at * at % 251).unwrap()))
        .collect()
}

/// Whether no link leads out of the tree on the way to a path.
fn is_within(root: &Path, path: &Path) -> bool {
    let mut above = path.ancestors().skip(1).take_while(|above| *above != root);
    above.all(|above| !above.is_symlink())
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|is| is.is_file())
}

fn make(root: &Path, path: &Path, kind: &Kind, look: &Look) {
    if is_there(path) || !is_within(root, path) {
        return;
    }
    if let Some(above) = path.parent() {
        attempt(fs::create_dir_all(above));
    }
    match kind {
        Kind::Directory => {
            attempt(fs::create_dir(path));
        }
        Kind::File(Content::Bytes(seed, length)) => {
            attempt(fs::write(path, bytes(*seed, *length)));
        }
        Kind::File(Content::Sparse(length, at)) => {
            if let Some(file) = attempt(File::create(path)) {
                file.set_len(*length).unwrap();
                file.write_all_at(b"payload", *at).unwrap();
            }
        }
        Kind::Symlink(target) => {
            let target = match target {
                Ok(place) => path_of(Path::new(""), place),
                Err(0) => PathBuf::from("/nowhere/at/all"),
                Err(1) => PathBuf::from(OsStr::from_bytes(b"\xff\n../odd")),
                Err(2) => PathBuf::from("x".repeat(900)),
                Err(_) => PathBuf::from(".."),
            };
            attempt(symlink(target, path));
        }
        Kind::Fifo => {
            attempt(mknodat(CWD, path, FileType::Fifo, Mode::from(0o644), 0).map_err(io::Error::from));
        }
        Kind::Link(pick) => {
            attempt(fs::hard_link(picked(root, *pick), path));
        }
    }
    dress(path, look);
}

/// An access list as the kernel takes it.
fn list((user, may): (u32, u16)) -> Vec<u8> {
    let everybody = u32::MAX;
    let entries = [
        (1_u16, 7_u16, everybody),
        (2, may, user),
        (4, 5, everybody),
        (16, 7, everybody),
        (32, 4, everybody),
    ];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, may, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(may.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

fn set(path: &Path, name: &str, value: &[u8]) {
    attempt(lsetxattr(path, name, value, XattrFlags::empty()).map_err(io::Error::from));
}

fn set_time(path: &Path, (seconds, nanoseconds): (i64, i64)) {
    let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: time(0, UTIME_OMIT),
        last_modification: time(seconds, nanoseconds),
    };
    attempt(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from));
}

fn dress(path: &Path, look: &Look) {
    let Ok(found) = fs::symlink_metadata(path) else {
        return;
    };
    if let Some((user, group)) = look.owner {
        attempt(lchown(path, Some(user), Some(group)));
    }
    if !found.is_symlink() {
        if let Some(access) = look.access {
            set(path, "system.posix_acl_access", &list(access));
        }
        if let Some(mode) = look.mode {
            attempt(fs::set_permissions(path, fs::Permissions::from_mode(mode)));
        }
    }
    if let (Some(default), true) = (look.default, found.is_dir()) {
        set(path, "system.posix_acl_default", &list(default));
    }
    if let Some(length) = look.note {
        set(path, "user.note", &bytes(3, length));
    }
    if look.trusted {
        set(path, "trusted.mark", b"roots\0own");
    }
    if look.capability && found.is_file() {
        let capability = [[1, 0, 0, 2], [0, 4, 0, 0], [0; 4], [0; 4], [0; 4]].concat();
        set(path, "security.capability", &capability);
    }
    if let Some(time) = look.time {
        set_time(path, time);
    }
    if let (Some(flags), true) = (look.flags, found.is_file() || found.is_dir())
        && let Some(file) = attempt(File::open(path))
        && let Ok(now) = ioctl_getflags(&file)
    {
        attempt(ioctl_setflags(&file, now | IFlags::from_bits_retain(flags)).map_err(io::Error::from));
    }
}

fn strip(path: &Path) {
    for name in [
        "system.posix_acl_access",
        "system.posix_acl_default",
        "user.note",
        "trusted.mark",
        "security.capability",
    ] {
        attempt(lremovexattr(path, name).map_err(io::Error::from));
    }
}

fn remove(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|is| is.is_dir()) {
        attempt(fs::remove_dir_all(path));
    } else {
        attempt(fs::remove_file(path));
    }
}

/// Makes a tree in an empty directory.
pub fn plant(root: &Path, tree: &[Entry]) {
    fs::create_dir_all(root).unwrap();
    for Entry(place, kind, look) in tree {
        make(root, &path_of(root, place), kind, look);
    }
}

fn beside(path: &Path) -> PathBuf {
    path.with_file_name("staged by the release")
}

fn write_over(path: &Path, seed: u8, is_unseen: bool, is_in_place: bool) {
    let Ok(found) = fs::symlink_metadata(path) else {
        return;
    };
    if !found.is_file() || found.len() > 100_000 {
        return;
    }
    let length = usize::try_from(found.len()).unwrap();
    let content = bytes(seed, if is_unseen { length } else { length / 2 + 7 });
    if is_in_place {
        attempt(fs::write(path, content));
    } else {
        let staged = beside(path);
        attempt(File::create(&staged).and_then(|mut file| file.write_all(&content)));
        attempt(fs::rename(staged, path));
    }
    if is_unseen {
        set_time(path, (found.mtime(), found.mtime_nsec()));
    }
}

/// Does to a tree what a release does.
pub fn release(root: &Path, changes: &[Change]) {
    for change in changes {
        apply(root, change);
    }
}

fn apply(root: &Path, change: &Change) {
    let one = |pick: &Pick| picked(root, *pick);
    match change {
        Change::Make(Entry(place, kind, look)) => make(root, &path_of(root, place), kind, look),
        Change::RollbackCause(pick, kind, look) => {
            let path = one(pick);
            if path != root {
                remove(&path);
                make(root, &path, kind, look);
            }
        }
        Change::Write(pick, seed, is_unseen) => write_over(&one(pick), *seed, *is_unseen, true),
        Change::Replace(pick, seed, is_unseen) => write_over(&one(pick), *seed, *is_unseen, false),
        Change::Cut(pick, length) => {
            let path = one(pick);
            if is_file(&path) {
                attempt(
                    File::options()
                        .write(true)
                        .open(path)
                        .and_then(|file| file.set_len(*length)),
                );
            }
        }
        Change::Remove(pick) => {
            let path = one(pick);
            if path != root {
                remove(&path);
            }
        }
        Change::Rename(pick, place) => {
            let (from, to) = (one(pick), path_of(root, place));
            if from != root && !is_there(&to) && is_within(root, &to) {
                // Where directories of a lower layer cannot be renamed, programs copy and remove.
                attempt(fs::create_dir_all(to.parent().unwrap()));
                attempt(fs::rename(from, to));
            }
        }
        Change::Exchange(from, to) => {
            attempt(renameat_with(CWD, one(from), CWD, one(to), RenameFlags::EXCHANGE).map_err(io::Error::from));
        }
        Change::Link(pick, place) => {
            let to = path_of(root, place);
            if is_within(root, &to) {
                attempt(fs::create_dir_all(to.parent().unwrap()));
                attempt(fs::hard_link(one(pick), to));
            }
        }
        Change::Part(pick) => {
            let path = one(pick);
            if is_file(&path) {
                attempt(fs::copy(&path, beside(&path)));
                attempt(fs::rename(beside(&path), &path));
            }
        }
        Change::Dress(pick, look) => dress(&one(pick), look),
        Change::Strip(pick) => strip(&one(pick)),
        Change::Pass(pick) => {
            let path = one(pick);
            if fs::symlink_metadata(&path).is_ok_and(|is| is.is_dir()) {
                attempt(fs::write(path.join("staged by the release"), "passes"));
                attempt(fs::remove_file(path.join("staged by the release")));
            }
        }
    }
}

/// A name for a message.
pub fn shown(path: &Path) -> String {
    String::from_utf8_lossy(&path.as_os_str().to_owned().into_vec()).into_owned()
}
