//! Which entries that a copy does not know stay where they are when it goes back: those that nobody but users can have written.

use rustix::fs::FileType;
use serde::{Deserialize, Serialize};

use super::toll::Group;
use super::walk::Stays;
use crate::error::{ResourceError, Result};
use guard_system::context::Context;
use guard_system::disk::{At, Dir};

/// So deep a tree that came is looked into; what lies deeper goes as a whole.
const DEEP: usize = 200;

/// When a deploy command ran, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub(crate) from: i64,
    /// `None`: nobody saw it end.
    #[serde(default)]
    pub(crate) to: Option<i64>,
}

impl Window {
    fn holds(self, at: i64) -> bool {
        at >= self.from && self.to.is_none_or(|to| at <= to)
    }
}

/// Which entries that a copy does not know stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Keep {
    /// Whether any does.
    pub(crate) new_files: bool,
    /// What was made in one of these is the release's own.
    pub(crate) windows: Vec<Window>,
}

impl Keep {
    /// As a word for guard in a container.
    pub(crate) fn word(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| ResourceError::because("could not tell which files are kept", error))
    }

    /// What such a word means.
    pub(crate) fn of_word(word: &str) -> Result<Self> {
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
pub(crate) struct Lot {
    /// None lies in another.
    pub(crate) paths: Vec<Vec<u8>>,
    /// The files among them and in them.
    pub(crate) group: Group,
}

/// What becomes of entries that the copy does not know.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    /// They go aside.
    pub(crate) moved: Lot,
    /// They are kept where they are.
    pub(crate) kept: Lot,
    /// Directories that stay since something in them does.
    pub(crate) bare: Vec<Vec<u8>>,
}

/// What becomes of an entry, with all that lies in it.
pub(crate) enum Fate {
    Moves,
    Kept,
    /// Some of it stays and some does not, so that it was sorted already.
    Settled,
}

pub(crate) struct Sorting<'s> {
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
pub(crate) fn sort(paths: Vec<Vec<u8>>, (live, fixed): (&Dir, &Stays), keep: &Keep, cx: &Context) -> Result<Sorted> {
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
