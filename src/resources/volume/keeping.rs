//! Which entries that a copy does not know stay where they are when it goes back: those that nobody but users can have written.
//!
//! What the release itself wrote is told by when it was made: the times at which the deploy command began and ended are noted
//! in the run's directory, and a file that was made between the two is the release's own. So are rows told.

use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use serde::{Deserialize, Serialize};

use super::Volume;
use super::hand::Hand;
use super::record::Details;
use super::walk::Stays;
use crate::toll::Group;
use crate::{Mark, ResourceError, Result};
use guard_model::name::ResourceName;
use guard_system::context::Context;
use guard_system::disk::{self, At, Dir};

/// The directory of a run's notes.
const DIRECTORY: &str = "deploy-window";
/// In nanoseconds: a file system's clock may lag so far behind the host's.
const LAG: i64 = 20_000_000;
/// In nanoseconds: so finely a clock is read that is not this host's.
const COARSE: i64 = 1_000_000_000;
/// So deep a tree that came is looked into; what lies deeper goes as a whole.
const DEEP: usize = 200;

/// When a deploy command ran, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Window {
    from: i64,
    /// `None`: nobody saw it end.
    #[serde(default)]
    to: Option<i64>,
}

impl Window {
    fn holds(self, at: i64) -> bool {
        at >= self.from && self.to.is_none_or(|to| at <= to)
    }
}

/// Which entries that a copy does not know stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Keep {
    /// Whether any does.
    pub(super) new_files: bool,
    /// What was made in one of these is the release's own.
    windows: Vec<Window>,
}

impl Keep {
    /// As a word for guard in a container.
    pub(super) fn word(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| ResourceError::because("could not tell which files are kept", error))
    }

    /// What such a word means.
    pub(super) fn of_word(word: &str) -> Result<Self> {
        serde_json::from_str(word)
            .map_err(|error| ResourceError::because("could not understand which files are kept", error))
    }

    /// Whether an entry stays that was made then.
    fn takes(&self, born: i64) -> bool {
        self.new_files && !self.windows.iter().any(|window| window.holds(born))
    }
}

/// Entries that share a fate.
#[derive(Debug, Default)]
pub(super) struct Lot {
    /// None lies in another.
    pub(super) paths: Vec<Vec<u8>>,
    /// The files among them and in them.
    pub(super) group: Group,
}

/// What becomes of entries that the copy does not know.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// They go aside.
    pub(super) moved: Lot,
    /// They are kept where they are.
    pub(super) kept: Lot,
    /// Directories that stay since something in them does.
    pub(super) bare: Vec<Vec<u8>>,
}

/// What becomes of an entry, with all that lies in it.
enum Fate {
    Moves,
    Kept,
    /// Some of it stays and some does not, so that it was sorted already.
    Settled,
}

struct Sorting<'s> {
    live: &'s Dir,
    /// What cannot be moved.
    fixed: &'s Stays,
    keep: &'s Keep,
    sorted: Sorted,
    cx: &'s Context,
}

/// Sorts entries that the copy does not know, by their paths.
///
/// # Errors
/// Something cannot be read, or guard was asked to stop.
pub(super) fn sort(paths: Vec<Vec<u8>>, (live, fixed): (&Dir, &Stays), keep: &Keep, cx: &Context) -> Result<Sorted> {
    let mut sorting = Sorting {
        live,
        fixed,
        keep,
        sorted: Sorted::default(),
        cx,
    };
    for path in paths {
        let (fate, group) = sorting.fate(&path, 0)?;
        sorting.settle(path, &fate, group);
    }
    Ok(sorting.sorted)
}

