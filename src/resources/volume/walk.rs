//! Reads a live tree, in a fixed order, without following a link or leaving its file system.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, lgetxattr, llistxattr, lstat, openat, statat};
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
    Node(Node, &'p Path, &'p Stat),
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
    let mut around = Around::default();
    let device = around.look(root).at("look at", root)?.st_dev;
    let above = root.as_os_str().len();
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
        let stat = match around.look(path) {
            Ok(stat) => stat,
            Err(error) if entry.depth() > 0 && is_gone(&error) => continue,
            Err(error) => return Err(error).at("look at", path)?,
        };
        // Every path begins with the root's, as it was given.
        let below = path.as_os_str().as_bytes().get(above..).unwrap_or_default();
        let below = below.strip_prefix(b"/").unwrap_or(below).to_vec();
        if stat.st_dev != device {
            take(Met::Lost(format!("another file system mounted at {}", escaped(&below))))?;
            continue;
        }
        let Some(shape) = shape(&stat, path, &below, &mut linked)? else {
            take(Met::Lost(format!("{} {}", noun(&stat), escaped(&below))))?;
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
        take(Met::Node(node(below, shape, &stat, xattrs), path, &stat))?;
    }
    Ok(())
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// The directory that was opened last: what lies in it is found from there, and not from the root of all again.
#[derive(Default)]
struct Around {
    path: PathBuf,
    directory: Option<OwnedFd>,
}

impl Around {
    /// What the file system says of an entry itself, and not of what a link leads to.
    fn look(&mut self, path: &Path) -> io::Result<Stat> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(lstat(path)?);
        };
        if self.directory.is_none() || self.path.as_os_str() != parent.as_os_str() {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let shown = if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            };
            self.directory = Some(openat(CWD, shown, flags, Mode::empty())?);
            parent.clone_into(&mut self.path);
        }
        match &self.directory {
            Some(directory) => Ok(statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?),
            None => Ok(lstat(path)?),
        }
    }
}

/// The entry that this describes.
pub(super) fn node(path: Vec<u8>, shape: Shape, stat: &Stat, xattrs: Vec<(String, Vec<u8>)>) -> Node {
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    Node {
        path,
        size: if shape == Shape::File { size } else { 0 },
        shape,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or_default()),
        xattrs,
    }
}

fn shape(stat: &Stat, path: &Path, below: &[u8], linked: &mut HashMap<u64, Vec<u8>>) -> Result<Option<Shape>> {
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Some(Shape::Directory),
        FileType::Symlink => {
            let target = std::fs::read_link(path).at("read the link", path)?;
            Some(Shape::Symlink(target.as_os_str().as_bytes().to_vec()))
        }
        FileType::RegularFile => {
            if stat.st_nlink < 2 {
                return Ok(Some(Shape::File));
            }
            let first = linked.entry(stat.st_ino).or_insert_with(|| below.to_owned());
            Some(if first == below {
                Shape::File
            } else {
                Shape::Hardlink(first.clone())
            })
        }
        FileType::Fifo => Some(Shape::Fifo),
        _ => None,
    })
}

fn noun(stat: &Stat) -> &'static str {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Socket => "socket",
        FileType::BlockDevice | FileType::CharacterDevice => "device",
        _ => "entry of an unknown type",
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

/// What the file system says of an open file; `None` where it is no file.
pub(super) fn look_at_file(file: &File, path: &Path) -> Result<Option<Stat>> {
    let stat = fstat(file).map_err(io::Error::from).at("look at", path)?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    Ok(is_file.then_some(stat))
}

/// The entry of a directory itself, without attributes.
pub(super) fn own_node(directory: &Path) -> Result<Node> {
    let stat = lstat(directory).map_err(io::Error::from).at("look at", directory)?;
    Ok(node(Vec::new(), Shape::Directory, &stat, Vec::new()))
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
