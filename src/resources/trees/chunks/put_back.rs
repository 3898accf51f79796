//! The way back of a copy in chunks: what differs is staged aside while everything runs, looked at once more when nothing
//! does, and exchanged.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::differ::{Difference, differ, differ_whole};
use super::index::{Lines, is_within};
use super::origin::Origin;
use crate::error::{ResourceError, Result};
use crate::names::escaped;
use crate::trees::exchange::Patch;
use crate::trees::exchange_record::{Side, State};
use crate::trees::keep::Keep;
use crate::trees::metadata::Metadata;
use crate::trees::node::Precision;
use crate::trees::put_aside::Aside;
use crate::trees::toll::Toll;
use crate::trees::walk::Stays;
use guard_model::event::Level;
use guard_system::context::Context;

/// What was staged.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Extent {
    /// Entries that come from the copy.
    pub(crate) fetched: u64,
    /// Entries that the copy does not know.
    pub(crate) surplus: u64,
}

/// What an exchange left where it was.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Swapped {
    /// Directories that stay though the copy does not know them, escaped.
    pub(crate) bare: BTreeSet<String>,
    /// What it meant for files.
    #[serde(default)]
    pub(crate) toll: Toll,
}

impl Swapped {
    /// That of an exchange of which only this is known.
    pub(crate) fn with(bare: BTreeSet<String>) -> Self {
        Self {
            bare,
            ..Self::default()
        }
    }
}

/// Stages what differs in the directory aside. Says what that is.
///
/// # Errors
/// The copy is bad, there is no `room` for what differs, or it cannot be staged.
pub(crate) fn prepare(
    origin: &mut dyn Origin,
    aside: &Aside,
    keep: &Keep,
    room: &dyn Fn(u64) -> Result<()>,
    cx: &Context,
) -> Result<Extent> {
    let patch = Patch::new(aside);
    let difference = differ(&aside.live, origin, keep, cx)?;
    for path in &difference.blocked {
        let what = format!(
            "{} stays as it is: no copy holds what is there now, or in it",
            escaped(path)
        );
        cx.note(Level::Warn, what);
    }
    let written = origin.written(&difference.fetched, difference.bytes);
    room(written.map_err(|error| ResourceError::because("could not read the index of the copy", error))?)?;
    stage_anew(&patch, &difference, origin, cx)?;
    record(&patch, &difference, origin.mark())?;
    Ok(Extent {
        fetched: difference.fetched.len() as u64,
        surplus: difference.surplus.len() as u64,
    })
}

/// Empties the directory aside and stages everything.
fn stage_anew(patch: &Patch<'_>, difference: &Difference, origin: &mut dyn Origin, cx: &Context) -> Result<()> {
    patch.aside.clear()?;
    let staged = origin.stage(patch, &difference.fetched, Some(difference.bytes), cx);
    if staged.is_err() {
        // The first failure is the one to tell; what cannot be removed now is removed by the next attempt.
        let _later = patch.aside.clear();
    }
    staged
}

/// Writes down what is to be exchanged.
fn record(patch: &Patch<'_>, difference: &Difference, copy: &str) -> Result<()> {
    let paths = difference.fetched.iter().chain(&difference.surplus);
    let items = patch.items(paths.map(|path| escaped(path)))?;
    let dressed = difference.dressed.iter();
    // What a directory is like now is looked at when the exchange begins.
    let dressed: BTreeMap<_, _> = dressed
        .map(|node| (escaped(&node.path), (Metadata::of_node(node), Metadata::of_node(node))))
        .collect();
    patch.write(&State {
        copy: copy.to_owned(),
        to: Side::Before,
        done: true,
        used: false,
        has_links: difference.has_links,
        whole: false,
        items,
        dressed,
        bare: difference.bare.iter().map(|path| escaped(path)).collect(),
        kept: difference.kept.iter().map(|path| escaped(path)).collect(),
        toll: difference.toll.clone(),
    })
}

fn staged(patch: &Patch<'_>) -> Result<State> {
    let missing = || ResourceError::new(format!("{} is not there any more", patch.aside.shown().display()));
    patch.state()?.ok_or_else(missing)
}

/// Exchanges a whole tree that is staged, but for what is kept: entry by entry what differs from it by its index, which `lines`
/// opens. Safe to repeat.
///
/// # Errors
/// Something is missing or cannot be moved; a repeat goes on.
pub(crate) fn swap_whole(
    lines: &dyn Fn() -> Result<Lines>,
    told: (i64, Precision),
    aside: &Aside,
    keep: &Keep,
    cx: &Context,
) -> Result<Swapped> {
    let patch = Patch::new(aside);
    let state = staged(&patch)?;
    let cx = &cx.unstoppable();
    let stays = if state.used {
        Stays::of(&aside.live, cx)?
    } else {
        let difference = differ_whole(&aside.live, lines, told, keep, cx)?;
        record(&patch, &difference, &state.copy)?;
        difference.stays
    };
    let bare = patch.swap(Side::After, &stays)?;
    Ok(Swapped {
        bare,
        toll: staged(&patch)?.toll,
    })
}

/// Looks once more, now that nobody writes, fetches what came to differ meanwhile, and exchanges. Safe to repeat.
///
/// # Errors
/// Something is missing or cannot be moved; a repeat goes on.
pub(crate) fn swap_in(origin: &mut dyn Origin, aside: &Aside, keep: &Keep, cx: &Context) -> Result<Swapped> {
    let patch = Patch::new(aside);
    let state = staged(&patch)?;
    let stays = if state.used {
        Stays::of(&aside.live, &cx.unstoppable())?
    } else {
        let cx = &cx.unstoppable();
        let difference = differ(&aside.live, origin, keep, cx)?;
        let staged: BTreeSet<Vec<u8>> = state
            .items
            .iter()
            .filter(|item| item.aside.is_some())
            .map(|item| crate::trees::exchange_record::plain(&item.path))
            .collect::<Result<_>>()?;
        let missing: Vec<Vec<u8>> = difference
            .fetched
            .iter()
            .filter(|path| !staged.contains(*path))
            .cloned()
            .collect();
        let is_same = state.copy == origin.mark();
        let has_links = state.has_links || difference.has_links;
        let overlaps = |path: &Vec<u8>| {
            staged
                .iter()
                .any(|other| is_within(path, other) || is_within(other, path))
        };
        if !is_same || (has_links && !missing.is_empty()) || missing.iter().any(overlaps) {
            stage_anew(&patch, &difference, origin, cx)?;
        } else if !missing.is_empty() {
            origin.stage(&patch, &missing, None, cx)?;
        }
        record(&patch, &difference, origin.mark())?;
        difference.stays
    };
    let bare = patch.swap(Side::After, &stays)?;
    let toll = self::staged(&patch)?.toll;
    Ok(Swapped { bare, toll })
}
