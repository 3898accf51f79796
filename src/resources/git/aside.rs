//! What is in the way of a journey and in no snapshot, as ignored files and checkouts inside: moved into the repository's own
//! directory, noted before it is moved, and moved back by an undo. Nothing of it is ever removed on the way.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use rustix::fs::FileType;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ground::{Ground, above, path, shown};
use super::repository::Repository;
use crate::error::{ResourceError, Result};
use crate::names::{escaped, unescaped};
use guard_model::event::Level;
use guard_system::disk::{self, At};

/// In git's own directory, what guard has moved there.
const ROOM: &str = "guard";
/// In the place of a journey, a line for each thing that was moved, written before it is.
const LIST: &str = "list.jsonl";

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// Its name here.
    name: String,
    /// Where it was in the work tree, escaped.
    path: String,
}

/// The place of one journey, named by the ref that holds what it displaced.
pub(super) struct Aside<'r, 'c> {
    repository: &'r Repository<'c>,
    place: PathBuf,
}

impl<'r, 'c> Aside<'r, 'c> {
    pub(super) fn of(repository: &'r Repository<'c>, displaced: &str) -> Result<Self> {
        let room = repository.inner(ROOM)?;
        let below = displaced.strip_prefix("refs/guard/").unwrap_or(displaced);
        Ok(Self {
            repository,
            place: room.join(below),
        })
    }

    fn lines(&self) -> Result<Vec<Line>> {
        let list = self.place.join(LIST);
        let Some(bytes) = disk::read_optional(&list)? else {
            return Ok(Vec::new());
        };
        // The last line may be torn: what it was about was not moved then.
        Ok(bytes
            .lines()
            .map_while(io::Result::ok)
            .filter_map(|line| serde_json::from_str(&line).ok())
            .collect())
    }

    /// Writes something down here once: a later call returns what was written first.
    pub(super) fn noted<T: Serialize + DeserializeOwned>(&self, name: &str, value: &[T]) -> Result<Vec<T>> {
        let note = self.place.join(name);
        let unclear = |error| ResourceError::because(format!("could not understand {}", note.display()), error);
        if let Some(text) = disk::read_optional(&note)? {
            return serde_json::from_slice(&text).map_err(unclear);
        }
        self.open()?;
        let text = serde_json::to_vec(value).map_err(unclear)?;
        disk::write_whole(&note, &text)?;
        serde_json::from_slice(&text).map_err(unclear)
    }

    /// What lies here, for people: what it was, and where it is.
    pub(super) fn told(&self) -> Result<Vec<String>> {
        let mut told = Vec::new();
        for line in self.lines()? {
            let place = self.place.join(&line.name);
            if disk::exists(&place)? {
                told.push(format!("{} at {}", line.path, place.display()));
            }
        }
        Ok(told)
    }

    /// Bytes that it takes.
    pub(super) fn weight(&self) -> u64 {
        disk::weight(&self.place).unwrap_or_default()
    }

    /// Makes the place where it is not there yet, and opens it.
    pub(super) fn open(&self) -> Result<Ground> {
        let room = self.repository.inner(ROOM)?;
        let parts: Vec<PathBuf> = self
            .place
            .ancestors()
            .take_while(|part| part.starts_with(&room))
            .map(PathBuf::from)
            .collect();
        for part in parts.iter().rev() {
            if !disk::exists(part)? {
                disk::create_private_dir(part)?;
                self.repository.give(part)?;
            }
        }
        let real = std::fs::canonicalize(&self.place).at("look at", &self.place)?;
        Ok(Ground::open(&real).at("open", &real)?)
    }

