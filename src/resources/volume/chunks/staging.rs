//! Builds entries of a copy in the directory aside: directories in their order, files by several workers at once, and last the
//! further names of files.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use super::super::node::{Node, Shape};
use super::super::stage::Stage;
use super::super::walk;
use super::differ::os;
use super::index::{Line, is_within, order};
use super::patch::Patch;
use super::read::{self, Source};
use crate::model::artifact::Artifact;
use crate::resources::progress::Progress;
use crate::resources::{ResourceError, Result, Slot};
use crate::system::context::Context;
use crate::system::disk::{self, At};

/// Files go to a worker in batches of about so much content: neighbours lie in the same blocks, and a block is unpacked once
/// for each batch.
const BATCH: u64 = 4 * 1024 * 1024;
/// And of no more files.
const FILES: usize = 256;
/// More workers wait for the disk only.
const WORKERS: usize = 8;

/// The workers' side.
struct Work<'w> {
    place: &'w Path,
    artifact: &'w Artifact,
    slot: &'w Slot,
    from: Mutex<Receiver<Vec<Line>>>,
    has_failed: AtomicBool,
    /// Bytes of files that are made and not told of yet.
    done: AtomicU64,
}

impl Work<'_> {
    /// Makes files until there are no more. After a failure they are taken and dropped, so that nobody waits.
    fn make_files(&self) -> io::Result<()> {
        let mut outcome = Ok(());
        let mut tools = self.tools().map_err(|error| outcome = Err(self.fail(error))).ok();
        loop {
            let next = self.from.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(batch) = next else { return outcome };
            for line in batch {
                let Some((stage, source)) = tools.as_mut() else { break };
                if self.has_failed.load(Ordering::Relaxed) {
                    break;
                }
                if let Err(error) = stage.make(line.node.clone(), &mut source.content(&line)) {
                    outcome = Err(self.fail(error));
                }
                self.done.fetch_add(line.node.size, Ordering::Relaxed);
            }
        }
    }

    fn tools(&self) -> io::Result<(Stage, Source)> {
        Ok((Stage::new(self.place)?, Source::open(self.artifact, self.slot)?))
    }

    fn fail(&self, error: io::Error) -> io::Error {
        self.has_failed.store(true, Ordering::Relaxed);
        error
    }
}

/// Files on their way to the workers.
struct Batch {
    lines: Vec<Line>,
    bytes: u64,
    to: SyncSender<Vec<Line>>,
}

impl Batch {
    fn take(&mut self, line: Line) {
        self.bytes += line.node.size;
        self.lines.push(line);
        if self.bytes >= BATCH || self.lines.len() >= FILES {
            self.send();
        }
    }

    fn send(&mut self) {
        self.bytes = 0;
        // Where nobody takes them, the workers say why.
        let _taken = self.to.send(std::mem::take(&mut self.lines));
    }
}

/// Fetches these entries, whose files have so many bytes, into the directory aside.
///
/// # Errors
/// The copy is not whole (`copy_is_bad`), they cannot be made, or guard was asked to stop.
pub(super) fn stage(
    patch: &Patch,
    wanted: &[Vec<u8>],
    bytes: Option<u64>,
    artifact: &Artifact,
    slot: &Slot,
    cx: &Context,
) -> Result<()> {
    let spoiled = |error: io::Error| ResourceError {
        copy_is_bad: matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof),
        ..ResourceError::because(format!("could not stage {} whole", artifact.resource), error)
    };
    let place = patch.entries();
    let mut tree = Stage::new(&place).at("open", &place)?;
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = workers.clamp(1, WORKERS);
    let (to, from) = sync_channel(workers);
    let work = Work {
        place: &place,
        artifact,
        slot,
        from: Mutex::new(from),
        has_failed: AtomicBool::new(false),
        done: AtomicU64::new(0),
    };
    let batch = Batch {
        lines: Vec::new(),
        bytes: 0,
        to,
    };
    let mut progress = Progress::new(format!("stage {}", artifact.resource), bytes, cx);
    let (planned, made) = std::thread::scope(|scope| {
        let hands: Vec<_> = (0..workers).map(|_| scope.spawn(|| work.make_files())).collect();
        let planned = plan(wanted, &mut tree, batch, &work, &mut progress, cx);
        let made = hands.into_iter().map(std::thread::ScopedJoinHandle::join);
        let made = made.map(|made| made.unwrap_or_else(|_| Err(io::Error::other("a worker panicked"))));
        (planned, made.collect::<io::Result<()>>())
    });
    made.map_err(spoiled)?;
    progress.add(work.done.swap(0, Ordering::Relaxed));
    for line in planned? {
        further_name(&mut tree, &line, patch).map_err(spoiled)?;
    }
    tree.finish().map(drop).map_err(spoiled)
}

/// Makes directories and what has no content, and hands files to the workers. Returns the further names of files.
fn plan(
    wanted: &[Vec<u8>],
    tree: &mut Stage,
    mut batch: Batch,
    work: &Work<'_>,
    progress: &mut Progress<'_>,
    cx: &Context,
) -> Result<Vec<Line>> {
    let unread = |error: io::Error| ResourceError {
        copy_is_bad: error.kind() != io::ErrorKind::PermissionDenied,
        ..ResourceError::because(format!("could not read the index of {}", work.artifact.resource), error)
    };
    let unmade = |error| ResourceError::because(format!("could not stage {} whole", work.artifact.resource), error);
    let mut lines = read::index(work.artifact, work.slot).map_err(unread)?;
    let metadata = std::fs::symlink_metadata(work.place).at("look at", work.place)?;
    let own = walk::node(Vec::new(), Shape::Directory, &metadata, Vec::new());
    tree.make(own.clone(), &mut io::empty()).map_err(unmade)?;
    let mut wanted = wanted.iter().peekable();
    let mut made: HashSet<Vec<u8>> = HashSet::new();
    let mut further = Vec::new();
    while let Some(line) = lines.next().map_err(unread)? {
        let here = &line.node.path;
        while wanted
            .next_if(|item| order(item, here).is_lt() && !is_within(here, item))
            .is_some()
        {}
        let Some(item) = wanted.peek() else { break };
        if work.has_failed.load(Ordering::Relaxed) {
            break;
        }
        if !is_within(here, item) {
            continue;
        }
        if cx.stop.is_asked() {
            work.has_failed.store(true, Ordering::Relaxed);
            return Err(ResourceError::new("stopped because guard was asked to stop"));
        }
        for (end, _) in item.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let above = item.get(..end).unwrap_or_default();
            if made.insert(above.to_owned()) && !disk::exists(&work.place.join(os(above)))? {
                let around = Node {
                    path: above.to_owned(),
                    mode: 0o700,
                    ..own.clone()
                };
                tree.make(around, &mut io::empty()).map_err(unmade)?;
            }
        }
        match line.node.shape {
            Shape::File => batch.take(line),
            Shape::Hardlink(_) => further.push(line),
            Shape::Directory | Shape::Symlink(_) | Shape::Fifo => {
                tree.make(line.node, &mut io::empty()).map_err(unmade)?;
            }
        }
        progress.add(work.done.swap(0, Ordering::Relaxed));
    }
    batch.send();
    Ok(further)
}

fn further_name(tree: &mut Stage, line: &Line, patch: &Patch) -> io::Result<()> {
    if let Shape::Hardlink(target) = &line.node.shape
        && !disk::exists(&patch.entries().join(os(target))).map_err(io::Error::other)?
    {
        // The file itself is as it was and stays.
        return tree.link(&patch.live.join(os(target)), &line.node.path);
    }
    tree.make(line.node.clone(), &mut io::empty())
}
