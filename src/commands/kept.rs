//! What rollbacks have put aside and guard still keeps, with its size and its age: it takes room until retention removes it.

use chrono::{DateTime, Utc};

use super::retention::{self, FORGOTTEN};
use super::workbench::{Bench, Owned};
use guard_engine::history::History;
use guard_journal::Run;
use guard_model::name::{ResourceName, RunId, Timestamp};
use guard_model::text;
use guard_system::disk;

/// A state that a run has put aside.
#[derive(serde::Serialize)]
pub(super) struct Kept {
    /// The run.
    pub run: RunId,
    /// When it was begun.
    pub at: DateTime<Utc>,
    /// Of what.
    pub resource: ResourceName,
    /// Where it is, for people.
    pub places: Vec<String>,
    /// What it takes, where that can be told.
    pub bytes: Option<u64>,
    /// The backup with which it goes.
    pub backup: Timestamp,
    /// Whether rows are known to have been discarded with it, which `guard salvage` brings back.
    pub rows: bool,
    /// When it goes, where its backup is gone already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<DateTime<Utc>>,
    /// Whether it is a database out of which `guard salvage` can read rows, whatever is known of them.
    #[serde(skip)]
    pub holds_rows: bool,
    /// Whether it has files that can be salvaged.
    #[serde(skip)]
    pub holds_files: bool,
}

impl Kept {
    /// Where it is, and what it takes.
    pub(super) fn place(&self) -> String {
        let size = self.bytes.map_or_else(|| "size unknown".to_owned(), text::bytes);
        format!("{}, {size}", self.places.join(", "))
    }

    /// The state in a line.
    pub(super) fn sentence(&self) -> String {
        let end = match &self.ends {
            Some(end) => format!("goes after {}, or by `guard prune`", end.format("%Y-%m-%d %H:%M UTC")),
            None => format!("goes some days after backup {}", self.backup),
        };
        format!(
            "{}, since {} ({end})",
            self.place(),
            self.at.format("%Y-%m-%d %H:%M UTC")
        )
    }
}

/// All that is kept, the newest first.
pub(super) fn all(runs: &[Run], resources: &[Owned], bench: &Bench) -> Vec<Kept> {
    runs.iter().flat_map(|run| of_run(run, resources, bench)).collect()
}

fn of_run(run: &Run, resources: &[Owned], bench: &Bench) -> Vec<Kept> {
    if disk::exists(&run.directory.join(FORGOTTEN)).unwrap_or(false) {
        return Vec::new();
    }
    let history = run.read().ok().and_then(|records| History::of(&records).ok());
    history
        .map(|history| of(run, &history, resources, bench))
        .unwrap_or_default()
}

/// What a run has put aside.
pub(super) fn of(run: &Run, history: &History, resources: &[Owned], bench: &Bench) -> Vec<Kept> {
    let there = history.displaced().filter(|displaced| !displaced.details.is_null());
    let kept = there.map(|displaced| {
        let owner = resources
            .iter()
            .find(|owned| owned.resource.name() == &displaced.resource);
        // What cannot be weighed, as a database whose server is down, is listed all the same.
        let bound = owner.map(|owned| owned.resource.at(&bench.cx));
        let bytes = bound.and_then(|(resource, cx)| resource.weigh(displaced, &cx).ok().flatten());
        Kept {
            run: run.id.clone(),
            at: history.turned_at().unwrap_or_else(|| history.opened()),
            resource: displaced.resource.clone(),
            places: displaced.kept_as.clone(),
            bytes,
            backup: history.plan().backup.clone(),
            rows: displaced.holds_rows(),
            ends: retention::ends(run),
            holds_files: displaced.files().is_some(),
            holds_rows: owner.is_some_and(|owned| owned.resource.holds_rows(displaced)),
        }
    });
    kept.collect()
}
