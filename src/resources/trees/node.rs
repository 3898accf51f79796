//! One entry of a tree: what is kept of it, and the digest that tells one state of a tree from another.

use std::collections::BTreeMap;

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};

use crate::names::escaped;
use guard_model::fingerprint::Fingerprint;
use guard_system::disk::Digest;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link, with its target as it stands.
    Symlink(Vec<u8>),
    /// A further name of the file at this path, which stands earlier in the tree.
    Hardlink(Vec<u8>),
    /// A named pipe.
    Fifo,
}

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Path below the root, `/` between components; empty for the root itself.
    pub(crate) path: Vec<u8>,
    /// What it is.
    pub(crate) shape: Shape,
    /// Permissions, with setuid, setgid and sticky.
    pub(crate) mode: u32,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Bytes of a regular file; else 0.
    pub(crate) size: u64,
    /// Modification time: whole seconds since 1970, which may be negative, and nanoseconds.
    pub(crate) mtime: (i64, u32),
    /// Extended attributes.
    pub(crate) xattrs: Vec<(String, Vec<u8>)>,
    /// Flags of the inode that `chattr` sets.
    pub(crate) flags: u32,
}

/// How finely modification times are compared: an archive that was made by hand knows only seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Precision {
    /// As the file system tells them.
    Nanoseconds,
    /// As a plain tar tells them.
    Seconds,
}

impl Precision {
    /// As an act's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Nanoseconds => "nanoseconds",
            Self::Seconds => "seconds",
        }
    }
}

/// A line of the index: what the archive holds under one path. A later line of the same path replaces an earlier one.
#[derive(Serialize)]
pub(crate) struct Line<'n> {
    path: String,
    r#type: &'static str,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    seconds: i64,
    nanoseconds: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<&'n str>,
    xattrs: Vec<(&'n str, String)>,
    flags: u32,
    seen: Seen,
}

impl Node {
    /// The entry's line in the index; `sha256` of a regular file's content.
    pub(crate) fn line<'n>(&'n self, seen: Seen, sha256: Option<&'n str>) -> Line<'n> {
        let (r#type, link) = match &self.shape {
            Shape::Directory => ("directory", None),
            Shape::File => ("file", None),
            Shape::Symlink(target) => ("symlink", Some(escaped(target))),
            Shape::Hardlink(target) => ("hardlink", Some(escaped(target))),
            Shape::Fifo => ("fifo", None),
        };
        Line {
            path: escaped(&self.path),
            r#type,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            size: self.size,
            seconds: self.mtime.0,
            nanoseconds: self.mtime.1,
            link,
            sha256,
            xattrs: self
                .xattrs
                .iter()
                .map(|(name, value)| (name.as_str(), escaped(value)))
                .collect(),
            flags: self.flags,
            seen,
        }
    }

    fn digest_into(&self, digest: &mut Digest, precision: Precision) {
        let (letter, link): (&[u8], &[u8]) = match &self.shape {
            Shape::Directory => (b"d", b""),
            Shape::File => (b"f", b""),
            Shape::Symlink(target) => (b"l", target),
            Shape::Hardlink(target) => (b"h", target),
            Shape::Fifo => (b"p", b""),
        };
        for bytes in [letter, &self.path, link] {
            digest.update(&(bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        }
        // A link's own mode means nothing, and a further name's are those of the first.
        let (mode, size, mtime) = match self.shape {
            Shape::File => (self.mode, self.size, self.mtime),
            Shape::Directory | Shape::Fifo => (self.mode, 0, (0, 0)),
            Shape::Symlink(_) | Shape::Hardlink(_) => (0, 0, (0, 0)),
        };
        let nanoseconds = if precision == Precision::Nanoseconds {
            mtime.1
        } else {
            0
        };
        for number in [mode, self.uid, self.gid, nanoseconds] {
            digest.update(&number.to_le_bytes());
        }
        digest.update(&size.to_le_bytes());
        digest.update(&mtime.0.to_le_bytes());
    }
}

/// Up to so many top-level entries are told apart by name.
const NAMED: usize = 100;

/// Takes a tree in order, entry by entry, and tells its fingerprint.
///
/// It tells one copy from another, and is cheap: names, types, modes, owners, sizes, link targets, and the modification times
/// of regular files. Whether a live tree is as a copy is not decided by it, since content can be another where all of these are
/// the same.
pub(crate) struct Portrait {
    precision: Precision,
    whole: Digest,
    tops: BTreeMap<Vec<u8>, Digest>,
    entries: u64,
    bytes: u64,
}

impl Portrait {
    pub(crate) fn new(precision: Precision) -> Self {
        Self {
            precision,
            whole: Digest::default(),
            tops: BTreeMap::new(),
            entries: 0,
            bytes: 0,
        }
    }

    /// Takes the next entry.
    pub(crate) fn take(&mut self, node: &Node) {
        self.entries += 1;
        self.bytes += node.size;
        node.digest_into(&mut self.whole, self.precision);
        let top = node.path.split(|byte| *byte == b'/').next().unwrap_or_default();
        if self.tops.len() <= NAMED || self.tops.contains_key(top) {
            let digest = self.tops.entry(top.to_owned()).or_default();
            node.digest_into(digest, self.precision);
        }
    }

    /// Entries taken, and the bytes of their files.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.entries, self.bytes)
    }

    /// The fingerprint of all that was taken.
    pub(crate) fn finish(self) -> Fingerprint {
        if self.tops.len() > NAMED {
            return Fingerprint::default().with("content", self.whole.hex());
        }
        self.tops
            .iter()
            .fold(Fingerprint::default(), |fingerprint, (top, digest)| {
                let part = if top.is_empty() {
                    "the directory itself".to_owned()
                } else {
                    format!("entry {}", escaped(top))
                };
                fingerprint.with(part, digest.hex())
            })
    }
}

/// What tells without reading that a file is as it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) inode: u64,
    pub(crate) changed: (i64, i64),
}

impl Seen {
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            inode: stat.st_ino,
            changed: (stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or_default()),
        }
    }
}
