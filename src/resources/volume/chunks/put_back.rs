//! The way back of a copy in chunks: what differs is staged aside while everything runs, looked at once more when nothing
//! does, and exchanged.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::capture::INDEX;
use super::super::home::Aside;
use super::super::swap::Side;
use super::super::walk::Stays;
use super::attire::Attire;
use super::differ::{Difference, differ};
use super::index::is_within;
use super::origin::Origin;
use super::patch::{Patch, State};
use crate::model::artifact::Artifact;
use crate::model::event::Level;
use crate::resources::names::escaped;
use crate::resources::{ResourceError, Result};
use crate::system::context::Context;

/// The digest by which a copy is known to what was staged from it.
///
/// # Errors
/// The manifest lists no index.
pub(in crate::resources) fn mark(artifact: &Artifact) -> Result<&str> {
    let found = artifact
        .file(INDEX)
        .ok_or_else(|| ResourceError::bad_copy("the manifest lists no index"))?;
    Ok(&found.sha256)
}

/// What was staged.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(in super::super) struct Extent {
    /// Entries that come from the copy.
    pub(in super::super) fetched: u64,
    /// Entries that the copy does not know.
    pub(in super::super) surplus: u64,
}

/// Stages what differs in the directory aside. Says what that is.
///
/// # Errors
/// The copy is bad, there is no `room` for what differs, or it cannot be staged.
pub(in super::super) fn prepare(
    origin: &mut dyn Origin,
    aside: &Aside,
    room: &dyn Fn(u64) -> Result<()>,
    cx: &Context,
) -> Result<Extent> {
    let patch = Patch::new(aside);
    let difference = differ(&aside.live, origin, cx)?;
    for path in &difference.blocked {
        let what = format!(
            "{} stays as it is: no copy holds what is there now, or in it",
            escaped(path)
        );
        cx.note(Level::Warn, what);
    }
    room(difference.bytes)?;
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
        .map(|node| (escaped(&node.path), (Attire::of(node), Attire::of(node))))
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
    })
}

/// Looks once more, now that nobody writes, fetches what came to differ meanwhile, and exchanges. Safe to repeat. Returns the
/// directories that stay though the copy does not know them.
///
/// # Errors
/// Something is missing or cannot be moved; a repeat goes on.
pub(in super::super) fn swap_in(origin: &mut dyn Origin, aside: &Aside, cx: &Context) -> Result<BTreeSet<String>> {
    let patch = Patch::new(aside);
    let missing = || ResourceError::new(format!("{} is not there any more", aside.shown().display()));
    let state = patch.state()?.ok_or_else(missing)?;
    let stays = if state.used {
        Stays::of(&aside.live, &cx.unstoppable())?
    } else {
        let cx = &cx.unstoppable();
        let difference = differ(&aside.live, origin, cx)?;
        let staged: BTreeSet<Vec<u8>> = state
            .items
            .iter()
            .filter(|item| item.aside.is_some())
            .map(|item| super::patch::plain(&item.path))
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
    patch.swap(Side::After, &stays)
}
