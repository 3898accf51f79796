//! What differs between a live tree and a copy, entry by entry: nothing is read where nothing can have changed.

use std::collections::{BTreeSet, HashSet};
use std::io::{self, Read};

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};

use super::cut::name;
use super::fetch::TICK;
use super::form::Form;
use super::index::{Line, Lines, is_within, order};
use super::origin::Origin;
use crate::error::{ResourceError, Result};
use crate::names::escaped;
use crate::trees::filesystem;
use crate::trees::keep::{Keep, sort};
use crate::trees::node::{Node, Precision, Seen, Shape};
use crate::trees::toll::{Group, Toll};
use crate::trees::walk::{Found, Met, Stays, walk};
use guard_system::context::Context;
use guard_system::disk::{At, Digest, Dir};

/// What has to be exchanged so that a live tree becomes the copy.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    /// Entries that come from the copy, whole: files, links, trees. None lies in another.
    pub(crate) fetched: Vec<Vec<u8>>,
    /// Entries that the copy does not know.
    pub(crate) surplus: Vec<Vec<u8>>,
    /// Entries that the copy does not know, and that are kept where they are.
    pub(crate) kept: Vec<Vec<u8>>,
    /// Directories that are on both sides: as the copy has them, where they differ or something in them moves.
    pub(crate) dressed: Vec<Node>,
    /// Whether hard links are among what is fetched.
    pub(crate) has_links: bool,
    /// Bytes of the files that are fetched.
    pub(crate) bytes: u64,
    /// Entries of the copy in whose place something is that is not moved.
    pub(crate) blocked: Vec<Vec<u8>>,
    /// Directories that the copy does not know, and that stay since something in them does.
    pub(crate) bare: Vec<Vec<u8>>,
    /// What of the live tree is not moved.
    pub(crate) stays: Stays,
    /// What that means for files, in numbers.
    pub(crate) toll: Toll,
    /// The entries of the root in which something differs, by name; the empty one is the root itself.
    parts: BTreeSet<Vec<u8>>,
    /// Those in which a directory has another time.
    times: BTreeSet<Vec<u8>>,
}

/// In which parts a live tree differs from a copy, for people; so many are named, and no more.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Differences {
    /// Where anything is another.
    pub(crate) parts: Vec<String>,
    /// Where only the time of a directory is another, as behind a file that came and went.
    pub(crate) times: Vec<String>,
    /// What becomes of files when the copy goes back.
    #[serde(default)]
    pub(crate) toll: Toll,
}

/// Up to so many top-level entries are named.
const NAMED: usize = 100;

impl Differences {
    fn of(difference: Difference) -> Self {
        let shown = |tops: BTreeSet<Vec<u8>>, itself: &str, entry: &str, many: &str| -> Vec<String> {
            if tops.len() > NAMED {
                return vec![many.to_owned()];
            }
            let named = |top: Vec<u8>| match top.as_slice() {
                b"" => itself.to_owned(),
                top => format!("{entry} {}", escaped(top)),
            };
            tops.into_iter().map(named).collect()
        };
        let Difference {
            parts, mut times, toll, ..
        } = difference;
        times.retain(|top| !parts.contains(top));
        Self {
            parts: shown(parts, "the directory itself", "entry", "content"),
            times: shown(
                times,
                "the time of the directory itself",
                "times of directories in",
                "times of directories",
            ),
            toll,
        }
    }
}

struct Search<'s> {
    lines: Lines,
    found: Difference,
    /// Below this everything is settled; and whether it is an entry that the copy does not know.
    covered: Option<(Vec<u8>, bool)>,
    fetched: HashSet<Vec<u8>>,
    /// Directories that have another time.
    late: Vec<Vec<u8>>,
    /// Entries that are fetched even where they are as the copy has them.
    forced: BTreeSet<Vec<u8>>,
    /// Files that are as the copy has them, and of which a further name is fetched.
    lacking: BTreeSet<Vec<u8>>,
    /// Directories on both sides, from the root to where the walk is.
    open: Vec<Node>,
    /// What changed last before this second cannot have changed unseen since the copy.
    before: i64,
    /// How finely times are told.
    precision: Precision,
    live: &'s Dir,
    stays: Stays,
}