impl Sorting<'_> {
    fn settle(&mut self, path: Vec<u8>, fate: &Fate, group: Group) {
        let lot = match fate {
            Fate::Moves => &mut self.sorted.moved,
            Fate::Kept => &mut self.sorted.kept,
            Fate::Settled => return,
        };
        lot.paths.push(path);
        lot.group.merge(group);
    }

    fn fate(&mut self, path: &[u8], depth: usize) -> Result<(Fate, Group)> {
        let mut group = Group::default();
        if self.fixed.holds(path) {
            return Ok((Fate::Settled, group));
        }
        let must_look = self.fixed.is_around(path);
        if !must_look && (!self.keep.new_files || depth >= DEEP) {
            return Ok((Fate::Moves, group));
        }
        if self.cx.stop.is_asked() {
            let what = format!(
                "looking through {} was stopped because guard was asked to stop",
                self.live.shown().display()
            );
            return Err(ResourceError::new(what));
        }
        let shown = self.live.shown_at(path);
        let (around, name) = self.live.around(path).at("open what is around", &shown)?;
        let Some(stat) = around.look(name).at("look at", &shown)? else {
            return Ok((Fate::Moves, group));
        };
        let stays = self
            .keep
            .takes(around.born(name).at("look at", &shown)?.unwrap_or_default());
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            group.add(path, u64::try_from(stat.st_size).unwrap_or_default());
            return Ok((if stays { Fate::Kept } else { Fate::Moves }, group));
        }
        let names = around.dir(name).and_then(|dir| dir.names());
        let mut children = Vec::new();
        for name in names.at("read the directory", &shown)? {
            let below = [path, b"/", std::os::unix::ffi::OsStrExt::as_bytes(name.as_os_str())].concat();
            let (fate, group) = self.fate(&below, depth + 1)?;
            children.push((below, fate, group));
        }
        let is_all = |is: fn(&Fate) -> bool| children.iter().all(|(_, fate, _)| is(fate));
        let fate = match (children.is_empty(), stays) {
            (true, true) => Fate::Kept,
            (true, false) => Fate::Moves,
            (false, _) if is_all(|fate| matches!(fate, Fate::Kept)) => Fate::Kept,
            (false, false) if is_all(|fate| matches!(fate, Fate::Moves)) => Fate::Moves,
            _ => Fate::Settled,
        };
        if matches!(fate, Fate::Settled) {
            for (below, fate, group) in children {
                self.settle(below, &fate, group);
            }
            self.sorted.bare.push(path.to_owned());
        } else {
            for (_, _, below) in children {
                group.merge(below);
            }
        }
        Ok((fate, group))
    }
}

fn place(run: &Path, name: &ResourceName) -> PathBuf {
    run.join(DIRECTORY).join(format!("{name}.json"))
}

fn read(path: &Path) -> Result<Option<Window>> {
    let Some(bytes) = disk::read_optional(path)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        let what = format!("{} does not tell when the deploy command ran", path.display());
        ResourceError::because(what, error)
    })
}

impl Volume {
    /// Notes in the run's directory what time it is where the files are. The beginning is noted once, however often a run is
    /// taken up again.
    pub(super) fn note(&self, mark: Mark, cx: &Context) -> Result<()> {
        if !self.carry_over.is_wanted() {
            return Ok(());
        }
        let path = place(&cx.scratch, &self.name);
        let known = read(&path)?;
        if mark == Mark::DeployBegins && known.is_some() {
            return Ok(());
        }
        // Of a container's clock only seconds are told: what may be the release's is taken for it.
        let (now, slack) = match Hand::of(&self.find(cx)?, cx)? {
            Hand::Here(_) => (cx.clock.now().timestamp_nanos_opt().unwrap_or_default(), 0),
            hand @ Hand::There(_) => (hand.look()?.now.saturating_mul(COARSE), COARSE),
        };
        let window = match (mark, known) {
            (Mark::DeployBegins, _) => Window {
                from: now - LAG,
                to: None,
            },
            (Mark::DeployEnded, Some(known)) => Window {
                to: Some(now + slack),
                ..known
            },
            // Without its beginning an end says nothing.
            (Mark::DeployEnded, None) => return Ok(()),
        };
        let bytes = serde_json::to_vec(&window)
            .map_err(|error| ResourceError::because("could not note when the deploy command runs", error))?;
        disk::create_private_dir(&cx.scratch.join(DIRECTORY))?;
        Ok(disk::write_whole(&path, &bytes)?)
    }

    /// What stays when a copy goes back: the deploy commands of all runs count that are still on disk.
    pub(super) fn keep(&self, details: &Details, cx: &Context) -> Result<Keep> {
        if !self.carry_over.is_wanted() {
            return Ok(Keep::default());
        }
        let begun = details.packed.begun.saturating_mul(1_000_000_000);
        let mut windows = Vec::new();
        for run in cx.runs.iter().map(|runs| disk::list(runs)) {
            for run in run? {
                windows.extend(read(&place(&run, &self.name))?);
            }
        }
        // One that was over when the copy was made has left nothing that the copy does not know; one that nobody saw end is
        // over at the latest when the next copy is made.
        windows.retain(|window| window.to.unwrap_or(window.from) >= begun);
        Ok(Keep {
            new_files: true,
            windows,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Keep, Window};

    #[test]
    fn what_was_made_while_the_command_ran_is_the_releases_own() {
        let keep = Keep {
            new_files: true,
            windows: vec![Window { from: 10, to: Some(20) }, Window { from: 30, to: None }],
        };
        let kept: Vec<i64> = [5, 10, 20, 21, 29, 30, 99]
            .into_iter()
            .filter(|at| keep.takes(*at))
            .collect();
        assert_eq!(kept, [5, 21, 29]);
        assert!(!Keep::default().takes(5));
        assert_eq!(Keep::of_word(&keep.word().unwrap()).unwrap(), keep);
    }
}
