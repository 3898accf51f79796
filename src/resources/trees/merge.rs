//! Which entries of two trees are exchanged: those of the root, or those that are known to differ, around all that stays.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::FileType;

use super::chunks::index::is_within;
use super::metadata::Metadata;
use super::opened::{Tree, is_nothing};
use super::walk::{Stays, own_node};
use crate::names::escaped;
use guard_system::disk::Dir;

/// What of two trees is exchanged: each entry of the root, or each that is known to differ, and instead of a directory in which
/// something stays the entries of that.
pub(crate) struct Merge<'m> {
    pub(crate) stays: &'m Stays,
    /// Directories that were on both sides at the exchange before, and those that were not and stayed.
    pub(crate) was: &'m BTreeMap<String, (Metadata, Metadata)>,
    pub(crate) bare: BTreeSet<String>,
    pub(crate) found: Vec<Vec<u8>>,
    pub(crate) dressed: BTreeMap<String, (Metadata, Metadata)>,
    pub(crate) left: BTreeSet<String>,
}

impl Merge<'_> {
    pub(crate) fn go(&mut self, path: &mut Vec<u8>, live: Option<&Dir>, aside: Option<&Dir>) -> io::Result<()> {
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
    pub(crate) fn go_to(&mut self, mut paths: Vec<Vec<u8>>, live: &Dir, aside: &Dir) -> io::Result<()> {
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
    pub(crate) fn take(
        &mut self,
        path: &mut Vec<u8>,
        name: &[u8],
        live: Option<&Dir>,
        aside: Option<&Dir>,
    ) -> io::Result<()> {
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

    pub(crate) fn go_into(
        &mut self,
        path: &mut Vec<u8>,
        shown: &str,
        live: &Dir,
        aside: Option<&Dir>,
    ) -> io::Result<()> {
        if self.was.contains_key(shown) {
            // Its own owner and mode are known from before.
        } else if let Some(aside) = aside.filter(|_| !self.bare.contains(shown)) {
            self.dressed
                .insert(shown.to_owned(), (metadata(aside)?, metadata(live)?));
        } else {
            self.left.insert(shown.to_owned());
        }
        self.go(path, Some(live), aside)
    }
}

/// A directory of this name; `None` where there is none.
pub(crate) fn opened(dir: &Dir, name: &[u8]) -> io::Result<Option<Dir>> {
    match dir.look(name)? {
        Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => dir.dir(name).map(Some),
        _ => Ok(None),
    }
}

pub(crate) fn metadata(dir: &Dir) -> io::Result<Metadata> {
    own_node(dir)
        .map(|node| Metadata::of_node(&node))
        .map_err(io::Error::other)
}
