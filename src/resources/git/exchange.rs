//! Makes the files of a work tree those of a tree, byte by byte and by guard's own hand, through handles. Nothing is removed
//! or replaced but what a snapshot holds as it is at that moment; everything else that is in the way is moved aside.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use rustix::fs::FileType;

use super::aside::Aside;
use super::content::list;
use super::ground::{Ground, above, bytes, dress_file, shown, split};
use super::repository::{Repository, explained};
use super::snapshot::{self, Looked, State};
use super::wear::{Dress, Wear, around};
use crate::error::{ResourceError, Result};
use guard_system::disk::At;

/// A file in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Leaf {
    mode: u32,
    id: String,
}

type Leaves = BTreeMap<Vec<u8>, Leaf>;

/// All files of a tree; commits of other repositories are none.
fn leaves(repository: &Repository<'_>, tree: &str) -> Result<Leaves> {
    let words = ["ls-tree", "-r", "-z", "--full-tree", tree];
    let listed = repository.run(&repository.git(words), "list a tree")?;
    let mut found = BTreeMap::new();
    for line in list(&listed.stdout) {
        let Some(tab) = line.iter().position(|byte| *byte == b'\t') else {
            continue;
        };
        let about = String::from_utf8_lossy(line.get(..tab).unwrap_or_default()).into_owned();
        let mut about = about.split(' ');
        let (mode, _, id) = (about.next(), about.next(), about.next());
        let mode = mode.and_then(|mode| u32::from_str_radix(mode, 8).ok());
        if let (Some(mode), Some(id), Some(path)) = (mode, id, line.get(tab + 1..))
            && mode != 0o160_000
        {
            found.insert(
                path.to_vec(),
                Leaf {
                    mode,
                    id: id.to_owned(),
                },
            );
        }
    }
    Ok(found)
}

struct Mover<'m, 'c> {
    repository: &'m Repository<'c>,
    ground: &'m Ground,
    aside: &'m Aside<'m, 'c>,
    here: &'m Looked,
    to: Leaves,
    wear: Option<Wear>,
}

/// Changes the files from what was looked at to a state.
pub(super) fn files(repository: &Repository<'_>, here: &Looked, to: &State, aside: &Aside<'_, '_>) -> Result<()> {
    let ground = Ground::open(&repository.top).at("open", &repository.top)?;
    let mover = Mover {
        repository,
        ground: &ground,
        aside,
        here,
        to: leaves(repository, &to.files)?,
        wear: snapshot::worn(repository, to)?,
    };
    mover.clear()?;
    mover.write()?;
    mover.dress()?;
    Ok(ground.sync().at("sync", &repository.top)?)
}

impl Mover<'_, '_> {
    /// Whether what is at a path is still what the snapshot of this moment holds.
    fn is_held(&self, path: &[u8]) -> Result<bool> {
        let Some(entry) = self.here.content.files.get(path) else {
            return Ok(false);
        };
        let now = self.ground.look(path).at("look at", &self.ground.at(path))?;
        Ok(now == Some(entry.seen))
    }

    /// Takes away what the state does not have.
    fn clear(&self) -> Result<()> {
        let nested = self.wear.as_ref().map(Wear::nested);
        if let Some(nested) = &nested {
            for found in super::aside::surplus(&self.here.content.nested, nested) {
                self.aside.keep(self.ground, &bytes(&found))?;
            }
        }
        let mut emptied = BTreeSet::new();
        for path in self.here.content.files.keys().rev() {
            if self.to.contains_key(path) {
                continue;
            }
            if self.is_held(path)? {
                self.ground.unlink(path).at("remove", &self.ground.at(path))?;
            } else if self.ground.look(path).at("look at", &self.ground.at(path))?.is_some() {
                self.aside.keep(self.ground, path)?;
            }
            emptied.extend(around([path]));
        }
        let kept = self.wear.as_ref().map(Wear::empty).unwrap_or_default();
        if self.wear.is_some() {
            emptied.extend(self.here.content.empty.iter().cloned());
            emptied.extend(around(self.here.content.empty.iter()));
        }
        let used = around(self.to.keys().chain(&kept));
        for directory in emptied.iter().rev() {
            if !kept.contains(directory) && !used.contains(directory) {
                self.ground
                    .remove_empty(directory)
                    .at("remove", &self.ground.at(directory))?;
            }
        }
        Ok(())
    }

