//! What a file system can be believed: whether times and inode numbers tell that a file is as it was.

use rustix::fs::{fstatfs, syncfs};

use guard_system::disk::Dir;

/// File systems of this kernel's own disks, by the numbers of `statfs`: a file that is written to gets a new change time, one
/// that is replaced another inode, and a store into a mapped page is seen once the page was flushed. tmpfs sets no time when
/// a mapped page is written; FUSE and network file systems hand on times that somebody else sets, or numbers that they make
/// up.
const BELIEVED: [u64; 7] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683E, // btrfs
    0xF2F5_2010, // f2fs
    0x2FC1_2FC1, // zfs
    0xCA45_1A4E, // bcachefs
    0x794C_7630, // overlayfs, which hands on those of its upper layer
];

/// Whether a file in this tree that has the times and the number that it had is as it was. Where not, it has to be read.
pub(crate) fn tells(root: &Dir) -> bool {
    // The number is of another type on other machines.
    fstatfs(root).is_ok_and(|found| u64::try_from(found.f_type).is_ok_and(|kind| BELIEVED.contains(&kind)))
}

/// Flushes what programs have stored into mapped files: the next store sets a time then. A file system that cannot is looked
/// at as it is.
pub(crate) fn flush(root: &Dir) {
    let _flushed = syncfs(root);
}