fn unread(error: io::Error) -> ResourceError {
    ResourceError::because("could not read the index of the copy", error)
}

/// Compares the tree at `live` with a copy in chunks.
///
/// # Errors
/// One of the two cannot be read, or guard was asked to stop.
pub(crate) fn differ(live: &Dir, origin: &mut dyn Origin, keep: &Keep, cx: &Context) -> Result<Difference> {
    let lines = origin.lines().map_err(unread)?;
    let told = (origin.begun(), Precision::Nanoseconds);
    search(live, lines, told, (keep, BTreeSet::new()), cx).map(|(difference, _)| difference)
}

/// The same for the index of a whole tree that is staged: the names of one file are exchanged together, since none of those that
/// are staged is a name of a live one. `lines` opens the index.
///
/// # Errors
/// As for [`differ`].
pub(crate) fn differ_whole(
    live: &Dir,
    lines: &dyn Fn() -> Result<Lines>,
    told: (i64, Precision),
    keep: &Keep,
    cx: &Context,
) -> Result<Difference> {
    let (difference, lacking) = search(live, lines()?, told, (keep, BTreeSet::new()), cx)?;
    if lacking.is_empty() {
        return Ok(difference);
    }
    search(live, lines()?, told, (keep, lacking), cx).map(|(difference, _)| difference)
}

/// Compares the tree at `live` with the index of a copy. The tree of the copy began to be read in the second `begun`; 0: nothing
/// is taken for unchanged without being read.
///
/// # Errors
/// One of the two cannot be read, or guard was asked to stop.
pub(crate) fn differences(
    live: &Dir,
    (form, index): (Form, Box<dyn Read + Send>),
    told: (i64, Precision),
    keep: &Keep,
    cx: &Context,
) -> Result<Differences> {
    let lines = Lines::of_form(form, index).map_err(unread)?;
    let found = search(live, lines, told, (keep, BTreeSet::new()), cx)?;
    Ok(Differences::of(found.0))
}

/// Returns also the files of which only a further name is fetched.
fn search(
    live: &Dir,
    lines: Lines,
    (begun, precision): (i64, Precision),
    (keep, forced): (&Keep, BTreeSet<Vec<u8>>),
    cx: &Context,
) -> Result<(Difference, BTreeSet<Vec<u8>>)> {
    filesystem::flush(live);
    let mut search = Search {
        lines,
        found: Difference::default(),
        covered: None,
        fetched: HashSet::new(),
        late: Vec::new(),
        lacking: BTreeSet::new(),
        forced,
        open: Vec::new(),
        before: if filesystem::tells(live) {
            begun - TICK
        } else {
            i64::MIN
        },
        precision,
        live,
        stays: Stays::default(),
    };
    walk(live, false, cx, |met| match met {
        Met::Node(ref node, found, stat) => search.meet(node, found, stat),
        Met::Stays(..) | Met::Ours(_) => {
            search.stays.note(&met);
            Ok(())
        }
        Met::Lost(_) => Ok(()),
    })?;
    while let Some(line) = search.lines.next().map_err(unread)? {
        search.found.toll.gone.count(&line.node);
        search.fetch(&line);
    }
    let Search {
        mut found,
        mut stays,
        late,
        mut lacking,
        fetched,
        ..
    } = search;
    lacking.retain(|path| !fetched.contains(path));
    found.dressed.dedup_by(|one, other| one.path == other.path);
    if !stays.is_empty() || keep.new_files {
        let is_blocked = |path: &mut Vec<u8>| stays.holds(path) || stays.is_around(path);
        found.blocked = found.fetched.extract_if(.., is_blocked).collect();
        let sorted = sort(std::mem::take(&mut found.surplus), (live, &stays), keep, cx)?;
        if keep.new_files {
            (found.toll.kept, found.toll.own) = (sorted.kept.group, sorted.moved.group);
            found.toll.came = Group::default();
        }
        (found.surplus, found.kept, found.bare) = (sorted.moved.paths, sorted.kept.paths, sorted.bare);
        found.kept.iter().for_each(|path| stays.add(path));
    }
    // What is kept in a directory gives it another time, and is no difference.
    let around = |path: &Vec<u8>| above(path).to_vec();
    let busy: BTreeSet<Vec<u8>> = found.kept.iter().chain(&found.bare).map(around).collect();
    let late = late.iter().filter(|path| !keep.new_files || !busy.contains(*path));
    found.times.extend(late.map(|path| top(path)));
    // A directory that is there only for what stays in it is no difference.
    found.parts.extend(found.surplus.iter().map(|path| top(path)));
    found.stays = stays;
    Ok((found, lacking))
}

