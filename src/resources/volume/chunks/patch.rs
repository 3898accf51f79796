//! Exchanges entries of a live tree, at any depth, with what lies aside under the same path.
//!
//! Before the first move it is written down which entry lies on which side, by inode number; so a walk that was cut off is
//! recognised and finished. No path is followed by its name: directories are opened one in the other, and never through a
//! link. What no copy holds, as a mount or a socket, is not moved: the directories around it are gone into instead.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, FileType, RenameFlags, Stat, mkdirat, renameat_with, syncfs, utimensat};
use serde::{Deserialize, Serialize};

use super::super::home::Aside;
use super::super::stage::{dress, modified};
use super::super::swap::{self, Own, Seen, Side};
use super::super::walk::{Met, Stays, own_node, walk};
use super::attire::Attire;
use super::index::is_within;
use crate::names::{escaped, unescaped};
use crate::toll::{Group, Toll};
use crate::{ResourceError, Result};
use guard_system::context::Context;
use guard_system::disk::{At, Dir, is_elsewhere};

/// The record's name in the directory aside.
pub(in super::super) const STATE: &str = "patch.json";

/// What is written down in the directory aside.
#[derive(Debug, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of a record that other guards have written"
)]
pub(in super::super) struct State {
    /// The digest by which what was staged is known.
    pub(in super::super) copy: String,
    /// The side that is live, or is becoming so.
    pub(in super::super) to: Side,
    /// Whether it is wholly so.
    pub(in super::super) done: bool,
    /// Whether anything was ever exchanged.
    pub(in super::super) used: bool,
    /// Whether hard links are among what was staged.
    #[serde(default)]
    pub(in super::super) has_links: bool,
    /// Whether a whole tree was staged: all that differs is then looked for when an exchange begins.
    #[serde(default)]
    pub(in super::super) whole: bool,
    pub(in super::super) items: Vec<Item>,
    /// Directories on both sides, by their escaped paths: as they are to be live, and as they were.
    pub(in super::super) dressed: BTreeMap<String, (Attire, Attire)>,
    /// Directories that are live and have no counterpart aside, and stay since something in them does; escaped paths.
    #[serde(default)]
    pub(in super::super) bare: BTreeSet<String>,
    /// Entries that this exchange leaves where they are, whichever side is live; escaped paths.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(in super::super) kept: BTreeSet<String>,
    /// What the exchange means for files.
    #[serde(default)]
    pub(in super::super) toll: Toll,
}

impl State {
    pub(in super::super) fn seen(self) -> Seen {
        Seen {
            copy: self.copy,
            done: self.done,
            used: self.used,
        }
    }
}

/// An entry that is exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Item {
    /// Escaped.
    pub(in super::super) path: String,
    /// The inode number aside and live when the exchange began, where there was anything.
    pub(in super::super) aside: Option<u64>,
    pub(in super::super) live: Option<u64>,
    /// The times of directories then, aside and live: a file system may change that of a directory which is moved, as xfs does
    /// in an exchange.
    #[serde(default, skip_serializing_if = "is_timeless")]
    pub(in super::super) times: (Option<Time>, Option<Time>),
    /// Which of immutable and append-only they were then, aside and live: such an entry cannot be moved.
    #[serde(default, skip_serializing_if = "is_unlocked")]
    pub(in super::super) locks: (u32, u32),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_unlocked(locks: &(u32, u32)) -> bool {
    *locks == (0, 0)
}

/// Seconds since 1970 and nanoseconds.
type Time = (i64, u32);

fn is_timeless(times: &(Option<Time>, Option<Time>)) -> bool {
    times.0.is_none() && times.1.is_none()
}

/// A tree whose directories are opened from its root.
struct Tree<'t> {
    root: &'t Dir,
    /// The directory that was opened last.
    open: (Vec<u8>, Dir),
}

impl<'t> Tree<'t> {
    fn at(root: &'t Dir) -> io::Result<Self> {
        let open = (Vec::new(), root.again()?);
        Ok(Self { root, open })
    }

