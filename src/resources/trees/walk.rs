//! Reads a live tree, in a fixed order, without following a link or leaving its file system.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{FileType, Stat, fstat, readlinkat};

use super::attributes::{self, Features};
use super::filesystem;
use super::node::{Node, Portrait, Precision, Shape};
use super::private_names::{is_ours, is_private};
use crate::error::{ResourceError, Result};
use crate::names::escaped;
use guard_model::fingerprint::Fingerprint;
use guard_system::context::Context;
use guard_system::disk::{self, At, Dir, Object};

/// What is met on the way through a tree.
pub(crate) enum Met<'p> {
    /// An entry that can be kept, where it is, and what the file system says of it.
    Node(Node, &'p Found<'p>, &'p Stat),
    /// An entry that cannot be kept, by its path, and as a sentence: it stays where it is whatever goes back.
    Stays(Vec<u8>, String),
    /// A directory of guard's own, which is no part of the tree and stays too.
    Ours(Vec<u8>),
    /// A part of an entry that cannot be kept, as a sentence.
    Lost(String),
}

/// Where an entry is: in an open directory, under a name.
pub(crate) struct Found<'p> {
    around: &'p Dir,
    name: &'p [u8],
}

impl<'p> Found<'p> {
    pub(crate) fn new(around: &'p Dir, name: &'p [u8]) -> Self {
        Self { around, name }
    }

    /// For people.
    pub(crate) fn shown(&self) -> PathBuf {
        if self.name == b"." {
            self.around.shown().to_owned()
        } else {
            self.around.shown_at(self.name)
        }
    }

    /// Opens a file for reading, never waiting for a pipe that took its place; `None`: it is gone.
    pub(crate) fn open_file(&self) -> Result<Option<File>> {
        match self.around.file(self.name) {
            Ok(file) => Ok(Some(file)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error).at("open", &self.shown())?,
        }
    }

    /// Which of immutable and append-only it is.
    pub(crate) fn locks(&self) -> Result<u32> {
        Ok(self.around.locks(self.name).at("look at", &self.shown())?)
    }

    /// Its attributes and flags, and the names of attributes that cannot be kept.
    pub(crate) fn features(&self, shape: &Shape) -> Result<(Features, Vec<Vec<u8>>)> {
        attributes::of(&self.around.held(self.name), &self.shown(), shape)
    }
}

/// So many directories stay open on the way down; one that lies above is opened again on the way up.
const OPEN: usize = 100;

/// A directory that a walk is in.
struct Level {
    /// `None`: to be opened again.
    dir: Option<Rc<Dir>>,
    object: Object,
    /// Below the root.
    path: Vec<u8>,
    names: std::vec::IntoIter<OsString>,
}

/// An entry that comes next: the directory that it is in, its name, and its path below the root.
type Next = (Rc<Dir>, OsString, Vec<u8>);

/// A walk that is under way.
struct Walk<'w> {
    root: &'w Dir,
    levels: Vec<Level>,
}

impl Walk<'_> {
    fn enter(&mut self, dir: Dir, path: Vec<u8>) -> io::Result<()> {
        let object = dir.object()?;
        let names = dir.names()?.into_iter();
        self.levels.push(Level {
            dir: Some(Rc::new(dir)),
            object,
            path,
            names,
        });
        if let Some(above) = self.levels.len().checked_sub(OPEN)
            && let Some(level) = self.levels.get_mut(above)
        {
            level.dir = None;
        }
        Ok(())
    }

    /// The next entry.
    fn next(&mut self) -> io::Result<Option<Next>> {
        while let Some(level) = self.levels.last_mut() {
            let Some(name) = level.names.next() else {
                self.levels.pop();
                continue;
            };
            let dir = if let Some(dir) = &level.dir {
                Rc::clone(dir)
            } else {
                let dir = self.root.dir(&level.path)?;
                if dir.object()? != level.object {
                    return Err(io::Error::other("it was moved while it was read"));
                }
                Rc::clone(level.dir.insert(Rc::new(dir)))
            };
            let path = joined(&level.path, name.as_bytes());
            return Ok(Some((dir, name, path)));
        }
        Ok(None)
    }
}

fn joined(above: &[u8], name: &[u8]) -> Vec<u8> {
    if above.is_empty() {
        name.to_vec()
    } else {
        [above, b"/", name].concat()
    }
}

