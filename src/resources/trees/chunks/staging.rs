//! Builds entries of a copy in the directory aside: directories in their order, files by several workers at once, and last the
//! further names of files.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use super::index::{Line, Lines, is_within, order};
use super::read::{self, Source};
use crate::error::{ResourceError, Result};
use crate::progress::Progress;
use crate::slot::Slot;
use crate::trees::exchange::Patch;
use crate::trees::node::{Node, Shape};
use crate::trees::stage::{Same, Stage};
use crate::trees::stand_in::StandIn;
use crate::trees::walk;
use guard_model::artifact::Artifact;
use guard_system::context::Context;
use guard_system::disk::Dir;

/// Files go to a worker in batches of about so much content: neighbours lie in the same blocks, and a block is unpacked once
/// for each batch.
const BATCH: u64 = 4 * 1024 * 1024;
/// And of no more files.
const FILES: usize = 256;
/// More workers wait for the disk only.
const WORKERS: usize = 8;

/// The workers' side.
struct Work<'w> {
    place: &'w Dir,
    artifact: &'w Artifact,
    slot: &'w Slot,
    stand_in: Option<&'w StandIn>,
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
                let found = self.stand_in.and_then(|stand_in| stand_in.file(&line));
                let holds = |file: &File| read::holds(file, &line);
                let same = found.as_ref().map(|file| Same { file, holds: &holds });
                if let Err(error) = stage.make_of(line.node.clone(), same, &mut source.content(&line)) {
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

/// Fetches these entries, whose files have so many bytes, into the directory aside: from what stands in for the copy, as far as
/// it is believed, else from the copy.
///
/// # Errors
/// The copy is not whole (`copy_is_bad`), they cannot be made, or guard was asked to stop.
pub(crate) fn stage(
    patch: &Patch<'_>,
    wanted: &[Vec<u8>],
    bytes: Option<u64>,
    (artifact, slot): (&Artifact, &Slot),
    stand_in: Option<&StandIn>,
    cx: &Context,
) -> Result<()> {
    let spoiled = |error: io::Error| ResourceError {
        copy_is_bad: matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof),
        ..ResourceError::because(format!("could not stage {} whole", artifact.resource), error)
    };
    let place = patch.aside.entries()?;
    let mut builder = Builder::new(patch).map_err(spoiled)?;
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = workers.clamp(1, WORKERS);
    let (to, from) = sync_channel(workers);
    let work = Work {
        place: &place,
        artifact,
        slot,
        stand_in,
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
        let planned = plan(wanted, &mut builder, batch, &work, &mut progress, cx);
        let made = hands.into_iter().map(std::thread::ScopedJoinHandle::join);
        let made = made.map(|made| made.unwrap_or_else(|_| Err(io::Error::other("a worker panicked"))));
        (planned, made.collect::<io::Result<()>>())
    });
    made.map_err(spoiled)?;
    progress.add(work.done.swap(0, Ordering::Relaxed));
    planned?;
    builder.finish().map_err(spoiled)
}

/// Goes through the lines of an index that are wanted, or lie in what is; both are in the order of a walk.
pub(crate) fn select(
    lines: &mut Lines,
    wanted: &[Vec<u8>],
    take: &mut dyn FnMut(Line) -> io::Result<()>,
) -> io::Result<()> {
    let mut wanted = wanted.iter().peekable();
    while let Some(line) = lines.next()? {
        let here = &line.node.path;
        while wanted
            .next_if(|item| order(item, here).is_lt() && !is_within(here, item))
            .is_some()
        {}
        let Some(item) = wanted.peek() else { break };
        if is_within(here, item) {
            take(line)?;
        }
    }
    Ok(())
}

