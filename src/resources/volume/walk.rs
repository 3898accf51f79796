//! Reads a live tree, in a fixed order, without following a link or leaving its file system.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, lgetxattr, llistxattr, openat};
use walkdir::WalkDir;

use super::aside::is_ours;
use super::node::{Node, Portrait, Precision, Shape};
use crate::model::fingerprint::Fingerprint;
use crate::resources::names::escaped;
use crate::resources::{ResourceError, Result};
use crate::system::context::Context;
use crate::system::disk::At;

/// What is met on the way through a tree.
pub(super) enum Met<'p> {
    /// An entry that can be kept, where it is, and what the file system says of it.
    Node(Node, &'p Path, &'p Metadata),
    /// Something that cannot be kept, as a sentence.
    Lost(String),
}

/// Goes through the tree at `root`, itself first, then depth first with sorted names. What vanishes on the way is passed
/// over as if it had gone before.
///
/// # Errors
/// Something cannot be read, `take` fails, or guard was asked to stop.
pub(super) fn walk(
    root: &Path,
    with_xattrs: bool,
    cx: &Context,
    mut take: impl FnMut(Met<'_>) -> Result<()>,
) -> Result<()> {
    let device = std::fs::symlink_metadata(root).at("look at", root)?.dev();
    let mut linked: HashMap<u64, Vec<u8>> = HashMap::new();
    let entries = WalkDir::new(root)
        .sort_by_file_name()
        .same_file_system(true)
        .into_iter()
        .filter_entry(|entry| entry.depth() != 1 || !is_ours(entry.file_name()));
    for entry in entries {
        if cx.stop.is_asked() {
            return Err(ResourceError::new(format!(
                "reading {} was stopped because guard was asked to stop",
                root.display()
            )));
        }
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if error.depth() > 0 && error.io_error().is_some_and(is_gone) => continue,
            Err(error) => {
                return Err(ResourceError::because(
                    format!("could not read {}", root.display()),
                    error,
                ));
            }
        };
        let path = entry.path();
        let metadata = match std::fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if entry.depth() > 0 && is_gone(&error) => continue,
            Err(error) => return Err(error).at("look at", path)?,
        };
        let below = path.strip_prefix(root).unwrap_or(path).as_os_str().as_bytes().to_vec();
        if metadata.dev() != device {
            take(Met::Lost(format!("another file system mounted at {}", escaped(&below))))?;
            continue;
        }
        let Some(shape) = shape(&metadata, path, &below, &mut linked)? else {
            take(Met::Lost(format!("{} {}", noun(&metadata), escaped(&below))))?;
            continue;
        };
        let mut xattrs = Vec::new();
        if with_xattrs && !matches!(shape, Shape::Hardlink(_)) {
            let (kept, lost) = attributes(path)?;
            xattrs = kept;
            for name in lost {
                take(Met::Lost(format!(
                    "attribute {} of {}",
                    escaped(&name),
                    escaped(&below)
                )))?;
            }
        }
        take(Met::Node(node(below, shape, &metadata, xattrs), path, &metadata))?;
    }
    Ok(())
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// The entry that this metadata describes.
pub(super) fn node(path: Vec<u8>, shape: Shape, metadata: &Metadata, xattrs: Vec<(String, Vec<u8>)>) -> Node {
    let size = if shape == Shape::File { metadata.size() } else { 0 };
    Node {
        path,
        shape,
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        size,
        mtime: (
            metadata.mtime(),
            u32::try_from(metadata.mtime_nsec()).unwrap_or_default(),
        ),
        xattrs,
    }
}

fn shape(metadata: &Metadata, path: &Path, below: &[u8], linked: &mut HashMap<u64, Vec<u8>>) -> Result<Option<Shape>> {
    let kind = metadata.file_type();
    Ok(if kind.is_dir() {
        Some(Shape::Directory)
    } else if kind.is_symlink() {
        let target = std::fs::read_link(path).at("read the link", path)?;
        Some(Shape::Symlink(target.as_os_str().as_bytes().to_vec()))
    } else if kind.is_file() {
        if metadata.nlink() < 2 {
            return Ok(Some(Shape::File));
        }
        let first = linked.entry(metadata.ino()).or_insert_with(|| below.to_owned());
        Some(if first == below {
            Shape::File
        } else {
            Shape::Hardlink(first.clone())
        })
    } else if kind.is_fifo() {
        Some(Shape::Fifo)
    } else {
        None
    })
}

fn noun(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_socket() {
        "socket"
    } else if kind.is_block_device() || kind.is_char_device() {
        "device"
    } else {
        "entry of an unknown type"
    }
}

/// Names and values.
pub(super) type Attributes = Vec<(String, Vec<u8>)>;

/// The attributes that can be put back as they are: the user's own, capabilities, access lists. The others belong to the
/// host's security policy.
pub(super) fn attributes(path: &Path) -> Result<(Attributes, Vec<Vec<u8>>)> {
    let mut list = vec![0_u8; 64 * 1024];
    let length = match llistxattr(path, &mut list[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOENT) => return Ok((Vec::new(), Vec::new())),
        Err(error) => return Err(error).at("list the attributes of", path)?,
    };
    let (mut kept, mut foreign) = (Vec::new(), Vec::new());
    let names = list.get(..length).unwrap_or_default().split(|byte| *byte == 0);
    for name in names.filter(|name| !name.is_empty()) {
        let text = std::str::from_utf8(name).ok().filter(|text| !text.contains('='));
        let Some(text) = text.filter(|text| {
            text.starts_with("user.") || text.starts_with("system.posix_acl_") || *text == "security.capability"
        }) else {
            foreign.push(name.to_owned());
            continue;
        };
        let mut value = vec![0_u8; 64 * 1024];
        match lgetxattr(path, text, &mut value[..]) {
            Ok(length) => value.truncate(length),
            Err(rustix::io::Errno::NODATA | rustix::io::Errno::NOENT) => continue,
            Err(error) => return Err(error).at("read an attribute of", path)?,
        }
        kept.push((text.to_owned(), value));
    }
    Ok((kept, foreign))
}

/// Opens a file for reading, never waiting for a pipe that took its place.
pub(super) fn open_file(path: &Path) -> Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match openat(CWD, path, flags, Mode::empty()) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(error).at("open", path)?,
    }
}

/// The fingerprint of a live tree, with its entries and bytes. Contents are not read.
///
/// # Errors
/// It cannot be read, or guard was asked to stop.
pub(super) fn portrait(root: &Path, precision: Precision, cx: &Context) -> Result<(Fingerprint, (u64, u64))> {
    let mut portrait = Portrait::new(precision);
    walk(root, false, cx, |met| {
        if let Met::Node(node, ..) = met {
            portrait.take(&node);
        }
        Ok(())
    })?;
    let counts = portrait.counts();
    Ok((portrait.finish(), counts))
}