/// The path of the directory around an entry.
fn above(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or_default();
    path.get(..end).unwrap_or_default()
}

impl Search<'_> {
    fn is_covered(&self, path: &[u8]) -> bool {
        self.covered
            .as_ref()
            .is_some_and(|(covered, _)| is_within(path, covered))
    }

    /// Something moves at this path: the directory around it gets its time set. `is_surplus`: the copy does not know it.
    fn touch(&mut self, path: &[u8], is_surplus: bool) {
        while self.open.last().is_some_and(|open| !is_within(path, &open.path)) {
            self.open.pop();
        }
        if let Some(around) = self.open.last() {
            self.found.dressed.push(around.clone());
        }
        self.covered = Some((path.to_owned(), is_surplus));
    }

    fn fetch(&mut self, line: &Line) {
        let path = &line.node.path;
        if let Shape::Hardlink(target) = &line.node.shape {
            self.found.has_links = true;
            if !self.is_fetched(target) {
                self.lacking.insert(target.clone());
            }
        }
        self.found.bytes += line.node.size;
        if self.is_covered(path) {
            return;
        }
        self.touch(path, false);
        self.found.parts.insert(top(path));
        self.fetched.insert(path.clone());
        self.found.fetched.push(path.clone());
    }

    fn meet(&mut self, node: &Node, found: &Found<'_>, stat: &Stat) -> Result<()> {
        let mut line = None;
        while let Some(next) = self.lines.next_up_to(&node.path).map_err(unread)? {
            if order(&next.node.path, &node.path).is_eq() {
                line = Some(next);
                break;
            }
            self.found.toll.gone.count(&next.node);
            self.fetch(&next);
        }
        if self.is_covered(&node.path) {
            let toll = &mut self.found.toll;
            match self.covered {
                Some((_, true)) => toll.came.count(node),
                _ => toll.changed.count(node),
            }
            return Ok(());
        }
        let Some(line) = line else {
            self.touch(&node.path, true);
            self.found.toll.came.count(node);
            self.found.surplus.push(node.path.clone());
            return Ok(());
        };
        if node.shape == Shape::Directory && line.node.shape == Shape::Directory {
            while self.open.last().is_some_and(|open| !is_within(&node.path, &open.path)) {
                self.open.pop();
            }
            let own = |node: &Node| (node.mode, node.uid, node.gid);
            let is_same = own(node) == own(&line.node);
            let has_time = self.has_time(node, &line.node);
            let is_seen = self.is_seen(&line, stat);
            let differs = !is_same || (!is_seen && !has_features(node, &line, found)?);
            if differs {
                self.found.parts.insert(top(&node.path));
            } else if !has_time {
                self.late.push(node.path.clone());
            }
            if differs || !has_time {
                self.found.dressed.push(line.node.clone());
            }
            self.open.push(line.node);
            return Ok(());
        }
        if self.forced.contains(&node.path) || !self.is_same(node, &line, found, stat)? {
            // What goes only so that all names of a file stay its names is no change.
            let is_forced = match &line.node.shape {
                Shape::Hardlink(target) => self.forced.contains(target),
                _ => self.forced.contains(&node.path),
            };
            if !is_forced {
                self.found.toll.changed.count(node);
            }
            self.fetch(&line);
        }
        Ok(())
    }

    fn is_seen(&self, line: &Line, stat: &Stat) -> bool {
        Seen::of(stat) == line.seen && line.seen.changed.0 < self.before && line.node.mtime.0 < self.before
    }

    fn has_time(&self, node: &Node, wanted: &Node) -> bool {
        match self.precision {
            Precision::Nanoseconds => node.mtime == wanted.mtime,
            Precision::Seconds => node.mtime.0 == wanted.mtime.0,
        }
    }

    fn is_same(&self, node: &Node, line: &Line, found: &Found<'_>, stat: &Stat) -> Result<bool> {
        let wanted = &line.node;
        if node.shape != wanted.shape || node.uid != wanted.uid || node.gid != wanted.gid {
            return Ok(false);
        }
        match &wanted.shape {
            // A further name of a file that is fetched has to be fetched with it.
            Shape::Hardlink(target) => return Ok(!self.is_fetched(target)),
            Shape::Directory | Shape::Fifo | Shape::File if node.mode != wanted.mode => return Ok(false),
            // A link's own mode means nothing.
            Shape::Symlink(_) | Shape::Directory | Shape::Fifo | Shape::File => {}
        }
        if node.size != wanted.size || !self.has_time(node, wanted) {
            return Ok(false);
        }
        if self.is_seen(line, stat) {
            return Ok(true);
        }
        if wanted.shape != Shape::File {
            return has_features(node, line, found);
        }
        Ok(has_features(node, line, found)? && has_content(line, found)?)
    }

    fn is_fetched(&self, path: &[u8]) -> bool {
        let ends = path
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(end, _)| end);
        let mut prefixes = ends.chain([path.len()]).filter_map(|end| path.get(..end));
        prefixes.any(|prefix| self.fetched.contains(prefix)) || !self.is_there(path)
    }

    fn is_there(&self, path: &[u8]) -> bool {
        match self.live.around(path) {
            Ok((around, name)) => !matches!(around.look(name), Ok(None)),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }
}

