//! The index of a copy: a line for each entry, in the order in which a walk meets them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader, Read, Write};

use serde::{Deserialize, Serialize};

use super::cut::Name;
use super::form::Form;
use crate::names::{escaped, unescaped};
use crate::trees::node::{Node, Seen, Shape};

/// Where a chunk is, and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// The block, by its line in the list of blocks.
    pub(crate) block: u32,
    /// Where it begins in the block.
    pub(crate) at: u32,
    /// Its bytes.
    pub(crate) length: u32,
    pub(crate) name: Name,
}

/// An entry with its content.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) node: Node,
    pub(crate) seen: Seen,
    pub(crate) chunks: Vec<Chunk>,
    /// Where the content is not in chunks: its SHA-256.
    pub(crate) sha256: Option<String>,
    /// Whether attributes and flags are known; an archive that somebody else made does not tell them.
    pub(crate) has_features: bool,
}

impl Line {
    /// An entry whose content is told by chunks, of which it has none yet.
    pub(crate) fn new(node: Node, seen: Seen) -> Self {
        Self {
            node,
            seen,
            chunks: Vec::new(),
            sha256: None,
            has_features: true,
        }
    }
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
    pub(crate) fn write(&self, to: &mut dyn Write) -> io::Result<()> {
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
    pub(crate) fn of_text(text: &str) -> io::Result<Self> {
        Self::of_raw(serde_json::from_str(text)?)
    }

    fn of_raw(raw: Raw<'_>) -> io::Result<Self> {
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
            sha256: None,
            has_features: true,
        })
    }
}

/// A line of the index of an archive, as `Node::line` writes it; older ones lack the last three.
#[derive(Deserialize)]
struct Archived {
    path: String,
    r#type: String,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    seconds: i64,
    nanoseconds: u32,
    #[serde(default)]
    link: Option<String>,
    #[serde(default)]
    sha256: Option<String>,
    #[serde(default)]
    xattrs: Option<Vec<(String, String)>>,
    #[serde(default)]
    flags: u32,
    #[serde(default)]
    seen: Seen,
}

impl Archived {
    fn line(self) -> io::Result<Line> {
        let has_features = self.xattrs.is_some();
        let raw = Raw {
            path: self.path.into(),
            r#type: self.r#type.into(),
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            size: self.size,
            time: (self.seconds, self.nanoseconds),
            link: self.link.map(Cow::from),
            xattrs: self.xattrs.unwrap_or_default(),
            flags: self.flags,
            seen: self.seen,
            chunks: Vec::new(),
        };
        Ok(Line {
            sha256: self.sha256,
            has_features,
            ..Line::of_raw(raw)?
        })
    }
}

/// A path that stays below the root.
fn sound(path: &[u8]) -> io::Result<Vec<u8>> {
    let named = [b"./", path].concat();
    crate::trees::archive::inside(&named)
}

/// The order of a walk: parents before children, names sorted within each directory.
pub(crate) fn order(one: &[u8], other: &[u8]) -> Ordering {
    let key = |path: &'_ [u8]| -> Vec<u8> { path.iter().map(|byte| if *byte == b'/' { 0 } else { *byte }).collect() };
    if one.contains(&b'/') || other.contains(&b'/') {
        key(one).cmp(&key(other))
    } else {
        one.cmp(other)
    }
}

/// Whether a path is this one or lies below it.
pub(crate) fn is_within(path: &[u8], above: &[u8]) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| above.is_empty() || rest.is_empty() || rest.starts_with(b"/"))
}

type Unpacked = BufReader<zstd::Decoder<'static, BufReader<Box<dyn Read + Send>>>>;

/// Where lines come from.
enum From {
    /// An index whose lines are in order.
    Index(Unpacked),
    /// Lines that were put in order.
    Sorted(std::vec::IntoIter<Line>),
}

/// Reads an index line by line.
pub(crate) struct Lines {
    from: From,
    text: String,
    peeked: Option<Line>,
}

/// The lines of the index of an archive, in the order of a walk: of those with one path the last counts, and of the names of
/// one file the first is the file.
fn archived(mut input: Unpacked) -> io::Result<Vec<Line>> {
    let mut found: BTreeMap<Vec<u8>, Line> = BTreeMap::new();
    // Sorted as a walk goes: a separator comes before every other byte.
    let key = |path: &[u8]| -> Vec<u8> { path.iter().map(|byte| if *byte == b'/' { 0 } else { *byte }).collect() };
    let mut text = String::new();
    while input.read_line(&mut text)? > 0 {
        let line = serde_json::from_str::<Archived>(&text)?.line()?;
        found.insert(key(&line.node.path), line);
        text.clear();
    }
    let mut names: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
    for line in found.values() {
        if let Shape::Hardlink(target) = &line.node.shape {
            names.entry(target.clone()).or_default().push(line.node.path.clone());
        }
    }
    for (target, mut paths) in names {
        paths.push(target.clone());
        paths.sort_by_key(|path| key(path));
        let first = paths.first().cloned().unwrap_or_default();
        if first == target {
            continue;
        }
        let Some(file) = found.get(&key(&target)).cloned() else {
            return Err(bad("a further name of a file that is not there"));
        };
        for path in paths {
            let mut line = file.clone();
            if path != first {
                line.node.shape = Shape::Hardlink(first.clone());
                line.node.size = 0;
            }
            line.node.path.clone_from(&path);
            found.insert(key(&path), line);
        }
    }
    Ok(found.into_values().collect())
}

impl Lines {
    pub(crate) fn of(input: Box<dyn Read + Send>) -> io::Result<Self> {
        let input = BufReader::with_capacity(256 * 1024, zstd::Decoder::new(input)?);
        Ok(Self::from(From::Index(input)))
    }

    /// Those of the index of a copy in this form.
    pub(crate) fn of_form(form: Form, input: Box<dyn Read + Send>) -> io::Result<Self> {
        match form {
            Form::Chunks => Self::of(input),
            Form::Archive => {
                let input = BufReader::with_capacity(256 * 1024, zstd::Decoder::new(input)?);
                Ok(Self::from(From::Sorted(archived(input)?.into_iter())))
            }
        }
    }

    fn from(from: From) -> Self {
        Self {
            from,
            text: String::new(),
            peeked: None,
        }
    }

    /// The next line; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.peeked.take() {
            return Ok(Some(line));
        }
        match &mut self.from {
            From::Sorted(lines) => Ok(lines.next()),
            From::Index(input) => {
                self.text.clear();
                if input.read_line(&mut self.text)? == 0 {
                    return Ok(None);
                }
                Line::of_text(&self.text).map(Some)
            }
        }
    }

    /// The next line where it is not behind this path in the order of a walk; one that is stays.
    pub(crate) fn next_up_to(&mut self, path: &[u8]) -> io::Result<Option<Line>> {
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
