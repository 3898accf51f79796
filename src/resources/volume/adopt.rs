//! An archive that somebody made by hand with tar and gzip: read with suspicion, written anew in guard's form.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};

use super::capture::Copy;
use super::sparse::Sparse;
use crate::error::{ResourceError, Result};
use crate::names::escaped;
use crate::slot::Slot;
use crate::trees::copied::Copied;
use crate::trees::node::{Node, Precision, Seen, Shape};
use crate::trees::private_names::is_ours;
use crate::trees::walk;
use guard_system::context::Context;
use guard_system::disk::{self, At, Dir};

fn bad(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

/// An archive's name without `./` before it and `/` behind it. What could lead elsewhere is refused, not repaired.
fn plain(name: &[u8]) -> io::Result<Vec<u8>> {
    let rest = name.strip_prefix(b"./").unwrap_or(name);
    let rest = rest.strip_suffix(b"/").unwrap_or(rest);
    let sound = |part: &[u8]| !part.is_empty() && part != b"." && part != b".." && !part.contains(&0);
    if rest.is_empty() || rest == b"." {
        Ok(Vec::new())
    } else if rest.split(|byte| *byte == b'/').all(sound) {
        Ok(rest.to_owned())
    } else {
        Err(bad(format!("the name {:?} leads out of the volume", escaped(name))))
    }
}

type Packed = Archive<MultiGzDecoder<BufReader<File>>>;

fn open(path: &Path) -> Result<Packed> {
    let file = File::open(path).at("open", path)?;
    Ok(Archive::new(MultiGzDecoder::new(BufReader::with_capacity(
        256 * 1024,
        file,
    ))))
}

/// Where the volume's own directory is in an archive: at its root, or in its only directory.
struct Root(Vec<u8>);

impl Root {
    /// `tar -C DIR .` writes names below `./`; `tar DIR` puts one directory around all. Where the volume has an entry of
    /// that name itself, it is that entry.
    fn of(path: &Path, live: &Path) -> Result<Self> {
        let spoiled = |error| not_adopted(path, error);
        let (mut tops, mut is_dotted) = (BTreeSet::new(), false);
        let mut archive = open(path)?;
        for entry in archive.entries().map_err(spoiled)? {
            let mut entry = entry.map_err(spoiled)?;
            let sparse = Sparse::of(&mut entry).map_err(spoiled)?;
            let named = sparse.and_then(|sparse| sparse.name);
            let raw = named.unwrap_or_else(|| entry.path_bytes().into_owned());
            let name = plain(&raw).map_err(spoiled)?;
            is_dotted |= raw.starts_with(b"./") || name.is_empty();
            let is_directory = entry.header().entry_type() == EntryType::Directory;
            let mut parts = name.splitn(2, |byte| *byte == b'/');
            let top = parts.next().unwrap_or_default().to_owned();
            tops.insert((top, parts.next().is_some() || is_directory));
        }
        let name = match tops.iter().next() {
            Some((name, true)) if tops.len() == 1 && !is_dotted => name.clone(),
            _ => return Ok(Self(Vec::new())),
        };
        let is_its_own = disk::exists(&live.join(OsStr::from_bytes(&name)))?;
        Ok(Self(if is_its_own { Vec::new() } else { name }))
    }

    fn below(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        let name = plain(name)?;
        if self.0.is_empty() {
            return Ok(name);
        }
        let rest = name.strip_prefix(self.0.as_slice()).unwrap_or_default();
        Ok(rest.strip_prefix(b"/").unwrap_or(rest).to_owned())
    }

    fn node(
        &self,
        entry: &mut Entry<'_, impl Read>,
        sparse: Option<&Sparse>,
    ) -> io::Result<std::result::Result<Node, String>> {
        let path = match sparse.and_then(|sparse| sparse.name.as_deref()) {
            Some(name) => self.below(name)?,
            None => self.below(&entry.path_bytes())?,
        };
        let link = entry
            .link_name_bytes()
            .map(std::borrow::Cow::into_owned)
            .unwrap_or_default();
        let shape = match entry.header().entry_type() {
            EntryType::Directory => Shape::Directory,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Shape::File,
            EntryType::Symlink => Shape::Symlink(link),
            EntryType::Link => Shape::Hardlink(self.below(&link)?),
            EntryType::Fifo => Shape::Fifo,
            _ => return Ok(Err(format!("device or other special entry {}", escaped(&path)))),
        };
        let number = |value: u64| u32::try_from(value).map_err(|_| bad("an owner that is no number of 32 bits"));
        let header = entry.header();
        Ok(Ok(Node {
            path,
            size: match (&shape, sparse) {
                (Shape::File, Some(sparse)) => sparse.size,
                (Shape::File, None) => entry.size(),
                _ => 0,
            },
            shape,
            mode: header.mode()? & 0o7777,
            uid: number(header.uid()?)?,
            gid: number(header.gid()?)?,
            mtime: (i64::try_from(header.mtime()?).unwrap_or_default(), 0),
            xattrs: Vec::new(),
            flags: 0,
        }))
    }
}

fn not_adopted(path: &Path, error: io::Error) -> ResourceError {
    ResourceError {
        copy_is_bad: error.kind() == io::ErrorKind::InvalidData || error.kind() == io::ErrorKind::UnexpectedEof,
        ..ResourceError::because(format!("could not take over {}", path.display()), error)
    }
}

/// What was met, in the order in which a walk meets it.
#[derive(Default)]
struct Met(BTreeMap<Vec<Vec<u8>>, Node>);

fn key(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/').map(<[u8]>::to_owned).collect()
}

impl Met {
    /// The directories above a path that the archive has not named, the outermost first.
    fn missing(&self, path: &[u8], root: &Node) -> Vec<Node> {
        let ends = path
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(end, _)| end);
        let above = ends
            .filter_map(|end| path.get(..end))
            .filter(|above| !self.0.contains_key(&key(above)));
        let above = above.map(|above| Node {
            path: above.to_owned(),
            xattrs: Vec::new(),
            flags: 0,
            ..root.clone()
        });
        above.collect()
    }

    /// As a live tree would be met: of the names of one file, the first is the file.
    fn walked(mut self) -> impl Iterator<Item = Node> {
        let mut groups: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
        for node in self.0.values() {
            if let Shape::Hardlink(target) = &node.shape {
                let names = groups.entry(target.clone()).or_insert_with(|| vec![target.clone()]);
                names.push(node.path.clone());
            }
        }
        for (file, mut names) in groups {
            names.sort_by_key(|name| key(name));
            let Some(node) = self.0.get(&key(&file)).cloned() else {
                continue;
            };
            let first = names.first().cloned().unwrap_or_default();
            for path in names {
                let shape = if path == first {
                    Shape::File
                } else {
                    Shape::Hardlink(first.clone())
                };
                let size = if path == first { node.size } else { 0 };
                let named = Node {
                    path: path.clone(),
                    shape,
                    size,
                    ..node.clone()
                };
                self.0.insert(key(&path), named);
            }
        }
        self.0.into_values()
    }
}

