//! Which of two states of a volume is live, and how it stands with the other: also as guards before wrote it down.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;

use serde::{Deserialize, Serialize};

use super::metadata::Metadata;
use super::node::{Node, Shape};
use super::private_names::is_ours;
use super::toll::Toll;
use super::{archive, walk};
use crate::error::{ResourceError, Result};
use crate::names::{escaped, unescaped};
use guard_system::disk::{At, Dir};

/// The record's name in the directory aside, as guards before named it.
pub(crate) const OLDER: &str = "state.json";

/// Whose state is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Side {
    /// The state that was live when the copy was staged.
    Before,
    /// The copy.
    After,
}

impl Side {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Before => Self::After,
            Self::After => Self::Before,
        }
    }
}

/// What the volume's own directory has of its own: it cannot be exchanged, and is set instead.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Own {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
    /// Attributes, their values escaped, and flags; `None`: written by a guard that did not keep them.
    #[serde(default)]
    pub(crate) features: Option<(Vec<(String, String)>, u32)>,
}

/// How it stands with what lies aside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) copy: String,
    pub(crate) done: bool,
    pub(crate) used: bool,
}

impl Seen {
    /// Whether this copy is staged there, whole, whichever side is live.
    pub(crate) fn holds(&self, copy: &str) -> bool {
        self.copy == copy && (!self.used || !self.done)
    }

    /// Whether a state that was live once may lie there.
    pub(crate) fn is_used(&self) -> bool {
        self.used
    }

    /// Whether a swap was cut off there: even where all entries are exchanged, the rest of it is still to do.
    pub(crate) fn is_unfinished(&self) -> bool {
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

/// What a guard before wrote down in the directory aside of a live one, as it is written down now; `None` where there is nothing.
///
/// # Errors
/// It cannot be read or understood.
fn older(live: &Dir, dir: &Dir) -> Result<Option<State>> {
    let shown = dir.shown_at(OLDER.as_bytes());
    let Some(bytes) = dir.read(OLDER.as_bytes()).at("read", &shown)? else {
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
        let names = live.names().at("read the directory", live.shown())?;
        let surplus = names
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
        Metadata::of_node(&older.live.node(live)?),
        Metadata::of_node(&older.aside.node(live)?),
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

/// The record's name in the directory aside.
pub(crate) const STATE: &str = "patch.json";

/// What is written down in the directory aside.
#[derive(Debug, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of a record that other guards have written"
)]
pub(crate) struct State {
    /// The digest by which what was staged is known.
    pub(crate) copy: String,
    /// The side that is live, or is becoming so.
    pub(crate) to: Side,
    /// Whether it is wholly so.
    pub(crate) done: bool,
    /// Whether anything was ever exchanged.
    pub(crate) used: bool,
    /// Whether hard links are among what was staged.
    #[serde(default)]
    pub(crate) has_links: bool,
    /// Whether a whole tree was staged: all that differs is then looked for when an exchange begins.
    #[serde(default)]
    pub(crate) whole: bool,
    pub(crate) items: Vec<Item>,
    /// Directories on both sides, by their escaped paths: as they are to be live, and as they were.
    pub(crate) dressed: BTreeMap<String, (Metadata, Metadata)>,
    /// Directories that are live and have no counterpart aside, and stay since something in them does; escaped paths.
    #[serde(default)]
    pub(crate) bare: BTreeSet<String>,
    /// Entries that this exchange leaves where they are, whichever side is live; escaped paths.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) kept: BTreeSet<String>,
    /// What the exchange means for files.
    #[serde(default)]
    pub(crate) toll: Toll,
}

impl State {
    /// What is written down in this directory aside of a live one; `None`: nothing is staged whole.
    ///
    /// # Errors
    /// It cannot be read or understood.
    pub(crate) fn read(live: &Dir, dir: &Dir) -> Result<Option<Self>> {
        let shown = dir.shown_at(STATE.as_bytes());
        let Some(bytes) = dir.read(STATE.as_bytes()).at("read", &shown)? else {
            return older(live, dir);
        };
        let state = serde_json::from_slice(&bytes);
        state
            .map(Some)
            .map_err(|error| ResourceError::because(format!("could not understand {}", shown.display()), error))
    }

    pub(crate) fn seen(self) -> Seen {
        Seen {
            copy: self.copy,
            done: self.done,
            used: self.used,
        }
    }
}

/// An entry that is exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    /// Escaped.
    pub(crate) path: String,
    /// The inode number aside and live when the exchange began, where there was anything.
    pub(crate) aside: Option<u64>,
    pub(crate) live: Option<u64>,
    /// The times of directories then, aside and live: a file system may change that of a directory which is moved, as xfs does
    /// in an exchange.
    #[serde(default, skip_serializing_if = "is_timeless")]
    pub(crate) times: (Option<Time>, Option<Time>),
    /// Which of immutable and append-only they were then, aside and live: such an entry cannot be moved.
    #[serde(default, skip_serializing_if = "is_unlocked")]
    pub(crate) locks: (u32, u32),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_unlocked(locks: &(u32, u32)) -> bool {
    *locks == (0, 0)
}

/// Seconds since 1970 and nanoseconds.
pub(crate) type Time = (i64, u32);

fn is_timeless(times: &(Option<Time>, Option<Time>)) -> bool {
    times.0.is_none() && times.1.is_none()
}

/// The path that a record means; one that leads out is refused.
pub(crate) fn plain(path: &str) -> Result<Vec<u8>> {
    let raw = unescaped(path).unwrap_or_else(|| b"..".to_vec());
    archive::inside(&[b"./", raw.as_slice()].concat())
        .map_err(|error| ResourceError::because("the record of an exchange names what is no path", error))
}

impl Own {
    /// Of the volume's own entry.
    pub(crate) fn of(node: &Node) -> Self {
        Self {
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            seconds: node.mtime.0,
            nanoseconds: node.mtime.1,
            features: Some((
                node.xattrs
                    .iter()
                    .map(|(name, value)| (name.clone(), escaped(value)))
                    .collect(),
                node.flags,
            )),
        }
    }

    /// As the entry of this directory, which keeps the attributes that it has where nobody noted others.
    ///
    /// # Errors
    /// They cannot be read.
    pub(crate) fn node(&self, live: &Dir) -> Result<Node> {
        let (xattrs, flags) = if let Some((xattrs, flags)) = &self.features {
            let plain = |(name, value): &(String, String)| Some((name.clone(), unescaped(value)?));
            (xattrs.iter().filter_map(plain).collect(), *flags)
        } else {
            let had = walk::own_node(live)?;
            (had.xattrs, had.flags)
        };
        Ok(Node {
            path: Vec::new(),
            shape: Shape::Directory,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            size: 0,
            mtime: (self.seconds, self.nanoseconds),
            xattrs,
            flags,
        })
    }
}
