//! The decision: readings in, verdict out. No clock and no I/O, so that a watch can be judged again later and comes out the same.
//!
//! Read [`Judge`] first. `streak` knows failures in a row, `rate` the share of failures (a Shiryaev–Roberts e-detector; its
//! source is named there), `pace` how long answers take (the same, of slow answers), `words` says a rule to people.

mod judge;
mod pace;
mod rate;
pub mod rules;
pub mod simulate;
mod streak;
mod track;
mod words;

pub use judge::Judge;
pub use rules::{Fired, Then, Trace, UserRule};
pub use words::{warnings, words};

use guard_model::health::{Reading, Rule, Verdict};
use guard_model::name::ProbeName;

/// Judges a whole watch at once: the readings in the order in which they came, and the moment of the question, in
/// seconds since the watch began. The same as taking them one by one.
#[must_use]
pub fn judge<'r>(
    rule: &Rule,
    probes: &[ProbeName],
    readings: impl IntoIterator<Item = &'r Reading>,
    now: f64,
) -> Verdict {
    let mut judge = Judge::new(rule.clone(), probes.to_vec());
    for reading in readings {
        judge.take(reading);
    }
    judge.verdict(now)
}
