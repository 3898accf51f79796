//! What rollbacks have put aside and guard still keeps, with its size and its age: it takes room until retention removes it.

use chrono::{DateTime, TimeDelta, Utc};

use crate::assembly::Owned;
use crate::outcome::Refusal;
use crate::unfinished;
use guard_engine::history::History;
use guard_journal::{Run, Runs, State};
use guard_model::artifact::Displaced;
use guard_model::exit::ExitCode;
use guard_model::fact::Ending;
use guard_model::name::{ResourceName, RunId, RunKind, Timestamp};
use guard_model::text;
use guard_system::context::Context;
use guard_system::disk;

/// A state that a run has put aside.
#[derive(serde::Serialize)]
pub struct Kept {
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
    #[must_use]
    pub fn place(&self) -> String {
        let size = self.bytes.map_or_else(|| "size unknown".to_owned(), text::bytes);
        format!("{}, {size}", self.places.join(", "))
    }

    /// The state in a line.
    #[must_use]
    pub fn sentence(&self) -> String {
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
#[must_use]
pub fn all(runs: &[Run], resources: &[Owned], cx: &Context) -> Vec<Kept> {
    runs.iter().flat_map(|run| of_run(run, resources, cx)).collect()
}

fn of_run(run: &Run, resources: &[Owned], cx: &Context) -> Vec<Kept> {
    if disk::exists(&run.directory.join(FORGOTTEN)).unwrap_or(false) {
        return Vec::new();
    }
    let history = run.read().ok().and_then(|records| History::of(&records).ok());
    history
        .map(|history| of(run, &history, resources, cx))
        .unwrap_or_default()
}

/// What a run has put aside.
#[must_use]
pub fn of(run: &Run, history: &History, resources: &[Owned], cx: &Context) -> Vec<Kept> {
    let there = history.displaced().filter(|displaced| !displaced.details.is_null());
    let kept = there.map(|displaced| {
        let owner = resources
            .iter()
            .find(|owned| owned.resource.name() == &displaced.resource);
        // What cannot be weighed, as a database whose server is down, is listed all the same.
        let bound = owner.map(|owned| owned.resource.at(cx));
        let bytes = bound.and_then(|(resource, cx)| resource.weigh(displaced, &cx).ok().flatten());
        Kept {
            run: run.id.clone(),
            at: history.turned_at().unwrap_or_else(|| history.opened()),
            resource: displaced.resource.clone(),
            places: displaced.kept_as.clone(),
            bytes,
            backup: history.plan().backup.clone(),
            rows: displaced.holds_rows(),
            ends: ends(run),
            holds_files: displaced.files().is_some(),
            holds_rows: owner.is_some_and(|owned| owned.resource.holds_rows(displaced)),
        }
    });
    kept.collect()
}

/// The mark in the directory of a run whose displaced state is gone.
pub const FORGOTTEN: &str = "forgotten";

/// Of a run that put something aside whose backup is gone: when it was announced that this goes, as RFC 3339.
pub const ANNOUNCED: &str = "announced";

/// So long what was put aside stays once that was announced, unless somebody prunes. A guess.
pub const NOTICE: TimeDelta = TimeDelta::days(3);

/// When what a run put aside goes, where that was announced; it goes with no backup any more.
#[must_use]
pub fn ends(run: &Run) -> Option<DateTime<Utc>> {
    let text = disk::read_text_optional(&run.directory.join(ANNOUNCED)).ok()??;
    let announced = DateTime::parse_from_rfc3339(text.trim()).ok()?;
    Some(announced.with_timezone(&Utc) + NOTICE)
}

/// The newest run (before the given one) that did anything to production, and what it displaced.
///
/// Only that one can be undone: what an older one displaced is the state before things that happened since.
///
/// # Errors
/// There is none, or it displaced nothing.
pub fn displaced_before(run: Option<&RunId>, runs: &Runs) -> Result<(History, Vec<Displaced>), Refusal> {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::REFUSED, error);
    let list = runs.list().map_err(|error| refused(&error))?;
    let mut candidates = list
        .iter()
        .skip_while(|earlier| run.is_some_and(|run| &earlier.id != run));
    let newest = loop {
        let Some(earlier) = candidates.next() else {
            return Err(Refusal::new(
                ExitCode::NO_BACKUP,
                "there was no rollback, so there is nothing to undo",
            )
            .next("to see what happened", "guard history"));
        };
        if Some(&earlier.id) == run || matches!(unfinished::state_of(earlier)?, State::Empty) {
            continue;
        }
        let history =
            History::of(&earlier.read().map_err(|error| refused(&error))?).map_err(|error| refused(&error))?;
        let is_harmless = matches!(
            history.closed(),
            Some(Ending::Untouched(_) | Ending::Unprepared(_) | Ending::NothingToUndo(_))
        );
        if history.plan().kind != RunKind::Backup && !is_harmless {
            break history;
        }
    };
    let displaced: Vec<Displaced> = newest
        .displaced()
        .filter(|displaced| !displaced.details.is_null())
        .cloned()
        .collect();
    if displaced.is_empty() {
        let line = format!(
            "the last run, {}, displaced nothing, so there is nothing to undo",
            newest.run()
        );
        let command = format!("guard rollback --backup-timestamp={}", newest.plan().backup);
        return Err(Refusal::new(ExitCode::NO_BACKUP, line).next("to go back to the state before it", command));
    }
    Ok((newest, displaced))
}