/// The entry of the root that a path is or lies in.
fn top(path: &[u8]) -> Vec<u8> {
    path.split(|byte| *byte == b'/').next().unwrap_or_default().to_vec()
}

/// Whether a live entry has the attributes and the flags of a line.
fn has_features(node: &Node, line: &Line, found: &Found<'_>) -> Result<bool> {
    if !line.has_features {
        return Ok(true);
    }
    let (had, _) = found.features(&node.shape)?;
    // An older guard wrote them down in the order of the file system.
    let mut wanted = line.node.xattrs.clone();
    wanted.sort();
    Ok(had.xattrs == wanted
        && crate::trees::attributes::settable(had.flags) == crate::trees::attributes::settable(line.node.flags))
}

/// Whether a live file has the content of a line.
fn has_content(line: &Line, found: &Found<'_>) -> Result<bool> {
    let Some(mut file) = found.open_file()? else {
        return Ok(false);
    };
    if let Some(sha256) = &line.sha256 {
        let mut digest = Digest::default();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(digest.hex() == *sha256),
                Ok(count) => digest.update(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => Err(error).at("read", &found.shown())?,
            }
        }
    }
    let mut buffer = Vec::new();
    for chunk in &line.chunks {
        buffer.clear();
        let read = (&mut file)
            .take(u64::from(chunk.length))
            .read_to_end(&mut buffer)
            .at("read", &found.shown())?;
        if u32::try_from(read) != Ok(chunk.length) || name(&buffer) != chunk.name {
            return Ok(false);
        }
    }
    Ok(true)
}
