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

use rustix::fs::{FileType, RenameFlags, Stat, renameat_with, syncfs};

use super::exchange_record::{Item, Own, STATE, Side, State, plain};
use super::merge::{Merge, metadata};
use super::metadata::Metadata;
use super::node::Shape;
use super::opened::{Tree, is_nothing};
use super::put_aside::Aside;
use super::stage::dress;
use super::toll::{Group, Toll};
use super::walk::{Met, Stays, own_node, walk};
use crate::error::{ResourceError, Result};
use crate::names::escaped;
use guard_system::context::Context;
use guard_system::disk::{At, is_elsewhere};

/// The directory aside, as the place of entries that are exchanged.
pub(crate) struct Patch<'a> {
    pub(crate) aside: &'a Aside,
}

impl<'a> Patch<'a> {
    pub(crate) fn new(aside: &'a Aside) -> Self {
        Self { aside }
    }

    /// What is written down there; `None`: nothing is staged whole.
    pub(crate) fn state(&self) -> Result<Option<State>> {
        State::read(&self.aside.live, &self.aside.dir)
    }

    pub(crate) fn write(&self, state: &State) -> Result<()> {
        let bytes = serde_json::to_vec(state)
            .map_err(|error| ResourceError::because("could not write down the state of an exchange", error))?;
        let dir = &self.aside.dir;
        dir.write_whole(STATE.as_bytes(), &bytes)
            .at("write", &dir.shown_at(STATE.as_bytes()))?;
        Ok(())
    }

    /// Says that a whole tree is staged; `own` is the entry of the volume's own directory.
    pub(crate) fn staged(&self, copy: &str, own: &Own) -> Result<()> {
        let metadata = Metadata::of_node(&own.node(&self.aside.live)?);
        self.write(&State {
            copy: copy.to_owned(),
            to: Side::Before,
            done: true,
            used: false,
            has_links: false,
            whole: true,
            items: Vec::new(),
            dressed: [(String::new(), (metadata.clone(), metadata))].into(),
            bare: BTreeSet::new(),
            kept: BTreeSet::new(),
            toll: Toll::default(),
        })
    }

    /// The files that were written since the last exchange, and that the next one would put aside.
    pub(crate) fn written_since(&self, cx: &Context) -> Result<Group> {
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
    pub(crate) fn items(&self, paths: impl Iterator<Item = String>) -> Result<Vec<Item>> {
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
    pub(crate) fn swap(&self, to: Side, stays: &Stays) -> Result<BTreeSet<String>> {
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
                Ok(directory) => turned.1 = Metadata::of_node(&own_node(&directory)?),
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
                dress(&File::from(handle), &wanted.node(Shape::Directory))
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
        let locked = |(wanted, other): &(Metadata, Metadata)| wanted.locks() != 0 || other.locks() != 0;
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
                .map(|there| Ok::<_, io::Error>((metadata(there)?, metadata(&here)?)));
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
