//! Gives files back that a restore put aside: by a further name, so that the failed state stays whole; never over another.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Stat, linkat, mkdirat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{ResourceError, Result};
use crate::trees::exchange::Patch;
use crate::trees::exchange_record::{Side, plain};
use crate::trees::put_aside::Aside;
use crate::trees::stage::dress;
use crate::trees::toll::{Group, salvaged};
use crate::trees::walk::{Met, own_node, walk};
use crate::wanted::Wanted;
use guard_system::context::Context;
use guard_system::disk::{At, Dir};

/// What came of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Salvaged {
    /// They are aside, and nothing has their names where they were.
    pub(super) aside: Group,
    /// They are aside, and another is live under their names.
    pub(super) other: Group,
    /// They were given back now.
    pub(super) given: Group,
}

/// Looks through what lies aside, and gives back what is `wanted` and has no live counterpart.
///
/// # Errors
/// It is not there any more, or something cannot be read or made.
pub(super) fn salvage(aside: &Aside, wanted: &Wanted, cx: &Context) -> Result<Salvaged> {
    let mut found = Salvaged::default();
    let missing = || ResourceError::new(format!("{} is not there any more", aside.shown().display()));
    let state = Patch::new(aside).state()?.ok_or_else(missing)?;
    if !state.done {
        let what = format!("a swap in {} is not finished", aside.shown().display());
        return Err(ResourceError::new(what).with_hint("`guard resume` finishes it"));
    }
    // After an undo the copy lies there, which the backup has too.
    if state.to != Side::After {
        return Ok(found);
    }
    let items = state.items.iter().map(|item| plain(&item.path));
    let items: BTreeSet<Vec<u8>> = items.collect::<Result<_>>()?;
    let (live, entries) = (&aside.live, aside.entries()?);
    walk(&entries, false, cx, |met| {
        let Met::Node(node, _, stat) = met else { return Ok(()) };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory || !is_item(&node.path, &items) {
            return Ok(());
        }
        let shown = live.shown_at(&node.path);
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        match there(live, &node.path).at("look at", &shown)? {
            // As it was, or given back before.
            Some(now) if now == seen(stat) => {}
            None if !wanted.takes(&node.path) => found.aside.add(&node.path, size),
            None if give(&entries, live, &node.path).at("give back", &shown)? => found.given.add(&node.path, size),
            Some(_) | None => found.other.add(&node.path, size),
        }
        Ok(())
    })?;
    if !found.given.is_empty() {
        live.sync().at("sync the directory", live.shown())?;
    }
    Ok(found)
}

fn is_item(path: &[u8], items: &BTreeSet<Vec<u8>>) -> bool {
    let ends = path
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'/')
        .map(|(end, _)| end);
    let mut prefixes = ends.chain([path.len()]).filter_map(|end| path.get(..end));
    prefixes.any(|prefix| items.contains(prefix))
}

/// By what a file is known: its length and its time.
type Seen = (i64, (i64, i64));

fn seen(stat: &Stat) -> Seen {
    let nanoseconds = i64::try_from(stat.st_mtime_nsec).unwrap_or_default();
    (stat.st_size, (stat.st_mtime, nanoseconds))
}

/// What is live under a path; `None`: nothing.
fn there(live: &Dir, path: &[u8]) -> io::Result<Option<Seen>> {
    let looked = live.around(path).and_then(|(around, name)| around.look(name));
    match looked {
        Ok(stat) => Ok(stat.as_ref().map(seen)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // A file or a link stands where a directory was: something else has the name.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(Some((-1, (0, 0)))),
        Err(error) => Err(error),
    }
}

/// Gives an entry its live name, in directories like those around it; `false`: something has that name.
fn give(entries: &Dir, live: &Dir, path: &[u8]) -> io::Result<bool> {
    let (from, name) = entries.around(path)?;
    let mut to = live.again()?;
    let mut shape = entries.again()?;
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    for part in parts.iter().take(parts.len().saturating_sub(1)) {
        shape = shape.dir(part)?;
        to = match to.dir(part) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                mkdirat(&to, *part, rustix::fs::Mode::RWXU)?;
                let made = to.dir(part)?;
                dress_like(&made, &shape)?;
                made
            }
            other => other?,
        };
    }
    match linkat(&from, name, &to, name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn dress_like(made: &Dir, shape: &Dir) -> io::Result<()> {
    let node = own_node(shape).map_err(io::Error::other)?;
    let handle = made.as_fd().try_clone_to_owned()?;
    dress(&File::from(handle), &node)
}

impl Salvaged {
    /// What came of it, each a sentence. `command`: how files are asked for.
    pub(super) fn sentences(&self, noun: &str, command: &str) -> Vec<String> {
        salvaged((&self.aside, &self.other, &self.given), noun, command)
    }
}