    fn dress_of(&self, path: &[u8], mode: u32) -> Option<Dress> {
        self.wear.as_ref().and_then(|wear| wear.wanted(path, mode))
    }

    /// Sees to it that a directory is there, whatever stands in its place.
    fn make(&self, directory: &[u8]) -> Result<()> {
        for part in above(directory).chain([directory]) {
            let place = self.ground.at(part);
            let seen = self.ground.look(part).at("look at", &place)?;
            match seen {
                Some(seen) if seen.shape() == FileType::Directory => continue,
                Some(_) if self.is_held(part)? => self.ground.unlink(part).at("remove", &place)?,
                Some(_) => self.aside.keep(self.ground, part)?,
                None => {}
            }
            let dress = self.dress_of(part, 0o040_000);
            let mode = dress.map_or(0o755, |dress| dress.mode);
            self.ground.make(part, mode).at("create", &place)?;
            let owner = dress.map_or(self.repository.owner(), Dress::owner);
            self.ground.dress(part, mode, owner).at("change the mode of", &place)?;
        }
        Ok(())
    }

    /// Makes a path free for a file.
    fn free(&self, path: &[u8]) -> Result<()> {
        let place = self.ground.at(path);
        let Some(seen) = self.ground.look(path).at("look at", &place)? else {
            return Ok(());
        };
        if seen.shape() == FileType::Directory {
            if self.ground.remove_empty(path).at("remove", &place)? {
                return Ok(());
            }
            return self.aside.keep(self.ground, path);
        }
        if self.is_held(path)? {
            return Ok(());
        }
        self.aside.keep(self.ground, path)
    }

    /// Writes what the state has and the work tree has not.
    fn write(&self) -> Result<()> {
        let now = &self.here.content.files;
        let wanted: Vec<(&Vec<u8>, &Leaf)> = self
            .to
            .iter()
            .filter(|(path, leaf)| {
                let is_same = |entry: &super::content::Entry| {
                    entry.id == leaf.id && (entry.mode == 0o120_000) == (leaf.mode == 0o120_000)
                };
                !now.get(*path).is_some_and(is_same)
            })
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        for (path, _) in &wanted {
            let directory = split(path).0;
            if !directory.is_empty() {
                self.make(directory)?;
            }
            self.free(path)?;
        }
        let room = self.aside.open()?;
        let mut input = String::new();
        for (_, leaf) in &wanted {
            input.extend([&leaf.id, "\n"]);
        }
        let call = self.repository.git(["cat-file", "--batch"]).input(input);
        let mut writer = Writer {
            mover: self,
            room: &room,
            wanted: wanted.into_iter(),
            line: Vec::new(),
            open: None,
        };
        let what = format!(
            "could not read the files of a snapshot in {}",
            self.repository.top.display()
        );
        let told = self.repository.cx().pull(&call, &mut |bytes| writer.take(bytes));
        let is_done = writer.wanted.next().is_none() && writer.open.is_none();
        told.map_err(|error| explained(what.clone(), error))?;
        if is_done {
            Ok(())
        } else {
            Err(ResourceError::new(format!("{what}: it ended early")))
        }
    }

    /// Gives everything what it wore, and makes the directories that were empty.
    fn dress(&self) -> Result<()> {
        let Some(wear) = &self.wear else { return Ok(()) };
        let empty = wear.empty();
        for directory in &empty {
            self.make(directory)?;
        }
        let mut directories = around(self.to.keys().chain(&empty));
        directories.extend(empty);
        let files = self.to.iter().map(|(path, leaf)| (path, leaf.mode));
        for (path, mode) in files.chain(directories.iter().map(|path| (path, 0o040_000))) {
            let Some(dress) = wear.wanted(path, mode) else { continue };
            let place = self.ground.at(path);
            let dressed = || self.ground.dress(path, dress.mode, dress.owner());
            dressed().at("change the mode or owner of", &place)?;
            if mode != 0o120_000
                && let Some(wanted) = wear.attributes(path)
                && self.ground.attributes(path)? != wanted
            {
                let set = self.ground.set_attributes(path, &wanted);
                set.at("set the access list or attributes of", &place)?;
                // An access list takes the place of the group's permissions.
                dressed().at("change the mode of", &place)?;
            }
        }
        Ok(())
    }
}

/// A file that is being written.
struct Open<'w> {
    path: &'w [u8],
    leaf: &'w Leaf,
    left: u64,
    /// A link's target, or what a file is written into.
    target: Vec<u8>,
    file: Option<std::fs::File>,
}

