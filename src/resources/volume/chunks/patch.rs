//! Exchanges single entries of a live tree, at any depth, with what lies aside under the same path.
//!
//! Before the first move it is written down which entry lies on which side, by inode number; so a walk that was cut off is
//! recognised and finished. No path is followed by its name: directories are opened one in the other, and never through a
//! link.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, fstat, mkdirat, openat, renameat_with, statat, syncfs};
use serde::{Deserialize, Serialize};

use super::super::node::Shape;
use super::super::stage::dress;
use super::super::swap::{Seen, Side};
use super::super::{features, walk};
use super::attire::Attire;
use crate::resources::names::unescaped;
use crate::resources::{ResourceError, Result};
use crate::system::disk::{self, At};

/// The record's name in the directory aside.
const STATE: &str = "patch.json";

/// What is written down in the directory aside.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// The digest of the index that it was staged from.
    pub(super) copy: String,
    /// The side that is live, or is becoming so.
    pub(super) to: Side,
    /// Whether it is wholly so.
    pub(super) done: bool,
    /// Whether anything was ever exchanged.
    pub(super) used: bool,
    /// Whether hard links are among what was staged.
    pub(super) has_links: bool,
    pub(super) items: Vec<Item>,
    /// Directories on both sides, by their escaped paths: as they are to be live, and as they were.
    pub(super) dressed: BTreeMap<String, (Attire, Attire)>,
}

/// An entry that is exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    /// Escaped.
    pub(super) path: String,
    /// The inode number aside and live when the exchange began, where there was anything.
    pub(super) aside: Option<u64>,
    live: Option<u64>,
}

/// A tree whose directories are opened from its root.
struct Tree {
    root: OwnedFd,
    /// The directory that was opened last.
    open: (Vec<u8>, OwnedFd),
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl Tree {
    fn at(path: &Path) -> io::Result<Self> {
        let root = openat(CWD, path, DIRECTORY, Mode::empty())?;
        let open = (Vec::new(), root.try_clone()?);
        Ok(Self { root, open })
    }

    /// The directory at this path; `made`: those that are missing are made.
    fn directory(&mut self, path: &[u8], made: bool) -> io::Result<&OwnedFd> {
        if self.open.0 != path {
            let mut directory = self.root.try_clone()?;
            for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
                directory = match openat(&directory, part, DIRECTORY, Mode::empty()) {
                    Err(rustix::io::Errno::NOENT) if made => {
                        mkdirat(&directory, part, Mode::RWXU)?;
                        openat(&directory, part, DIRECTORY, Mode::empty())?
                    }
                    other => other?,
                };
            }
            self.open = (path.to_owned(), directory);
        }
        Ok(&self.open.1)
    }

