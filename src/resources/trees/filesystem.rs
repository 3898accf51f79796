//! What a file system can be believed: whether times and inode numbers tell that a file is as it was.

use rustix::fs::{fstatfs, syncfs};

use guard_system::disk::Dir;

/// btrfs, by the number of `statfs`.
pub(crate) const BTRFS: u64 = 0x9123_683E;
/// xfs, by the number of `statfs`.
pub(crate) const XFS: u64 = 0x5846_5342;

/// File systems of this kernel's own disks, by the numbers of `statfs`: a file that is written to gets a new change time, one
/// that is replaced another inode, and a store into a mapped page is seen once the page was flushed. tmpfs sets no time when
/// a mapped page is written; FUSE and network file systems hand on times that somebody else sets, or numbers that they make
/// up.
const BELIEVED: [u64; 7] = [
    0xEF53, // ext2, ext3, ext4
    XFS,
    BTRFS,
    0xF2F5_2010, // f2fs
    0x2FC1_2FC1, // zfs
    0xCA45_1A4E, // bcachefs
    0x794C_7630, // overlayfs, which hands on those of its upper layer
];

/// Whether a file in this tree that has the times and the number that it had is as it was. Where not, it has to be read.
pub(crate) fn tells(root: &Dir) -> bool {
    kind_of(root).is_some_and(|kind| BELIEVED.contains(&kind))
}

/// Which file system a directory lies on, by the number of `statfs`.
pub(crate) fn kind_of(dir: &Dir) -> Option<u64> {
    u64::try_from(fstatfs(dir).ok()?.f_type).ok()
}

/// The name of the file system that a directory lies on, for people.
pub(crate) fn name_of(dir: &Dir) -> &'static str {
    match kind_of(dir) {
        Some(0xEF53) => "ext4",
        Some(XFS) => "xfs",
        Some(BTRFS) => "btrfs",
        Some(0x0102_1994) => "tmpfs",
        Some(0x794C_7630) => "overlayfs",
        Some(0xF2F5_2010) => "f2fs",
        Some(0x2FC1_2FC1) => "zfs",
        Some(0xCA45_1A4E) => "bcachefs",
        Some(0x6969) => "nfs",
        _ => "its file system",
    }
}

/// Flushes what programs have stored into mapped files: the next store sets a time then. A file system that cannot is looked
/// at as it is.
pub(crate) fn flush(root: &Dir) {
    let _flushed = syncfs(root);
}
