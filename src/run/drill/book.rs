//! The book of drills in the state directory: a line for each that was carried to its end.

use std::io::Write;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};

use guard_model::drill::{DrillKind, DrillResult};
use guard_model::text;
use guard_system::disk::{self, At, DiskError};

const FILE: &str = "drills.jsonl";
/// A drill that is older proves little about the release of today: a little more than a month, so that one a month is enough.
pub const OLD: TimeDelta = TimeDelta::days(40);

fn path(state: &Path) -> PathBuf {
    state.join(FILE)
}

/// All drills of a state directory, the oldest first. A line that cannot be understood is passed over.
///
/// # Errors
/// The book cannot be read.
pub fn all(state: &Path) -> Result<Vec<DrillResult>, DiskError> {
    let text = disk::read_text_optional(&path(state))?.unwrap_or_default();
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}

/// Writes a drill down, once: a run that is concluded a second time is there already.
///
/// # Errors
/// The book cannot be read or written.
pub fn note(result: &DrillResult, state: &Path) -> Result<(), DiskError> {
    if all(state)?.iter().any(|known| known.run == result.run) {
        return Ok(());
    }
    let path = path(state);
    let mut file = disk::open_append(&path)?;
    let line = serde_json::to_string(result).unwrap_or_default();
    // A line that a kill has torn must not take this one with it.
    file.write_all(format!("\n{line}\n").as_bytes()).at("write", &path)?;
    file.sync_all().at("sync", &path)
}

/// The newest drill of this fault that passed, other than that of this run.
#[must_use]
pub fn last_of<'d>(fault: &str, run: &str, all: &'d [DrillResult]) -> Option<&'d DrillResult> {
    let mut others = all.iter().rev();
    others.find(|drill| drill.fault == fault && drill.run != run && drill.passed)
}

/// The newest drill.
#[must_use]
pub fn newest(all: &[DrillResult]) -> Option<&DrillResult> {
    all.iter().max_by_key(|drill| drill.at)
}

/// The faults whose newest drill did not pass.
#[must_use]
pub fn failed(all: &[DrillResult]) -> Vec<String> {
    let mut newest = std::collections::BTreeMap::new();
    for drill in all {
        newest.insert(&drill.fault, drill.passed);
    }
    let failed = newest.into_iter().filter(|(_, passed)| !passed);
    failed.map(|(fault, _)| fault.clone()).collect()
}

/// How long a way back of each kind takes, as the newest drill of each of its faults that passed has measured; the longest of
/// them: `database 14 s`. Empty: there was no drill.
#[must_use]
pub fn estimates(all: &[DrillResult]) -> Vec<(DrillKind, f64)> {
    let of = |kind: DrillKind| {
        let mut newest = std::collections::BTreeMap::new();
        for drill in all.iter().filter(|drill| drill.kind == kind && drill.passed) {
            newest.insert(&drill.fault, drill.back?);
        }
        Some((kind, newest.into_values().reduce(f64::max)?))
    };
    DrillKind::ALL.into_iter().filter_map(of).collect()
}

/// Seconds for people.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    text::duration(std::time::Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default())
}

/// How long ago.
#[must_use]
pub fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let span = (now - at).max(TimeDelta::zero());
    match span.num_days() {
        0 => "today".to_owned(),
        1 => "1 day ago".to_owned(),
        days => format!("{days} days ago"),
    }
}
