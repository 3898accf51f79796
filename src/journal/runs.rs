//! The runs of a project: their directories below the state directory, the newest first, and those that were cut off.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::{JournalError, reader};
use guard_model::fact::{Actor, Ending, Fact, Record};
use guard_model::name::{RunId, RunKind, Timestamp};
use guard_system::disk::{self, DiskError};

/// The file of a run's generation, in its directory: one more than that of any run before it.
const GENERATION: &str = "generation";

/// The directory that holds the runs, `<state>/runs`.
#[derive(Debug, Clone)]
pub struct Runs {
    directory: PathBuf,
}

/// One run on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its name.
    pub id: RunId,
    /// Its directory.
    pub directory: PathBuf,
}

/// How far a run has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its directory was made, and nothing was recorded: nothing was done.
    Empty,
    /// It has begun and is not over; some guard works on it, or it was cut off.
    Open,
    /// It is over. `Ending::Stuck` can be continued.
    Closed(Ending),
}

impl Runs {
    /// The runs below this state directory.
    #[must_use]
    pub fn below(state: &Path) -> Self {
        Self {
            directory: state.join("runs"),
        }
    }

    /// The directory of all of them.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes the directory of a new run. Where two fall into the same second, the later gets `-2`, `-3` …
    ///
    /// # Errors
    /// It cannot be made.
    pub fn claim(&self, now: DateTime<Utc>, kind: RunKind) -> Result<Run, DiskError> {
        disk::create_private_dir(&self.directory)?;
        let mut collision = 0;
        loop {
            if let Some(run) = self.claim_named(&RunId::new(&Timestamp::at(now, collision), kind))? {
                return Ok(run);
            }
            collision += 1;
        }
    }

    /// Makes the directory of a run of this name; `None` where there is one already. Whoever calls holds the lock: two at
    /// once would get the same place in the order.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn claim_named(&self, id: &RunId) -> Result<Option<Run>, DiskError> {
        disk::create_private_dir(&self.directory)?;
        let run = self.at(id.clone());
        let before = self.list()?.first().map_or(Ok(0), Run::generation)?;
        match disk::create_new_dir(&run.directory) {
            Ok(()) => {}
            Err(error) if error.source.kind() == std::io::ErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(error),
        }
        let generation = before.saturating_add(1).to_string();
        disk::write_whole(&run.directory.join(GENERATION), generation.as_bytes())?;
        Ok(Some(run))
    }

    /// The run of this name, whether or not it is there.
    #[must_use]
    pub fn at(&self, id: RunId) -> Run {
        let directory = self.directory.join(id.as_str());
        Run { id, directory }
    }

    /// All runs, the newest first. What is not named as a run, or is no directory of its own, is left out.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self) -> Result<Vec<Run>, DiskError> {
        let mut runs = Vec::new();
        for path in disk::list(&self.directory)? {
            let id = path.file_name().and_then(|name| name.to_str()).map(str::parse::<RunId>);
            let Some(Ok(id)) = id else { continue };
            if disk::is_real_directory(&path)? {
                runs.push(Run { id, directory: path });
            }
        }
        let mut placed = Vec::new();
        for run in runs {
            placed.push((run.order()?, run));
        }
        placed.sort_by(|(one, _), (other, _)| other.cmp(one));
        Ok(placed.into_iter().map(|(_, run)| run).collect())
    }

    /// The newest run.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn newest(&self) -> Result<Option<Run>, DiskError> {
        Ok(self.list()?.into_iter().next())
    }

    /// The runs that have begun and are not over, the newest first. A journal that cannot be read counts as one: nobody
    /// knows that it is over.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn unfinished(&self) -> Result<Vec<Run>, DiskError> {
        let mut runs = self.list()?;
        runs.retain(|run| !matches!(run.state(), Ok(State::Empty | State::Closed(_))));
        Ok(runs)
    }
}

impl Run {
    /// Its records, nothing changed.
    ///
    /// # Errors
    /// There is no journal, or it is damaged, of a newer guard, or cannot be read.
    pub fn read(&self) -> Result<Vec<Record>, JournalError> {
        reader::read(&self.directory)
    }

    /// How far it has come.
    ///
    /// # Errors
    /// The journal is damaged, of a newer guard, or cannot be read. That there is none is `State::Empty`.
    pub fn state(&self) -> Result<State, JournalError> {
        match self.read() {
            Ok(records) => Ok(state(&records)),
            Err(JournalError::Absent { .. }) => Ok(State::Empty),
            Err(error) => Err(error),
        }
    }

    /// Its place in the order in which runs began; 0 for one whose making was cut off, in which nothing was done.
    fn generation(&self) -> Result<u64, DiskError> {
        let path = self.directory.join(GENERATION);
        let text = disk::read_text_optional(&path)?.unwrap_or_default();
        Ok(text.trim().parse().unwrap_or(0))
    }

    /// The order in which runs began: their generation, since a clock can be set back. Those of one generation, as runs
    /// without any, are told apart by their timestamp and their count within its second.
    fn order(&self) -> Result<(u64, String, u32, String), DiskError> {
        let stamp = self.id.timestamp();
        Ok((
            self.generation()?,
            stamp.second().to_owned(),
            stamp.place(),
            self.id.as_str().to_owned(),
        ))
    }
}

/// How far the run of these records has come.
#[must_use]
pub fn state(records: &[Record]) -> State {
    match records.last().map(|record| &record.fact) {
        None => State::Empty,
        Some(Fact::Closed { ending, .. }) => State::Closed(*ending),
        Some(_) => State::Open,
    }
}

/// Why the run of these records does not belong here, in words: it was made on another host, or its journal was copied
/// from another run. `None` where it does.
#[must_use]
pub fn strangeness(run: &RunId, records: &[Record], us: &Actor) -> Option<String> {
    let Some(Fact::Opened { run: opened, actor, .. }) = records.first().map(|record| &record.fact) else {
        return records
            .first()
            .map(|_| "its journal does not begin with the opening of a run".to_owned());
    };
    if opened != run {
        return Some(format!("its journal is that of {opened}"));
    }
    (actor.host != us.host).then(|| format!("it was begun on the host {:?}, and this is {:?}", actor.host, us.host))
}