/// Takes what `cat-file --batch` says apart, and puts each file in its place whole.
struct Writer<'w, 'm, 'c> {
    mover: &'w Mover<'m, 'c>,
    /// Files are written here first: on the same file system, and in nobody's view.
    room: &'w Ground,
    wanted: std::vec::IntoIter<(&'w Vec<u8>, &'w Leaf)>,
    line: Vec<u8>,
    open: Option<Open<'w>>,
}

/// Where a file is written before it is in its place.
const NEW: &[u8] = b"new";

impl Writer<'_, '_, '_> {
    fn take(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            let Some(open) = &mut self.open else {
                let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                    self.line.extend_from_slice(bytes);
                    return Ok(());
                };
                self.line.extend_from_slice(bytes.get(..end).unwrap_or_default());
                bytes = bytes.get(end + 1..).unwrap_or_default();
                let line = std::mem::take(&mut self.line);
                // What ends the content before.
                if !line.is_empty() {
                    self.begin(&line)?;
                }
                continue;
            };
            if open.left == 0 {
                self.end()?;
                continue;
            }
            if bytes.is_empty() {
                return Ok(());
            }
            let count = usize::try_from(open.left).unwrap_or(usize::MAX).min(bytes.len());
            let (piece, rest) = bytes.split_at(count);
            match &mut open.file {
                Some(file) => file.write_all(piece)?,
                None => open.target.extend_from_slice(piece),
            }
            open.left -= count as u64;
            bytes = rest;
        }
    }

    fn begin(&mut self, line: &[u8]) -> io::Result<()> {
        let Some((path, leaf)) = self.wanted.next() else {
            return Err(io::Error::other("git tells of more than it was asked for"));
        };
        let line = String::from_utf8_lossy(line).into_owned();
        let mut words = line.split(' ');
        let (id, kind, size) = (words.next(), words.next(), words.next());
        let size = size.and_then(|size| size.parse().ok());
        let (Some(left), true) = (size, id == Some(&leaf.id) && kind == Some("blob")) else {
            return Err(io::Error::other(format!(
                "the repository does not hold {}: {line}",
                shown(path)
            )));
        };
        if self.room.look(NEW)?.is_some() {
            self.room.unlink(NEW)?;
        }
        let file = if leaf.mode == 0o120_000 {
            None
        } else {
            Some(self.room.new_file(NEW)?)
        };
        self.open = Some(Open {
            path,
            leaf,
            left,
            target: Vec::new(),
            file,
        });
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let dress = self.mover.dress_of(open.path, open.leaf.mode);
        let owner = dress.map_or(self.mover.repository.owner(), Dress::owner);
        if let Some(file) = &open.file {
            let usual = if open.leaf.mode == 0o100_755 { 0o755 } else { 0o644 };
            dress_file(file, dress.map_or(usual, |dress| dress.mode), owner)?;
            // A name must not lead to what a power loss may empty.
            file.sync_all()?;
        } else {
            self.room.link(NEW, &open.target)?;
            self.room.dress(NEW, 0o777, owner)?;
        }
        let ground = self.mover.ground;
        let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", shown(open.path)));
        match self.room.rename(NEW, ground, open.path) {
            // The work tree, or this part of it, is on another file system than the repository.
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => self.across(&open, owner).map_err(told),
            other => other.map_err(told),
        }
    }

    fn across(&self, open: &Open<'_>, owner: (u32, u32)) -> io::Result<()> {
        let ground = self.mover.ground;
        let (directory, _) = split(open.path);
        let beside = if directory.is_empty() {
            b".guard-new".to_vec()
        } else {
            [directory, b"/.guard-new"].concat()
        };
        if ground.look(&beside)?.is_some() {
            ground.unlink(&beside)?;
        }
        if open.file.is_some() {
            let mut from = self.room.file(NEW)?;
            let mode = Ground::look(self.room, NEW)?.map_or(0o644, |seen| seen.bits());
            let mut to = ground.new_file(&beside)?;
            io::copy(&mut from, &mut to)?;
            dress_file(&to, mode, owner)?;
            to.sync_all()?;
        } else {
            ground.link(&beside, &open.target)?;
            ground.dress(&beside, 0o777, owner)?;
        }
        self.room.unlink(NEW)?;
        ground.rename(&beside, ground, open.path)
    }
}
