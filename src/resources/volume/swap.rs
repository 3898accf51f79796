//! Which of two states of a volume is live, and how it stands with the other: also as guards before wrote it down.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;

use serde::{Deserialize, Serialize};

use super::aside::is_ours;
use super::chunks::{Attire, Item, State};
use super::home::Aside;
use crate::names::escaped;
use crate::toll::Toll;
use crate::{ResourceError, Result};
use guard_system::disk::At;

/// The record's name in the directory aside, as guards before named it.
pub(super) const STATE: &str = "state.json";

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

/// What guards before wrote down of a whole tree.
#[derive(Debug, Deserialize)]
struct Older {
    copy: String,
    to: Side,
    done: bool,
    used: bool,
    /// What lay aside when the exchange began: escaped name and inode number.
    entries: Vec<(String, u64)>,
    /// The volume's own directory as it is to be on the live side, and as it was on the other.
    live: Own,
    aside: Own,
}

/// What a guard before wrote down in this directory, as it is written down now; `None` where there is nothing.
///
/// # Errors
/// It cannot be read or understood.
pub(super) fn older(aside: &Aside) -> Result<Option<State>> {
    let dir = &aside.dir;
    let shown = dir.shown_at(STATE.as_bytes());
    let Some(bytes) = dir.read(STATE.as_bytes()).at("read", &shown)? else {
        return Ok(None);
    };
    let older: Older = serde_json::from_slice(&bytes)
        .map_err(|error| ResourceError::because(format!("could not understand {}", shown.display()), error))?;
    let mut items: Vec<Item> = Vec::new();
    if !older.done {
        // What lay aside goes in, and what else is live goes out.
        let known: BTreeSet<&str> = older.entries.iter().map(|(name, _)| name.as_str()).collect();
        items.extend(older.entries.iter().map(|(path, inode)| Item {
            path: path.clone(),
            aside: Some(*inode),
            live: None,
            times: (None, None),
            locks: (0, 0),
        }));
        let live = aside.live.names().at("read the directory", aside.live.shown())?;
        let surplus = live
            .iter()
            .filter(|name| !is_ours(name))
            .map(|name| escaped(name.as_bytes()));
        items.extend(surplus.filter(|path| !known.contains(path.as_str())).map(|path| Item {
            path,
            aside: None,
            live: None,
            times: (None, None),
            locks: (0, 0),
        }));
    }
    // Of an exchange that is not done the live side is to be as `live` says; else it is, and the next turns it round.
    let dressed = (
        Attire::of(&older.live.node(&aside.live)?),
        Attire::of(&older.aside.node(&aside.live)?),
    );
    Ok(Some(State {
        copy: older.copy,
        to: older.to,
        done: older.done,
        used: older.used,
        has_links: false,
        whole: true,
        items,
        dressed: BTreeMap::from([(String::new(), dressed)]),
        bare: BTreeSet::new(),
        kept: BTreeSet::new(),
        toll: Toll::default(),
    }))
}
