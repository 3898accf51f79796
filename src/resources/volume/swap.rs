//! Exchanges what lies aside in a volume with what is live, entry by entry, so that a cut leaves nothing half done that a
//! repeat does not finish.
//!
//! Before the first move it is written down which entries lie aside, by name and inode number. An entry that still lies
//! aside under its number has not been exchanged yet; any other has. So the state follows from what is on the disk, in
//! whatever order the moves reached it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::aside::is_ours;
use super::{chunks, stage, walk};
use crate::resources::names::{escaped, unescaped};
use crate::resources::{ResourceError, Result};
use crate::system::disk::{self, At, Dir};

/// Whose state is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Side {
    /// The state that was live when the copy was staged.
    Before,
    /// The copy.
    After,
}

impl Side {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Before => Self::After,
            Self::After => Self::Before,
        }
    }
}

/// What the volume's own directory has of its own: it cannot be exchanged, and is set instead.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Own {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) seconds: i64,
    pub(super) nanoseconds: u32,
    /// Attributes, their values escaped, and flags; `None`: written by a guard that did not keep them.
    #[serde(default)]
    pub(super) features: Option<(Vec<(String, String)>, u32)>,
}

/// How it stands with what lies aside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) copy: String,
    pub(super) done: bool,
    pub(super) used: bool,
}

impl Seen {
    /// Whether this copy is staged there, whole, whichever side is live.
    pub(super) fn holds(&self, copy: &str) -> bool {
        self.copy == copy && (!self.used || !self.done)
    }

    /// Whether a state that was live once may lie there.
    pub(super) fn is_used(&self) -> bool {
        self.used
    }

    /// Whether a swap was cut off there: even where all entries are exchanged, the rest of it is still to do.
    pub(super) fn is_unfinished(&self) -> bool {
        !self.done
    }
}

/// What is written down in the directory aside.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    /// The digest of the archive that was staged.
    copy: String,
    /// The side that is live, or is becoming so.
    to: Side,
    /// Whether it is wholly so.
    done: bool,
    /// Whether anything was ever exchanged.
    used: bool,
    /// What lay aside when the exchange began: escaped name and inode number.
    entries: Vec<(String, u64)>,
    /// The volume's own directory as it is to be on the live side, and as it was on the other.
    live: Own,
    aside: Own,
}

/// The directory aside, in a live tree.
pub(super) struct Aside {
    live: PathBuf,
    directory: PathBuf,
}

impl Aside {
    /// The directory of this name in this live tree.
    pub(super) fn new(live: &Path, name: &str) -> Self {
        Self {
            live: live.to_owned(),
            directory: live.join(name),
        }
    }

    /// Where staged and displaced entries lie.
    pub(super) fn entries(&self) -> PathBuf {
        self.directory.join("entries")
    }

    fn trash(&self) -> PathBuf {
        disk::sibling(&self.directory, "-trash")
    }

    fn state_file(&self) -> PathBuf {
        self.directory.join("state.json")
    }

    fn state(&self) -> Result<Option<State>> {
        let path = self.state_file();
        let Some(bytes) = disk::read_optional(&path)? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| ResourceError::because(format!("could not understand {}", path.display()), error))
    }

    fn write(&self, state: &State) -> Result<()> {
        let bytes = serde_json::to_vec(state)
            .map_err(|error| ResourceError::because("could not write down the state of a swap", error))?;
        Ok(disk::write_whole(&self.state_file(), &bytes)?)
    }

    /// How it stands with it; `None` where nothing is staged whole.
    pub(super) fn seen(&self) -> Result<Option<Seen>> {
        let seen = |state: State| Seen {
            copy: state.copy,
            done: state.done,
            used: state.used,
        };
        match self.state()? {
            Some(state) => Ok(Some(seen(state))),
            None => chunks::seen(&self.directory),
        }
    }

    /// An empty place to stage in; what an earlier try left is removed.
    pub(super) fn clear(&self) -> Result<PathBuf> {
        self.remove()?;
        disk::create_new_dir(&self.directory)?;
        disk::create_new_dir(&self.entries())?;
        Ok(self.entries())
    }

    /// Says that the copy is staged whole; `own` is the entry of the volume's own directory.
    pub(super) fn staged(&self, copy: &str, own: Own) -> Result<()> {
        self.write(&State {
            copy: copy.to_owned(),
            to: Side::Before,
            done: true,
            used: false,
            entries: Vec::new(),
            live: self.own()?,
            aside: own,
        })
    }

    fn own(&self) -> Result<Own> {
        Ok(Own::of(&walk::own_node(
            &Dir::open(&self.live).at("open", &self.live)?,
        )?))
    }

    /// Makes this side live, and the other one lie aside. Safe to repeat; a swap that was cut off is finished first.
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
        let mut entries = Vec::new();
        for path in disk::list(&self.entries())? {
            let inode = std::fs::symlink_metadata(&path).at("look at", &path)?.ino();
            entries.push((escaped(path.file_name().unwrap_or_default().as_bytes()), inode));
        }
        let mut state = State {
            copy: state.copy,
            to,
            done: false,
            used: true,
            entries,
            live: state.aside,
            aside: self.own()?,
        };
        self.write(&state)?;
        self.exchange(&mut state)
    }

    fn exchange(&self, state: &mut State) -> Result<()> {
        let aside = self.entries();
        let mut wanted = std::collections::BTreeSet::<OsString>::new();
        for (name, inode) in &state.entries {
            let name = unescaped(name).map(OsString::from_vec).filter(|name| is_plain(name));
            let name = name
                .ok_or_else(|| ResourceError::new(format!("{} names what is no name", self.state_file().display())))?;
            let (there, live) = (aside.join(&name), self.live.join(&name));
            if inode_of(&there)? == Some(*inode) {
                if disk::exists(&live)? {
                    disk::exchange_unsynced(&there, &live)?;
                } else {
                    disk::move_new_unsynced(&there, &live)?;
                }
            }
            wanted.insert(name);
        }
        for path in disk::list(&self.live)? {
            let name = path.file_name().unwrap_or_default();
            if !is_ours(name) && !wanted.contains(name) {
                disk::move_new_unsynced(&path, &aside.join(name))?;
            }
        }
        disk::sync_directory(&aside)?;
        let directory = File::open(&self.live).at("open", &self.live)?;
        let own = state.live.node(&self.live)?;
        stage::dress(&directory, &own).at("set the owner and mode of", &self.live)?;
        disk::sync_directory(&self.live)?;
        state.done = true;
        self.write(state)
    }

    /// Removes the directory and all that lies in it; what is gone already is fine.
    ///
    /// # Errors
    /// A swap is not finished, so that parts of the live state lie here; or it cannot be removed.
    pub(super) fn remove(&self) -> Result<()> {
        if self.seen()?.is_some_and(|seen| seen.is_unfinished()) {
            let what = format!(
                "a swap in {} is not finished: parts of the live state lie there",
                self.live.display()
            );
            return Err(ResourceError::new(what).with_hint("`guard resume` finishes it"));
        }
        disk::remove_tree(&self.directory, &self.trash())?;
        match std::fs::remove_dir(self.trash()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at("remove", &self.trash())?,
            _ => Ok(()),
        }
    }
}

fn is_plain(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    !bytes.is_empty() && bytes != b"." && bytes != b".." && !bytes.contains(&b'/') && !is_ours(name)
}

fn inode_of(path: &Path) -> Result<Option<u64>> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata.ino())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("look at", path)?,
    }
}