    /// The directory at this path; `made`: those that are missing are made.
    fn directory(&mut self, path: &[u8], made: bool) -> io::Result<&Dir> {
        if self.open.0 != path {
            let directory = match self.root.dir(path) {
                Err(error) if made && error.kind() == io::ErrorKind::NotFound => {
                    let mut directory = self.root.again()?;
                    for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
                        directory = match directory.dir(part) {
                            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                                mkdirat(&directory, part, rustix::fs::Mode::RWXU)?;
                                directory.dir(part)?
                            }
                            other => other?,
                        };
                    }
                    directory
                }
                other => other?,
            };
            self.open = (path.to_owned(), directory);
        }
        Ok(&self.open.1)
    }

    /// The directory around a path, and the name in it.
    fn around<'p>(&mut self, path: &'p [u8], made: bool) -> io::Result<(&Dir, &'p [u8])> {
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
        Ok(self.look(path)?.map(|stat| stat.st_ino))
    }

    /// What is at this path: its inode number, the time of a directory, and its locks.
    fn seen(&mut self, path: &[u8]) -> io::Result<(Option<u64>, Option<Time>, u32)> {
        let Some(found) = self.look(path)? else {
            return Ok((None, None, 0));
        };
        let is_directory = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
        let (around, name) = self.around(path, false)?;
        Ok((
            Some(found.st_ino),
            is_directory.then(|| time_of(&found)),
            around.locks(name)?,
        ))
    }

    /// Takes away what keeps an entry from being moved, where it is there.
    fn unlock(&mut self, path: &[u8]) -> io::Result<()> {
        if self.look(path)?.is_none() {
            return Ok(());
        }
        let (around, name) = self.around(path, false)?;
        if around.locks(name)? == 0 {
            return Ok(());
        }
        around.set_locks(name, 0)
    }

    /// Locks what is at this path again, where it is still the one that was locked.
    fn lock(&mut self, path: &[u8], inode: Option<u64>, locks: u32) -> io::Result<()> {
        if locks == 0 || inode.is_none() || self.inode(path)? != inode {
            return Ok(());
        }
        let (around, name) = self.around(path, false)?;
        around.set_locks(name, locks)
    }

    /// Gives what is at this path its time again, where it is still the one that had it and another time by now.
    fn set_time(&mut self, path: &[u8], inode: Option<u64>, time: Option<Time>) -> io::Result<()> {
        let (Some(time), Some(now)) = (time, self.look(path)?) else {
            return Ok(());
        };
        if Some(now.st_ino) != inode || time_of(&now) == time {
            return Ok(());
        }
        let (around, name) = self.around(path, false)?;
        Ok(utimensat(around, name, &modified(time), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn look(&mut self, path: &[u8]) -> io::Result<Option<Stat>> {
        let looked = self.around(path, false).and_then(|(around, name)| around.look(name));
        match looked {
            Ok(stat) => Ok(stat),
            // A directory may have become a file or a link meanwhile: nothing lies below it.
            Err(error) if is_nothing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn time_of(stat: &Stat) -> Time {
    (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or_default())
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The directory aside, as the place of entries that are exchanged.
pub(in super::super) struct Patch<'a> {
    pub(super) aside: &'a Aside,
}

impl<'a> Patch<'a> {
    pub(in super::super) fn new(aside: &'a Aside) -> Self {
        Self { aside }
    }

    /// What is written down there; `None`: nothing is staged whole.
    pub(in super::super) fn state(&self) -> Result<Option<State>> {
        let dir = &self.aside.dir;
        let shown = dir.shown_at(STATE.as_bytes());
        let Some(bytes) = dir.read(STATE.as_bytes()).at("read", &shown)? else {
            return swap::older(self.aside);
        };
        let state = serde_json::from_slice(&bytes);
        state
            .map(Some)
            .map_err(|error| ResourceError::because(format!("could not understand {}", shown.display()), error))
    }

    pub(super) fn write(&self, state: &State) -> Result<()> {
        let bytes = serde_json::to_vec(state)
            .map_err(|error| ResourceError::because("could not write down the state of an exchange", error))?;
        let dir = &self.aside.dir;
        dir.write_whole(STATE.as_bytes(), &bytes)
            .at("write", &dir.shown_at(STATE.as_bytes()))?;
        Ok(())
    }

    /// Says that a whole tree is staged; `own` is the entry of the volume's own directory.
    pub(in super::super) fn staged(&self, copy: &str, own: &Own) -> Result<()> {
        let attire = Attire::of(&own.node(&self.aside.live)?);
        self.write(&State {
            copy: copy.to_owned(),
            to: Side::Before,
            done: true,
            used: false,
            has_links: false,
            whole: true,
            items: Vec::new(),
            dressed: [(String::new(), (attire.clone(), attire))].into(),
            bare: BTreeSet::new(),
            kept: BTreeSet::new(),
            toll: Toll::default(),
        })
    }

    /// The files that were written since the last exchange, and that the next one would put aside.
    pub(in super::super) fn written_since(&self, cx: &Context) -> Result<Group> {
        let mut group = Group::default();
        let dir = &self.aside.dir;
        let shown = dir.shown_at(STATE.as_bytes());
        let (Some(state), Some(record)) = (self.state()?, dir.look(STATE.as_bytes()).at("look at", &shown)?) else {
            return Ok(group);
        };
        let exchanged = (record.st_mtime, record.st_mtime_nsec);
        let items: BTreeSet<Vec<u8>> = state
            .items
            .iter()
            .map(|item| plain(&item.path))
            .collect::<Result<_>>()?;
        let is_item = |path: &[u8]| {
            let ends = path
                .iter()
                .enumerate()
                .filter(|(_, byte)| **byte == b'/')
                .map(|(end, _)| end);
            let mut prefixes = ends.chain([path.len()]).filter_map(|end| path.get(..end));
            prefixes.any(|prefix| items.contains(prefix))
        };
        walk(&self.aside.live, false, cx, |met| {
            if let Met::Node(node, _, stat) = met
                && (stat.st_ctime, stat.st_ctime_nsec) > exchanged
                && is_item(&node.path)
            {
                group.count(&node);
            }
            Ok(())
        })?;
        Ok(group)
    }

    /// These entries with what lies on both sides now.
    pub(super) fn items(&self, paths: impl Iterator<Item = String>) -> Result<Vec<Item>> {
        let entries = self.aside.entries()?;
        let live = &self.aside.live;
        let (mut ours, mut theirs) = (
            Tree::at(live).at("open", live.shown())?,
            Tree::at(&entries).at("open", entries.shown())?,
        );
        let mut items = Vec::new();
        for path in paths {
            let raw = plain(&path)?;
            let seen = ours.seen(&raw).and_then(|live| Ok((live, theirs.seen(&raw)?)));
            let ((live, here, own), (aside, there, other)) = seen.at("look at", &live.shown_at(&raw))?;
            items.push(Item {
                path,
                aside,
                live,
                times: (there, here),
                locks: (other, own),
            });
        }
        Ok(items)
    }

    /// Makes this side live, and what differs from it lie aside. Safe to repeat; an exchange that was cut off is finished.
    /// `stays`: what is not moved. Returns the directories that had to stay with it and that this side does not know.
    ///
    /// # Errors
    /// Nothing is staged here any more, or an entry cannot be moved; a repeat goes on.
    pub(in super::super) fn swap(&self, to: Side, stays: &Stays) -> Result<BTreeSet<String>> {
        let missing = || ResourceError::new(format!("{} is not there any more", self.aside.shown().display()));
        let mut state = self.state()?.ok_or_else(missing)?;
        if !state.done {
            self.exchange(&mut state)?;
        }
        if state.to == to {
            return Ok(state.bare);
        }
        let was = std::mem::take(&mut state.dressed);
        let mut stays = Cow::Borrowed(stays);
        for path in &state.kept {
            stays.to_mut().add(&plain(path)?);
        }
        let mut merge = Merge {
            stays: &stays,
            was: &was,
            bare: std::mem::take(&mut state.bare),
            found: Vec::new(),
            dressed: BTreeMap::new(),
            left: BTreeSet::new(),
        };
        let entries = self.aside.entries()?;
        let merged = if state.whole {
            merge.go(&mut Vec::new(), Some(&self.aside.live), Some(&entries))
        } else {
            let known = state.items.iter().map(|item| &item.path).chain(&merge.bare);
            let known: Vec<Vec<u8>> = known.map(|path| plain(path)).collect::<Result<_>>()?;
            merge.go_to(known, &self.aside.live, &entries)
        };
        merged.at("compare", self.aside.live.shown())?;
        let Merge {
            found, dressed, left, ..
        } = merge;
        state.items = self.items(found.iter().map(|path| escaped(path)))?;
        state.dressed = dressed;
        state.bare = left;
        for (path, (wanted, other)) in was {
            let raw = plain(&path)?;
            let mut turned = (other, wanted);
            let shown = self.aside.live.shown_at(&raw);
            match self.aside.live.dir(&raw) {
                Ok(directory) => turned.1 = Attire::of(&own_node(&directory)?),
                // It went meanwhile, and comes back from what lies aside.
                Err(error) if is_nothing(&error) && state.whole && !path.is_empty() => {}
                Err(error) => return Err(error).at("open", &shown)?,
            }
            state.dressed.insert(path, turned);
        }
        (state.to, state.done, state.used) = (to, false, true);
        self.write(&state)?;
        self.exchange(&mut state)?;
        Ok(state.bare)
    }

    fn exchange(&self, state: &mut State) -> Result<()> {
        let entries = self.aside.entries()?;
        let root = &self.aside.live;
        let mut live = Tree::at(root).at("open", root.shown())?;
        let mut aside = Tree::at(&entries).at("open", entries.shown())?;
        self.unlock(state, (&mut live, &mut aside))?;
        let mut next = 0;
        while let Some(item) = state.items.get(next) {
            let path = plain(&item.path)?;
            match exchange_one(item, &path, &mut live, &mut aside) {
                Err(error) if is_elsewhere(&error) && self.can_split(&path).at("look at", &root.shown_at(&path))? => {
                    self.split(state, next)?;
                }
                other => {
                    other.at("exchange", &root.shown_at(&path))?;
                    next += 1;
                }
            }
        }
        for item in &state.items {
            let path = plain(&item.path)?;
            // What lay aside is live now, and the other way round.
            let set = live
                .set_time(&path, item.aside, item.times.0)
                .and_then(|()| aside.set_time(&path, item.live, item.times.1));
            set.at("set the time of", &root.shown_at(&path))?;
        }
        for (path, (wanted, _)) in &state.dressed {
            let path = plain(path)?;
            let dressed = live.directory(&path, false).and_then(|directory| {
                let handle = directory.as_fd().try_clone_to_owned()?;
                dress(&File::from(handle), &wanted.node())
            });
            dressed.at("set the owner and mode of", &root.shown_at(&path))?;
        }
        for item in &state.items {
            let path = plain(&item.path)?;
            let locked = live
                .lock(&path, item.aside, item.locks.0)
                .and_then(|()| aside.lock(&path, item.live, item.locks.1));
            locked.at("set the flags of", &root.shown_at(&path))?;
        }
        for (path, (wanted, _)) in state.dressed.iter().filter(|(_, (wanted, _))| wanted.locks() != 0) {
            let path = plain(path)?;
            let directory = root.dir(&path).at("open", &root.shown_at(&path))?;
            directory
                .set_own_locks(wanted.locks())
                .at("set the flags of", &root.shown_at(&path))?;
        }
        syncfs(root).map_err(io::Error::from).at("sync", root.shown())?;
        state.done = true;
        self.write(state)
    }

    /// Takes away what keeps entries, and what lies in directories on both sides, from being moved. What it was is in the record.
    fn unlock(&self, state: &State, (live, aside): (&mut Tree<'_>, &mut Tree<'_>)) -> Result<()> {
        let root = &self.aside.live;
        for item in state.items.iter().filter(|item| item.locks != (0, 0)) {
            let path = plain(&item.path)?;
            let unlocked = live.unlock(&path).and_then(|()| aside.unlock(&path));
            unlocked.at("take the flags away from", &root.shown_at(&path))?;
        }
        let locked = |(wanted, other): &(Attire, Attire)| wanted.locks() != 0 || other.locks() != 0;
        for path in state
            .dressed
            .iter()
            .filter(|(_, both)| locked(both))
            .map(|(path, _)| path)
        {
            let path = plain(path)?;
            for tree in [root.dir(&path), self.aside.entries()?.dir(&path)] {
                let unlocked = match tree {
                    Ok(directory) => directory.set_own_locks(0),
                    Err(error) if is_nothing(&error) => Ok(()),
                    Err(error) => Err(error),
                };
                unlocked.at("take the flags away from", &root.shown_at(&path))?;
            }
        }
        Ok(())
    }

    /// Whether a directory that cannot be moved can be gone into instead: nothing else is to take its place.
    fn can_split(&self, path: &[u8]) -> io::Result<bool> {
        let entries = self.aside.entries().map_err(io::Error::other)?;
        let (mut ours, mut theirs) = (Tree::at(&self.aside.live)?, Tree::at(&entries)?);
        let is_directory = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let here = ours.look(path)?.is_some_and(|stat| is_directory(&stat));
        Ok(here && theirs.look(path)?.is_none_or(|stat| is_directory(&stat)))
    }

    /// Instead of a directory its entries are exchanged, and it gets owner, mode and time of the other: those of a lower layer of
    /// overlayfs cannot be moved. Written down before anything of it is.
    fn split(&self, state: &mut State, number: usize) -> Result<()> {
        let item = state.items.remove(number);
        let path = plain(&item.path)?;
        let (live, entries) = (&self.aside.live, self.aside.entries()?);
        let looked = || -> io::Result<_> {
            let here = live.dir(&path)?;
            let there = match entries.dir(&path) {
                Ok(there) => Some(there),
                Err(error) if is_nothing(&error) => None,
                Err(error) => return Err(error),
            };
            let mut names = BTreeSet::from_iter(here.names()?);
            if let Some(there) = &there {
                names.extend(there.names()?);
            }
            let dressed = there
                .as_ref()
                .map(|there| Ok::<_, io::Error>((attire(there)?, attire(&here)?)));
            Ok((names, dressed.transpose()?))
        };
        let (names, dressed) = looked().at("look at", &live.shown_at(&path))?;
        let below = names
            .iter()
            .map(|name| escaped(&[path.as_slice(), b"/", name.as_bytes()].concat()));
        let items = self.items(below)?;
        state.items.splice(number..number, items);
        if let Some(dressed) = dressed {
            state.dressed.insert(item.path, dressed);
        } else {
            state.bare.insert(item.path);
        }
        self.write(state)
    }
}

fn exchange_one(item: &Item, path: &[u8], live: &mut Tree<'_>, aside: &mut Tree<'_>) -> io::Result<()> {
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

/// What of two trees is exchanged: each entry of the root, or each that is known to differ, and instead of a directory in which
/// something stays the entries of that.
struct Merge<'m> {
    stays: &'m Stays,
    /// Directories that were on both sides at the exchange before, and those that were not and stayed.
    was: &'m BTreeMap<String, (Attire, Attire)>,
    bare: BTreeSet<String>,
    found: Vec<Vec<u8>>,
    dressed: BTreeMap<String, (Attire, Attire)>,
    left: BTreeSet<String>,
}

impl Merge<'_> {
    fn go(&mut self, path: &mut Vec<u8>, live: Option<&Dir>, aside: Option<&Dir>) -> io::Result<()> {
        let mut names = BTreeSet::new();
        for dir in [live, aside].into_iter().flatten() {
            names.extend(dir.names()?);
        }
        for name in names {
            let name = name.as_bytes();
            let length = path.len();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            self.take(path, name, live, aside)?;
            path.truncate(length);
        }
        Ok(())
    }

    /// Takes these entries alone, wherever they are; what lies in a directory that stayed is looked for there.
    fn go_to(&mut self, mut paths: Vec<Vec<u8>>, live: &Dir, aside: &Dir) -> io::Result<()> {
        paths.sort();
        paths.dedup();
        let stayed: Vec<Vec<u8>> = paths
            .iter()
            .filter(|path| self.bare.contains(&escaped(path)))
            .cloned()
            .collect();
        paths.retain(|path| !stayed.iter().any(|other| other != path && is_within(path, other)));
        let (mut ours, mut theirs) = (Tree::at(live)?, Tree::at(aside)?);
        for mut path in paths {
            let raw = path.clone();
            let around = |tree: io::Result<(&Dir, &[u8])>| match tree {
                Ok((around, _)) => around.again().map(Some),
                Err(error) if is_nothing(&error) => Ok(None),
                Err(error) => Err(error),
            };
            let (here, there) = (around(ours.around(&raw, false))?, around(theirs.around(&raw, false))?);
            let name = raw.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            self.take(&mut path, name, here.as_ref(), there.as_ref())?;
        }
        Ok(())
    }

    /// Takes one entry, by its path and its name in the directories around it.
    fn take(&mut self, path: &mut Vec<u8>, name: &[u8], live: Option<&Dir>, aside: Option<&Dir>) -> io::Result<()> {
        if self.stays.holds(path) {
            return Ok(());
        }
        let shown = escaped(path);
        let (is_around, is_known) = (
            self.stays.is_around(path),
            self.was.contains_key(&shown) || self.bare.contains(&shown),
        );
        let below = |dir: Option<&Dir>| dir.map(|dir| opened(dir, name)).transpose().map(Option::flatten);
        let Some(here) = below(live)?.filter(|_| is_known || is_around) else {
            self.found.push(path.clone());
            return Ok(());
        };
        let there = below(aside)?;
        let is_no_directory = match (&there, aside) {
            (None, Some(aside)) => aside.look(name)?.is_some(),
            _ => false,
        };
        match (is_no_directory, is_around) {
            (false, _) => self.go_into(path, &shown, &here, there.as_ref()),
            // A file cannot take the place of a directory that stays, nor lie in it.
            (true, true) => Ok(()),
            (true, false) => {
                self.found.push(path.clone());
                Ok(())
            }
        }
    }

    fn go_into(&mut self, path: &mut Vec<u8>, shown: &str, live: &Dir, aside: Option<&Dir>) -> io::Result<()> {
        if self.was.contains_key(shown) {
            // Its own owner and mode are known from before.
        } else if let Some(aside) = aside.filter(|_| !self.bare.contains(shown)) {
            self.dressed.insert(shown.to_owned(), (attire(aside)?, attire(live)?));
        } else {
            self.left.insert(shown.to_owned());
        }
        self.go(path, Some(live), aside)
    }
}

/// A directory of this name; `None` where there is none.
fn opened(dir: &Dir, name: &[u8]) -> io::Result<Option<Dir>> {
    match dir.look(name)? {
        Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => dir.dir(name).map(Some),
        _ => Ok(None),
    }
}

fn attire(dir: &Dir) -> io::Result<Attire> {
    own_node(dir).map(|node| Attire::of(&node)).map_err(io::Error::other)
}

/// The path that a record means; one that leads out is refused.
pub(in super::super) fn plain(path: &str) -> Result<Vec<u8>> {
    let raw = unescaped(path).unwrap_or_else(|| b"..".to_vec());
    super::super::archive::inside(&[b"./", raw.as_slice()].concat())
        .map_err(|error| ResourceError::because("the record of an exchange names what is no path", error))
}