/// Copies such an archive into the slot, as a copy of the tree that is live at `live`.
///
/// # Errors
/// It is damaged, names what lies outside, or cannot be written.
pub(super) fn copy(path: &Path, live: &Path, slot: &Slot, level: i32, cx: &Context) -> Result<Copied> {
    let spoiled = |error| not_adopted(path, error);
    let root = Root::of(path, live)?;
    let own = walk::own_node(&Dir::open(live).at("open", live)?)?;
    let own = Node {
        mtime: (own.mtime.0, 0),
        ..own
    };
    let mut copy = Copy::begin(slot, level, Precision::Seconds, None, cx)?;
    copy.lose("sub-second times and attributes, which such an archive does not carry".to_owned());
    let mut met = Met::default();
    let mut is_begun = false;
    let mut archive = open(path)?;
    for entry in archive.entries().map_err(spoiled)? {
        let mut entry = entry.map_err(spoiled)?;
        let sparse = Sparse::of(&mut entry).map_err(spoiled)?;
        let node = match root.node(&mut entry, sparse.as_ref()).map_err(spoiled)? {
            Ok(node) => node,
            Err(lost) => {
                copy.lose(lost);
                continue;
            }
        };
        if node
            .path
            .split(|byte| *byte == b'/')
            .next()
            .is_some_and(|top| is_ours(OsStr::from_bytes(top)))
        {
            // What an earlier rollback kept aside in the volume was never a part of it.
            continue;
        }
        if !is_begun && !node.path.is_empty() {
            met.0.insert(key(&own.path), own.clone());
            copy.write(&own, Seen::default(), &mut io::empty()).map_err(spoiled)?;
        }
        is_begun = true;
        for above in met.missing(&node.path, &own) {
            copy.write(&above, Seen::default(), &mut io::empty()).map_err(spoiled)?;
            met.0.insert(key(&above.path), above);
        }
        let known = met.0.get(&key(&node.path));
        match (known.map(|known| &known.shape), &node.shape) {
            // Written already, for what lies in it; what the archive says of it comes too late.
            (Some(Shape::Directory), Shape::Directory) => continue,
            (None, _) | (Some(Shape::File), Shape::File) => {}
            _ => return Err(spoiled(bad(format!("{} stands in it twice", escaped(&node.path))))),
        }
        if let Shape::Hardlink(target) = &node.shape
            && met.0.get(&key(target)).is_none_or(|target| target.shape != Shape::File)
        {
            return Err(spoiled(bad(format!("{} is a link to no file", escaped(&node.path)))));
        }
        match sparse.filter(|_| node.shape == Shape::File) {
            Some(sparse) => {
                let mut filled = sparse.content(&mut entry).map_err(spoiled)?;
                copy.write(&node, Seen::default(), &mut filled).map_err(spoiled)?;
                // Where pieces are missing, they are not made up.
                let mut rest = [0];
                if filled.read(&mut rest).map_err(spoiled)? != 0 {
                    return Err(spoiled(bad("a sparse file that is longer than it says")));
                }
            }
            None => copy.write(&node, Seen::default(), &mut entry).map_err(spoiled)?,
        }
        met.0.insert(key(&node.path), node);
    }
    if !is_begun {
        copy.write(&own, Seen::default(), &mut io::empty()).map_err(spoiled)?;
        met.0.insert(key(&own.path), own);
    }
    for node in met.walked() {
        copy.note(&node);
    }
    copy.finish(slot)
}