/// Makes directories and what has no content, and hands files to the workers.
fn plan(
    wanted: &[Vec<u8>],
    builder: &mut Builder<'_>,
    mut batch: Batch,
    work: &Work<'_>,
    progress: &mut Progress<'_>,
    cx: &Context,
) -> Result<()> {
    let unread = |error: io::Error| ResourceError {
        copy_is_bad: !matches!(
            error.kind(),
            io::ErrorKind::PermissionDenied | io::ErrorKind::Interrupted
        ),
        ..ResourceError::because(format!("could not read the index of {}", work.artifact.resource), error)
    };
    let mut lines = read::index(work.artifact, work.slot).map_err(unread)?;
    let mut unmade = None;
    let selected = select(&mut lines, wanted, &mut |line| {
        if work.has_failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        if cx.stop.is_asked() {
            work.has_failed.store(true, Ordering::Relaxed);
            return Err(io::Error::new(io::ErrorKind::Interrupted, "guard was asked to stop"));
        }
        let made = match line.node.shape {
            Shape::File => builder.around(&line.node.path).map(|()| {
                builder.tree.note(&line.node);
                batch.take(line);
            }),
            _ => builder.make(line.node, &mut io::empty()),
        };
        if let Err(error) = made {
            work.has_failed.store(true, Ordering::Relaxed);
            unmade.get_or_insert(error);
        }
        progress.add(work.done.swap(0, Ordering::Relaxed));
        Ok(())
    });
    batch.send();
    if let Some(error) = unmade {
        let what = format!("could not stage {} whole", work.artifact.resource);
        return Err(ResourceError::because(what, error));
    }
    selected.map_err(unread)
}

/// Makes single entries in the directory aside, each in the directories that it lies in.
pub(crate) struct Builder<'p> {
    patch: &'p Patch<'p>,
    place: Dir,
    tree: Stage,
    /// What a directory has of its own that only stands around an entry.
    around: Node,
    /// Directories that were made or looked for.
    known: HashSet<Vec<u8>>,
    /// Further names of files: made last, when the files are there.
    additional: Vec<Node>,
}

impl<'p> Builder<'p> {
    pub(crate) fn new(patch: &'p Patch<'p>) -> io::Result<Self> {
        let place = patch.aside.entries().map_err(io::Error::other)?;
        let mut tree = Stage::new(&place)?;
        let own = walk::own_node(&place).map_err(io::Error::other)?;
        tree.make(own.clone(), &mut io::empty())?;
        Ok(Self {
            patch,
            place,
            tree,
            around: Node { mode: 0o700, ..own },
            known: HashSet::new(),
            additional: Vec::new(),
        })
    }

    /// Makes the directories around a path that are missing.
    pub(crate) fn around(&mut self, path: &[u8]) -> io::Result<()> {
        for (end, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let above = path.get(..end).unwrap_or_default();
            if self.known.contains(above) {
                continue;
            }
            self.known.insert(above.to_owned());
            if !is_there(&self.place, above)? {
                let around = Node {
                    path: above.to_owned(),
                    ..self.around.clone()
                };
                self.tree.make(around, &mut io::empty())?;
            }
        }
        Ok(())
    }

    /// Makes an entry.
    pub(crate) fn make(&mut self, node: Node, data: &mut dyn Read) -> io::Result<()> {
        self.around(&node.path)?;
        if matches!(node.shape, Shape::Hardlink(_)) {
            self.additional.push(node);
            return Ok(());
        }
        if node.shape == Shape::Directory {
            self.known.insert(node.path.clone());
        }
        self.tree.make(node, data)
    }

    /// Makes the further names of files, gives the directories what is theirs, and makes all durable.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        for node in std::mem::take(&mut self.additional) {
            further_name(&mut self.tree, &node, &self.place, self.patch)?;
        }
        self.tree.finish().map(drop)
    }
}

fn is_there(place: &Dir, path: &[u8]) -> io::Result<bool> {
    match place.around(path) {
        Ok((around, name)) => Ok(around.look(name)?.is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn further_name(tree: &mut Stage, node: &Node, place: &Dir, patch: &Patch<'_>) -> io::Result<()> {
    if let Shape::Hardlink(target) = &node.shape
        && !is_there(place, target)?
    {
        // The file itself is as it was and stays.
        let (around, name) = patch.aside.live.around(target)?;
        return tree.link(&around, name, &node.path);
    }
    tree.make(node.clone(), &mut io::empty())
}