/// Goes through the tree at `root`, itself first, then depth first with sorted names. What vanishes on the way is passed
/// over as if it had gone before.
///
/// # Errors
/// Something cannot be read, `take` fails, or guard was asked to stop.
pub(crate) fn walk(
    root: &Dir,
    with_xattrs: bool,
    cx: &Context,
    mut take: impl FnMut(Met<'_>) -> Result<()>,
) -> Result<()> {
    let shown = root.shown();
    let own = root.stat().at("look at", shown)?;
    let device = own.st_dev;
    let mut linked: HashMap<u64, Vec<u8>> = HashMap::new();
    // A mounted file looks like any other to a plain look.
    let has_mounts = has_mounts_below(root);
    let met = |found: &Found<'_>, path, shape, stat: &Stat, take: &mut dyn FnMut(Met<'_>) -> Result<()>| {
        meet(found, path, shape, stat, with_xattrs, take)
    };
    met(&Found::new(root, b"."), Vec::new(), Shape::Directory, &own, &mut take)?;
    let mut walk = Walk {
        root,
        levels: Vec::new(),
    };
    let top = root.again().at("open", shown)?;
    walk.enter(top, Vec::new()).at("read the directory", shown)?;
    while let Some((dir, name, path)) = walk.next().at("read", shown)? {
        if cx.stop.is_asked() {
            return Err(ResourceError::new(format!(
                "reading {} was stopped because guard was asked to stop",
                shown.display()
            )));
        }
        let name = name.as_bytes();
        let found = Found::new(&dir, name);
        let Some(stat) = dir.look(name).at("look at", &found.shown())? else {
            continue;
        };
        if is_ours(OsStr::from_bytes(name)) && is_private(&stat) {
            take(Met::Ours(path))?;
            continue;
        }
        let stays = |what: String| Met::Stays(path.clone(), what);
        let is_mount = has_mounts && dir.is_mount(name).at("look at", &found.shown())?;
        if stat.st_dev != device || is_mount || is_left_out(&dir, &stat) {
            take(stays(format!("another file system mounted at {}", escaped(&path))))?;
            continue;
        }
        let shape = match shape(&stat, &found, &path, &mut linked) {
            Ok(shape) => shape,
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error).at("read the link", &found.shown())?,
        };
        let Some(shape) = shape else {
            take(stays(format!("{} {}", noun(&stat), escaped(&path))))?;
            continue;
        };
        if shape != Shape::Directory {
            met(&found, path, shape, &stat, &mut take)?;
            continue;
        }
        let below = match dir.dir(name) {
            Ok(below) => below,
            Err(error) if is_gone(&error) => continue,
            Err(error) if disk::is_elsewhere(&error) => {
                take(stays(format!("another file system mounted at {}", escaped(&path))))?;
                continue;
            }
            Err(error) => return Err(error).at("open", &found.shown())?,
        };
        met(&found, path.clone(), shape, &stat, &mut take)?;
        walk.enter(below, path).at("read the directory", &found.shown())?;
    }
    Ok(())
}

fn meet(
    found: &Found<'_>,
    path: Vec<u8>,
    shape: Shape,
    stat: &Stat,
    with_xattrs: bool,
    take: &mut dyn FnMut(Met<'_>) -> Result<()>,
) -> Result<()> {
    let mut had = Features::default();
    if with_xattrs && !matches!(shape, Shape::Hardlink(_)) {
        let (kept, lost) = found.features(&shape)?;
        had = kept;
        for name in lost {
            take(Met::Lost(format!("attribute {} of {}", escaped(&name), escaped(&path))))?;
        }
    }
    take(Met::Node(node(path, shape, stat, had), found, stat))
}

/// Whether an entry stands for a subvolume that a snapshot of btrfs left out: an empty directory of this number, which no other
/// entry there has. What is live shows a file system of its own in its place.
fn is_left_out(dir: &Dir, stat: &Stat) -> bool {
    stat.st_ino == LEFT_OUT
        && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
        && filesystem::kind_of(dir) == Some(filesystem::BTRFS)
}

/// `BTRFS_EMPTY_SUBVOL_DIR_OBJECTID`.
const LEFT_OUT: u64 = 2;

/// Whether anything is mounted somewhere below a directory, as far as the kernel tells.
pub(crate) fn has_mounts_below(root: &Dir) -> bool {
    let (Ok(here), Ok(mounts)) = (root.now_at(), std::fs::read_to_string("/proc/self/mountinfo")) else {
        return true;
    };
    let here = here.to_string_lossy().into_owned();
    // Spaces and their like are written in octal there: such a path is taken for one that may have mounts.
    let is_plain = !here.contains([' ', '\t', '\n', '\\']) && !here.contains(char::REPLACEMENT_CHARACTER);
    let within = format!("{}/", here.trim_end_matches('/'));
    !is_plain
        || mounts
            .lines()
            .any(|line| line.split(' ').nth(4).is_some_and(|at| at.starts_with(&within)))
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// What of a tree no copy holds, and what therefore stays where it is: mounts, sockets, devices, guard's own directories.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stays {
    paths: BTreeSet<Vec<u8>>,
    around: BTreeSet<Vec<u8>>,
}

impl Stays {
    /// What stays of the tree at `root`.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn of(root: &Dir, cx: &Context) -> Result<Self> {
        let mut stays = Self::default();
        walk(root, false, cx, |met| {
            stays.note(&met);
            Ok(())
        })?;
        Ok(stays)
    }

    /// Takes what is met.
    pub(crate) fn note(&mut self, met: &Met<'_>) {
        if let Met::Stays(path, _) | Met::Ours(path) = met {
            self.add(path);
        }
    }

    /// Has this entry stay as well.
    pub(crate) fn add(&mut self, path: &[u8]) {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let above = ends.filter_map(|(end, _)| path.get(..end)).map(<[u8]>::to_vec);
        self.around.extend(above);
        self.paths.insert(path.to_owned());
    }

    /// Whether this very entry stays.
    pub(crate) fn holds(&self, path: &[u8]) -> bool {
        self.paths.contains(path)
    }

    /// Whether something stays in this directory.
    pub(crate) fn is_around(&self, path: &[u8]) -> bool {
        self.around.contains(path)
    }

    /// Whether there is any.
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }
}