    /// Moves what is at a path out of the work tree.
    ///
    /// # Errors
    /// It lies on another file system, or is in use as a mount; it stays where it is.
    pub(super) fn keep(&self, ground: &Ground, at: &[u8]) -> Result<()> {
        let here = self.open()?;
        let name = self.lines()?.len().to_string();
        let line = Line {
            name: name.clone(),
            path: escaped(at),
        };
        let text = serde_json::to_string(&line)
            .map_err(|error| ResourceError::because("could not note what is moved aside", error))?;
        let list = self.place.join(LIST);
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&list)
            .at("open", &list)?;
        writeln!(file, "{text}").at("write", &list)?;
        file.sync_all().at("write", &list)?;
        ground.rename(at, &here, name.as_bytes()).map_err(|error| {
            let what = format!(
                "{} is in the way, and could not be moved aside",
                ground.at(at).display()
            );
            ResourceError::because(what, error).with_hint("move it away by hand, then run the same command again")
        })?;
        here.sync_entries().at("sync", &self.place)?;
        let note = format!(
            "{} was in the way; it is kept at {}",
            shown(at),
            self.place.join(&name).display()
        );
        self.repository.cx().note(Level::Warn, note);
        Ok(())
    }

    /// Moves all back whose place is free; the rest stays here, and is told.
    pub(super) fn put_back(&self, ground: &Ground) -> Result<()> {
        let lines = self.lines()?;
        if lines.is_empty() {
            return Ok(());
        }
        let here = self.open()?;
        for line in lines.iter().rev() {
            let Some(at) = unescaped(&line.path) else { continue };
            let mut left = Vec::new();
            for directory in above(&at) {
                if ground.look(directory).at("look at", &ground.at(directory))?.is_none() {
                    ground.make(directory, 0o755).at("create", &ground.at(directory))?;
                    ground
                        .dress(directory, 0o755, self.repository.owner())
                        .at("change the owner of", &ground.at(directory))?;
                }
            }
            merge(&here, line.name.as_bytes(), ground, &at, &mut left).at("put back", &ground.at(&at))?;
            for path in left {
                let note = format!(
                    "{} was not put back: something else is there; it stays below {}",
                    shown(&path),
                    self.place.join(&line.name).display()
                );
                self.repository.cx().note(Level::Warn, note);
            }
        }
        Ok(())
    }

    /// Removes all of it, and what other journeys of the same restore have here.
    pub(super) fn forget(&self) -> Result<()> {
        let Some(around) = self.place.parent() else {
            return Ok(());
        };
        let own = self
            .place
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !disk::exists(around)? {
            return Ok(());
        }
        let trash = self.repository.inner(ROOM)?.join("trash");
        for found in disk::list(around)? {
            let name = found.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with(&own) {
                disk::remove_tree(&found, &trash)?;
            }
        }
        if disk::exists(&trash)? {
            std::fs::remove_dir(&trash).at("remove", &trash)?;
        }
        // The rooms around go with the last one; one that is not empty stays.
        for directory in around.ancestors().take_while(|path| !path.ends_with(".git")).take(3) {
            if std::fs::remove_dir(directory).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Moves what lies here under a name to a path there; what is there already stays, and directories become one.
fn merge(here: &Ground, name: &[u8], there: &Ground, at: &[u8], left: &mut Vec<Vec<u8>>) -> io::Result<()> {
    let Some(seen) = here.look(name)? else { return Ok(()) };
    let Some(other) = there.look(at)? else {
        return here.rename(name, there, at);
    };
    if seen.shape() != FileType::Directory || other.shape() != FileType::Directory {
        left.push(at.to_vec());
        return Ok(());
    }
    for below in here.names(name)? {
        merge(
            here,
            &[name, b"/", &below].concat(),
            there,
            &[at, b"/", &below].concat(),
            left,
        )?;
    }
    here.remove_empty(name).map(drop)
}

/// Whether a path is the place of a checkout that is not to be there.
pub(super) fn surplus(now: &BTreeSet<Vec<u8>>, then: &BTreeSet<Vec<u8>>) -> Vec<PathBuf> {
    now.difference(then).map(|found| path(found)).collect()
}