    /// The directory around a path, and the name in it.
    fn around<'p>(&mut self, path: &'p [u8], made: bool) -> io::Result<(&OwnedFd, &'p [u8])> {
        let at = path.iter().rposition(|byte| *byte == b'/');
        let (above, name) = at.map_or((&b""[..], path), |at| {
            (
                path.get(..at).unwrap_or_default(),
                path.get(at + 1..).unwrap_or_default(),
            )
        });
        Ok((self.directory(above, made)?, name))
    }

    fn inode(&mut self, path: &[u8]) -> io::Result<Option<u64>> {
        let looked = match self.around(path, false) {
            Ok((around, name)) => statat(around, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from),
            Err(error) => Err(error),
        };
        match looked {
            Ok(stat) => Ok(Some(stat.st_ino)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The directory aside in a live tree, as the place of single entries.
pub(in super::super) struct Patch {
    pub(super) live: PathBuf,
    pub(super) directory: PathBuf,
}

fn read(directory: &Path) -> Result<Option<State>> {
    let path = directory.join(STATE);
    let Some(bytes) = disk::read_optional(&path)? else {
        return Ok(None);
    };
    let state = serde_json::from_slice(&bytes);
    state
        .map(Some)
        .map_err(|error| ResourceError::because(format!("could not understand {}", path.display()), error))
}

/// How it stands with an exchange of single entries in this directory aside; `None` where there is none.
pub(in super::super) fn seen(directory: &Path) -> Result<Option<Seen>> {
    let seen = |state: State| Seen {
        copy: state.copy,
        done: state.done,
        used: state.used,
    };
    Ok(read(directory)?.map(seen))
}

impl Patch {
    pub(super) fn new(live: &Path, aside: &str) -> Self {
        Self {
            live: live.to_owned(),
            directory: live.join(aside),
        }
    }

    pub(super) fn entries(&self) -> PathBuf {
        self.directory.join("entries")
    }

    pub(super) fn state(&self) -> Result<Option<State>> {
        read(&self.directory)
    }

    pub(super) fn write(&self, state: &State) -> Result<()> {
        let bytes = serde_json::to_vec(state)
            .map_err(|error| ResourceError::because("could not write down the state of an exchange", error))?;
        Ok(disk::write_whole(&self.directory.join(STATE), &bytes)?)
    }

    fn trees(&self) -> Result<(Tree, Tree)> {
        let aside = self.entries();
        Ok((
            Tree::at(&self.live).at("open", &self.live)?,
            Tree::at(&aside).at("open", &aside)?,
        ))
    }

    /// These entries with what lies on both sides now.
    pub(super) fn items(&self, paths: impl Iterator<Item = String>) -> Result<Vec<Item>> {
        let (mut live, mut aside) = self.trees()?;
        let mut items = Vec::new();
        for path in paths {
            let raw = plain(&path)?;
            let seen = live.inode(&raw).and_then(|live| Ok((live, aside.inode(&raw)?)));
            let (live, aside) = seen.at("look at", &self.live.join(super::differ::os(&raw)))?;
            items.push(Item { path, aside, live });
        }
        Ok(items)
    }

    /// Makes this side live, and what differs from it lie aside. Safe to repeat; an exchange that was cut off is finished.
    ///
    /// # Errors
    /// Nothing is staged here any more, or an entry cannot be moved; a repeat goes on.
    pub(super) fn swap(&self, to: Side) -> Result<()> {
        let missing = || ResourceError::new(format!("{} is not there any more", self.directory.display()));
        let mut state = self.state()?.ok_or_else(missing)?;
        if !state.done {
            self.exchange(&mut state)?;
        }
        if state.to == to {
            return Ok(());
        }
        state.items = self.items(state.items.into_iter().map(|item| item.path))?;
        let mut live = Tree::at(&self.live).at("open", &self.live)?;
        for (path, (wanted, other)) in &mut state.dressed {
            std::mem::swap(wanted, other);
            let raw = plain(path)?;
            let shown = self.live.join(super::differ::os(&raw));
            let directory = live.directory(&raw, false).at("open", &shown)?;
            let stat = fstat(directory).at("look at", &shown)?;
            let (had, _) = features::of_open(directory, &shown)?;
            *other = Attire::of(&walk::node(Vec::new(), Shape::Directory, &stat, had));
        }
        (state.to, state.done, state.used) = (to, false, true);
        self.write(&state)?;
        self.exchange(&mut state)
    }

    fn exchange(&self, state: &mut State) -> Result<()> {
        let (mut live, mut aside) = self.trees()?;
        for item in &state.items {
            let path = plain(&item.path)?;
            exchange_one(item, &path, &mut live, &mut aside)
                .at("exchange", &self.live.join(super::differ::os(&path)))?;
        }
        for (path, (wanted, _)) in &state.dressed {
            let path = plain(path)?;
            let dressed = live
                .directory(&path, false)
                .and_then(|directory| dress(&File::from(directory.try_clone()?), &wanted.node()));
            dressed.at("set the owner and mode of", &self.live.join(super::differ::os(&path)))?;
        }
        syncfs(&live.root).map_err(io::Error::from).at("sync", &self.live)?;
        state.done = true;
        self.write(state)
    }
}

fn exchange_one(item: &Item, path: &[u8], live: &mut Tree, aside: &mut Tree) -> io::Result<()> {
    let (there, here) = (aside.inode(path)?, live.inode(path)?);
    let flags = match (item.aside, there, here) {
        // It lies aside as it did: not exchanged yet.
        (Some(then), Some(now), Some(_)) if then == now => RenameFlags::EXCHANGE,
        (Some(then), Some(now), None) if then == now => {
            let (from, name) = aside.around(path, false)?;
            let (to, _) = live.around(path, false)?;
            return Ok(renameat_with(from, name, to, name, RenameFlags::NOREPLACE)?);
        }
        (None, None, Some(_)) => RenameFlags::NOREPLACE,
        _ => return Ok(()),
    };
    let (to, name) = aside.around(path, true)?;
    let (from, _) = live.around(path, false)?;
    Ok(renameat_with(from, name, to, name, flags)?)
}

/// The path that a record means; one that leads out is refused.
pub(super) fn plain(path: &str) -> Result<Vec<u8>> {
    let raw = unescaped(path).unwrap_or_else(|| b"..".to_vec());
    super::super::archive::inside(&[b"./", raw.as_slice()].concat())
        .map_err(|error| ResourceError::because("the record of an exchange names what is no path", error))
}