/// The entry that this describes.
pub(crate) fn node(path: Vec<u8>, shape: Shape, stat: &Stat, features: Features) -> Node {
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    Node {
        path,
        size: if shape == Shape::File { size } else { 0 },
        shape,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or_default()),
        xattrs: features.xattrs,
        flags: features.flags,
    }
}

fn shape(
    stat: &Stat,
    found: &Found<'_>,
    below: &[u8],
    linked: &mut HashMap<u64, Vec<u8>>,
) -> io::Result<Option<Shape>> {
    let kind = FileType::from_raw_mode(stat.st_mode);
    // Links and pipes may have further names as files do.
    if stat.st_nlink > 1 && matches!(kind, FileType::RegularFile | FileType::Symlink | FileType::Fifo) {
        let first = linked.entry(stat.st_ino).or_insert_with(|| below.to_owned());
        if first != below {
            return Ok(Some(Shape::Hardlink(first.clone())));
        }
    }
    Ok(match kind {
        FileType::Directory => Some(Shape::Directory),
        FileType::Symlink => {
            let target = readlinkat(found.around, found.name, Vec::new())?;
            Some(Shape::Symlink(target.into_bytes()))
        }
        FileType::RegularFile => Some(Shape::File),
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

/// What the file system says of an open file; `None` where it is no file.
pub(crate) fn look_at_file(file: &File, path: &Path) -> Result<Option<Stat>> {
    let stat = fstat(file).map_err(io::Error::from).at("look at", path)?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    Ok(is_file.then_some(stat))
}

/// The entry of a directory itself.
pub(crate) fn own_node(directory: &Dir) -> Result<Node> {
    let shown = directory.shown();
    let stat = directory.stat().at("look at", shown)?;
    let (had, _) = attributes::of_open(directory, shown)?;
    Ok(node(Vec::new(), Shape::Directory, &stat, had))
}

/// The fingerprint of a live tree, with its entries and bytes. Contents are not read.
///
/// # Errors
/// It cannot be read, or guard was asked to stop.
pub(crate) fn portrait(root: &Dir, precision: Precision, cx: &Context) -> Result<(Fingerprint, (u64, u64))> {
    portrait_without(root, &BTreeSet::new(), precision, cx)
}

/// The same, as if these directories (escaped paths) were not there; what is in them counts.
///
/// # Errors
/// As for [`portrait`].
pub(crate) fn portrait_without(
    root: &Dir,
    bare: &BTreeSet<String>,
    precision: Precision,
    cx: &Context,
) -> Result<(Fingerprint, (u64, u64))> {
    let mut portrait = Portrait::new(precision);
    walk(root, false, cx, |met| {
        if let Met::Node(node, ..) = met
            && (bare.is_empty() || !bare.contains(&escaped(&node.path)))
        {
            portrait.take(&node);
        }
        Ok(())
    })?;
    let counts = portrait.counts();
    Ok((portrait.finish(), counts))
}
