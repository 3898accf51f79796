//! The index of a copy: a line for each entry, in the order in which a walk meets them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::io::{self, BufRead, BufReader, Read, Write};

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};

use super::super::node::{Node, Shape};
use super::cut::Name;
use crate::resources::names::{escaped, unescaped};

/// Where a chunk is, and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The block, by its line in the list of blocks.
    pub(super) block: u32,
    /// Where it begins in the block.
    pub(super) at: u32,
    /// Its bytes.
    pub(super) length: u32,
    pub(super) name: Name,
}

/// What tells without reading that a file is as it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) inode: u64,
    pub(super) changed: (i64, i64),
}

impl Seen {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            inode: stat.st_ino,
            changed: (stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or_default()),
        }
    }
}

/// An entry with its content.
#[derive(Debug, Clone)]
pub(in super::super) struct Line {
    pub(in super::super) node: Node,
    pub(super) seen: Seen,
    pub(super) chunks: Vec<Chunk>,
}

#[derive(Serialize, Deserialize)]
struct Raw<'l> {
    #[serde(borrow)]
    path: Cow<'l, str>,
    #[serde(borrow)]
    r#type: Cow<'l, str>,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    time: (i64, u32),
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    link: Option<Cow<'l, str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    xattrs: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "is_none")]
    flags: u32,
    seen: Seen,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    chunks: Vec<(u32, u32, u32, Hex)>,
}

/// Whether there are no flags, as almost everywhere.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_none(flags: &u32) -> bool {
    *flags == 0
}

/// A name in hexadecimal.
struct Hex(Name);

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let number = u128::from_be_bytes(self.0);
        to.collect_str(&format_args!("{number:032x}"))
    }
}

impl<'d> Deserialize<'d> for Hex {
    fn deserialize<D: serde::Deserializer<'d>>(from: D) -> Result<Self, D::Error> {
        let text = <Cow<'_, str>>::deserialize(from)?;
        let number = u128::from_str_radix(&text, 16).map_err(serde::de::Error::custom)?;
        Ok(Self(number.to_be_bytes()))
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the index has {what}"))
}

impl Line {
    /// Writes the line.
    pub(super) fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        let node = &self.node;
        let (r#type, link) = match &node.shape {
            Shape::Directory => ("directory", None),
            Shape::File => ("file", None),
            Shape::Symlink(target) => ("symlink", Some(escaped(target))),
            Shape::Hardlink(target) => ("hardlink", Some(escaped(target))),
            Shape::Fifo => ("fifo", None),
        };
        let raw = Raw {
            path: escaped(&node.path).into(),
            r#type: r#type.into(),
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            size: node.size,
            time: node.mtime,
            link: link.map(Cow::from),
            xattrs: node
                .xattrs
                .iter()
                .map(|(name, value)| (name.clone(), escaped(value)))
                .collect(),
            flags: node.flags,
            seen: self.seen,
            chunks: self
                .chunks
                .iter()
                .map(|chunk| (chunk.block, chunk.at, chunk.length, Hex(chunk.name)))
                .collect(),
        };
        serde_json::to_writer(&mut *to, &raw)?;
        to.write_all(b"\n")
    }

    /// Reads a line.
    pub(super) fn of_text(text: &str) -> io::Result<Self> {
        let raw: Raw<'_> = serde_json::from_str(text)?;
        let plain = |text: &str| unescaped(text).ok_or_else(|| bad("a name with half an escape"));
        let link = raw.link.as_deref().map(plain).transpose()?.unwrap_or_default();
        let shape = match &*raw.r#type {
            "directory" => Shape::Directory,
            "file" => Shape::File,
            "symlink" => Shape::Symlink(link),
            "hardlink" => Shape::Hardlink(sound(&link)?),
            "fifo" => Shape::Fifo,
            _ => return Err(bad("an entry of no known type")),
        };
        let xattrs = raw.xattrs.into_iter().map(|(name, value)| Ok((name, plain(&value)?)));
        let xattrs = xattrs.collect::<io::Result<_>>()?;
        let chunks = raw.chunks.into_iter().map(|(block, at, length, name)| Chunk {
            block,
            at,
            length,
            name: name.0,
        });
        Ok(Self {
            node: Node {
                path: sound(&plain(&raw.path)?)?,
                shape,
                mode: raw.mode & 0o7777,
                uid: raw.uid,
                gid: raw.gid,
                size: raw.size,
                mtime: raw.time,
                xattrs,
                flags: raw.flags,
            },
            seen: raw.seen,
            chunks: chunks.collect(),
        })
    }
}

/// A path that stays below the root.
fn sound(path: &[u8]) -> io::Result<Vec<u8>> {
    let named = [b"./", path].concat();
    super::super::archive::inside(&named)
}

/// The order of a walk: parents before children, names sorted within each directory.
pub(super) fn order(one: &[u8], other: &[u8]) -> Ordering {
    let key = |path: &'_ [u8]| -> Vec<u8> { path.iter().map(|byte| if *byte == b'/' { 0 } else { *byte }).collect() };
    if one.contains(&b'/') || other.contains(&b'/') {
        key(one).cmp(&key(other))
    } else {
        one.cmp(other)
    }
}

/// Whether a path is this one or lies below it.
pub(super) fn is_within(path: &[u8], above: &[u8]) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| above.is_empty() || rest.is_empty() || rest.starts_with(b"/"))
}

/// Reads an index line by line.
pub(in super::super) struct Lines {
    input: BufReader<zstd::Decoder<'static, BufReader<Box<dyn Read + Send>>>>,
    text: String,
    peeked: Option<Line>,
}

impl Lines {
    pub(in super::super) fn of(input: Box<dyn Read + Send>) -> io::Result<Self> {
        Ok(Self {
            input: BufReader::with_capacity(256 * 1024, zstd::Decoder::new(input)?),
            text: String::new(),
            peeked: None,
        })
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.peeked.take() {
            return Ok(Some(line));
        }
        self.text.clear();
        if self.input.read_line(&mut self.text)? == 0 {
            return Ok(None);
        }
        Line::of_text(&self.text).map(Some)
    }

    /// The next line where it is not behind this path in the order of a walk; one that is stays.
    pub(super) fn next_up_to(&mut self, path: &[u8]) -> io::Result<Option<Line>> {
        match self.next()? {
            Some(line) if order(&line.node.path, path) == Ordering::Greater => {
                self.peeked = Some(line);
                Ok(None)
            }
            other => Ok(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_a_walk() {
        let walked: [&[u8]; 8] = [b"", b"a", b"a/b", b"a/b/c", b"a-b", b"a-b/c", b"a.txt", b"b"];
        for (at, one) in walked.iter().enumerate() {
            for (other_at, other) in walked.iter().enumerate() {
                assert_eq!(order(one, other), at.cmp(&other_at), "{one:?} {other:?}");
            }
        }
        assert!(is_within(b"a/b", b"a") && is_within(b"a", b"a") && is_within(b"a", b"") && !is_within(b"a-b", b"a"));
    }
}
