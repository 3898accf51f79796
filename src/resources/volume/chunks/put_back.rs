//! The way back of a copy in chunks: what differs is staged aside while everything runs, looked at once more when nothing
//! does, and exchanged.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::path::Path;

use super::super::capture::INDEX;
use super::super::node::{Node, Shape};
use super::super::record::Details;
use super::super::stage::Stage;
use super::super::swap::{Aside, Side};
use super::super::walk;
use super::attire::Attire;
use super::differ::{Difference, differ, os};
use super::index::{Line, Lines, is_within, order};
use super::patch::{Patch, State};
use super::read::Source;
use crate::model::artifact::Artifact;
use crate::model::text;
use crate::resources::names::escaped;
use crate::resources::{ResourceError, Result, Slot};
use crate::system::context::Context;
use crate::system::disk::{self, At};

/// The digest by which a copy is known to what was staged from it.
fn mark(artifact: &Artifact) -> Result<&str> {
    let found = artifact
        .files
        .iter()
        .find(|file| file.path.rsplit('/').next() == Some(INDEX));
    let found = found.ok_or_else(|| ResourceError::bad_copy("the manifest lists no index"))?;
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
    let difference = differ(live, &slot.directory(), details.packed.begun, cx)?;
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
    let staged = stage(patch, &difference.fetched, artifact, slot, cx);
    if staged.is_err() {
        // The first failure is the one to tell; what cannot be removed now is removed by the next attempt.
        let _later = aside.remove();
    }
    staged
}

/// Fetches these entries into the directory aside.
fn stage(patch: &Patch, wanted: &[Vec<u8>], artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
    let spoiled = |error: io::Error| ResourceError {
        copy_is_bad: matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof),
        ..ResourceError::because(format!("could not stage {} whole", artifact.resource), error)
    };
    let place = patch.entries();
    let mut source = Source::open(&slot.directory()).map_err(spoiled)?;
    let mut lines = Lines::open(&slot.directory().join(INDEX)).map_err(spoiled)?;
    let mut stage = Stage::new(&place).at("open", &place)?;
    let metadata = std::fs::symlink_metadata(&place).at("look at", &place)?;
    let own = walk::node(Vec::new(), Shape::Directory, &metadata, Vec::new());
    stage.make(own.clone(), &mut io::empty()).map_err(spoiled)?;
    let mut wanted = wanted.iter().peekable();
    let mut made: HashSet<Vec<u8>> = HashSet::new();
    let (mut done, what) = (0, format!("stage {}", artifact.resource));
    while let Some(line) = lines.next().map_err(spoiled)? {
        let here = &line.node.path;
        while wanted
            .next_if(|item| order(item, here).is_lt() && !is_within(here, item))
            .is_some()
        {}
        let Some(item) = wanted.peek() else { break };
        if !is_within(here, item) {
            continue;
        }
        if cx.stop.is_asked() {
            return Err(ResourceError::new("stopped because guard was asked to stop"));
        }
        for (end, _) in item.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let above = item.get(..end).unwrap_or_default();
            if made.insert(above.to_owned()) && !disk::exists(&place.join(os(above)))? {
                let around = Node {
                    path: above.to_owned(),
                    mode: 0o700,
                    ..own.clone()
                };
                stage.make(around, &mut io::empty()).map_err(spoiled)?;
            }
        }
        done += line.node.size;
        make(&mut stage, &line, &mut source, patch).map_err(spoiled)?;
        cx.progress(&what, done, None);
    }
    stage.finish().map(drop).map_err(spoiled)
}

fn make(stage: &mut Stage, line: &Line, source: &mut Source, patch: &Patch) -> io::Result<()> {
    if let Shape::Hardlink(target) = &line.node.shape
        && !disk::exists(&patch.entries().join(os(target))).map_err(io::Error::other)?
    {
        // The file itself is as it was and stays.
        return stage.link(&patch.live.join(os(target)), &line.node.path);
    }
    stage.make(line.node.clone(), &mut source.content(line))
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
        let difference = differ(live, &slot.directory(), details.packed.begun, cx)?;
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
            stage(&patch, &missing, artifact, slot, cx)?;
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
