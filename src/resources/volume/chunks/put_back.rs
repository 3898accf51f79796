//! The way back of a copy in chunks: what differs is staged aside while everything runs, looked at once more when nothing
//! does, and exchanged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::capture::INDEX;
use super::super::swap::{Aside, Side};
use super::attire::Attire;
use super::differ::{Difference, differ};
use super::index::is_within;
use super::origin::Origin;
use super::patch::{Patch, State};
use crate::model::artifact::Artifact;
use crate::resources::names::escaped;
use crate::resources::{ResourceError, Result};
use crate::system::context::Context;
use crate::system::disk::{At, Dir};

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

/// Stages what differs in the directory aside of this name. Says what that is.
///
/// # Errors
/// The copy is bad, there is no `room` for what differs, or it cannot be staged.
pub(in super::super) fn prepare(
    origin: &mut dyn Origin,
    (live, aside): (&Path, &str),
    room: &dyn Fn(u64) -> Result<()>,
    cx: &Context,
) -> Result<Extent> {
    let patch = Patch::new(live, aside);
    let difference = differ(&Dir::open(live).at("open", live)?, origin, cx)?;
    room(difference.bytes)?;
    stage_anew(&patch, &difference, origin, cx)?;
    record(&patch, &difference, origin.mark())?;
    Ok(Extent {
        fetched: difference.fetched.len() as u64,
        surplus: difference.surplus.len() as u64,
    })
}

/// Empties the directory aside and stages everything.
fn stage_anew(patch: &Patch, difference: &Difference, origin: &mut dyn Origin, cx: &Context) -> Result<()> {
    let name = patch
        .directory
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let aside = Aside::new(&patch.live, &name);
    aside.clear()?;
    let staged = origin.stage(patch, &difference.fetched, Some(difference.bytes), cx);
    if staged.is_err() {
        // The first failure is the one to tell; what cannot be removed now is removed by the next attempt.
        let _later = aside.remove();
    }
    staged
}

/// Writes down what is to be exchanged.
fn record(patch: &Patch, difference: &Difference, copy: &str) -> Result<()> {
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
        items,
        dressed,
    })
}

/// Looks once more, now that nobody writes, fetches what came to differ meanwhile, and exchanges. Safe to repeat.
///
/// # Errors
/// Something is missing or cannot be moved; a repeat goes on.
pub(in super::super) fn swap_in(origin: &mut dyn Origin, live: &Path, aside: &str, cx: &Context) -> Result<()> {
    let patch = Patch::new(live, aside);
    let missing = || ResourceError::new(format!("{} is not there any more", patch.directory.display()));
    let state = patch.state()?.ok_or_else(missing)?;
    if !state.used {
        let cx = &cx.unstoppable();
        let difference = differ(&Dir::open(live).at("open", live)?, origin, cx)?;
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
    }
    patch.swap(Side::After)
}

/// Makes the other side live again.
///
/// # Errors
/// What was displaced is not there any more, or cannot be moved; a repeat goes on.
pub(in super::super) fn swap_back(live: &Path, aside: &str, to: Side) -> Result<()> {
    Patch::new(live, aside).swap(to)
}
