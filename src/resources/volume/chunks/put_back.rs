//! The way back of a copy in chunks: what differs is staged aside while everything runs, looked at once more when nothing
//! does, and exchanged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::super::capture::INDEX;
use super::super::record::Details;
use super::super::swap::{Aside, Side};
use super::attire::Attire;
use super::differ::{Difference, differ};
use super::index::is_within;
use super::patch::{Patch, State};
use super::staging::stage;
use crate::model::artifact::Artifact;
use crate::model::text;
use crate::resources::names::escaped;
use crate::resources::{ResourceError, Result, Slot};
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

/// Stages what differs in the directory aside of this name. Says what that is.
///
/// # Errors
/// The copy is bad, there is no `room` for what differs, or it cannot be staged.
pub(in super::super) fn prepare(
    artifact: &Artifact,
    slot: &Slot,
    details: &Details,
    (live, aside): (&Path, &str),
    room: &dyn Fn(u64) -> Result<()>,
    cx: &Context,
) -> Result<String> {
    let patch = Patch::new(live, aside);
    let difference = differ(live, (artifact, slot), details.packed.begun, cx)?;
    room(difference.bytes)?;
    stage_anew(&patch, &difference, artifact, slot, cx)?;
    record(&patch, &difference, mark(artifact)?)?;
    let (fetched, surplus) = (difference.fetched.len() as u64, difference.surplus.len() as u64);
    Ok(format!(
        "{} of {} entries are put back, and {} put aside; the others stay as they are",
        text::count(fetched),
        text::count(details.entries),
        text::count(surplus)
    ))
}

/// Empties the directory aside and stages everything.
fn stage_anew(patch: &Patch, difference: &Difference, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
    let name = patch
        .directory
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let aside = Aside::new(&patch.live, &name);
    aside.clear()?;
    let staged = stage(patch, &difference.fetched, Some(difference.bytes), artifact, slot, cx);
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
pub(in super::super) fn swap_in(
    artifact: &Artifact,
    slot: &Slot,
    details: &Details,
    live: &Path,
    aside: &str,
    cx: &Context,
) -> Result<()> {
    let patch = Patch::new(live, aside);
    let missing = || ResourceError::new(format!("{} is not there any more", patch.directory.display()));
    let state = patch.state()?.ok_or_else(missing)?;
    if !state.used {
        let cx = &cx.unstoppable();
        let difference = differ(live, (artifact, slot), details.packed.begun, cx)?;
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
        let is_same = state.copy == mark(artifact)?;
        let has_links = state.has_links || difference.has_links;
        let overlaps = |path: &Vec<u8>| {
            staged
                .iter()
                .any(|other| is_within(path, other) || is_within(other, path))
        };
        if !is_same || (has_links && !missing.is_empty()) || missing.iter().any(overlaps) {
            stage_anew(&patch, &difference, artifact, slot, cx)?;
        } else if !missing.is_empty() {
            stage(&patch, &missing, None, artifact, slot, cx)?;
        }
        record(&patch, &difference, mark(artifact)?)?;
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
