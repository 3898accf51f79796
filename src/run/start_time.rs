//! How long a release may take to start, learned from how long earlier ones took.

use std::time::Duration;

use chrono::{DateTime, Utc};

use guard_journal::{Run, Runs};
use guard_model::fact::{Fact, Record};
use guard_model::name::RunKind;
use guard_model::plan::{Action, Step};

/// So many earlier starts are looked at.
const STARTS: usize = 5;
/// So many runs are looked through for them; journals are short, but there may be thousands.
const LOOKED_AT: usize = 50;
/// However fast the others were, a start may take this long …
const LEAST: Duration = Duration::from_secs(30);
/// … and however slow, not longer than this. Guesses, as are the five starts.
const MOST: Duration = Duration::from_mins(3);

/// The longest of the last starts that ended well; `None` before the first.
#[must_use]
pub fn longest_start(runs: &Runs) -> Option<Duration> {
    let list = runs.list().ok()?;
    let is_deployment = |run: &&Run| run.id.kind() == RunKind::Deploy;
    let starts = list.iter().filter(is_deployment).take(LOOKED_AT);
    starts.filter_map(|run| start(&run.read().ok()?)).take(STARTS).max()
}

/// How long a start may take where the longest of the last ones took so long: three times that, 30 s to 3 min.
#[must_use]
pub fn gate(longest: Duration) -> Duration {
    (longest * 3).clamp(LEAST, MOST)
}

/// How long the release of a run took to come up; `None` where it did not, or was waited for twice.
fn start(records: &[Record]) -> Option<Duration> {
    let gate = Step::of(Action::Gate).id;
    let mut begun: Option<DateTime<Utc>> = None;
    for record in records {
        match &record.fact {
            Fact::Begun { step } if *step == gate && begun.is_some() => return None,
            Fact::Begun { step } if *step == gate => begun = Some(record.at),
            Fact::Done { step, .. } if *step == gate => return (record.at - begun?).to_std().ok(),
            _ => {}
        }
    }
    None
}
