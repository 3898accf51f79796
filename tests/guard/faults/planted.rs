//! The harness is sharp: each safeguard that is taken out of the simulated acts is missed within a few thousand runs.

use crate::figures::reached;
use crate::sim::live;
use crate::sim::planted::ALL;
use crate::sim::scenario::Scenario;

/// How many runs a missing safeguard may hide.
const PATIENCE: u64 = 20_000;

#[test]
fn r4_every_bug_that_is_planted_in_the_acts_is_found() {
    let mut missed = Vec::new();
    let mut last = 0;
    for bug in ALL {
        match (0..PATIENCE).find_map(|seed| Some((seed, live(&Scenario::of(seed), Some(bug)).wrong.pop()?))) {
            Some((seed, _)) => last = last.max(seed),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "nobody missed {missed:?}");
    reached(
        "R4a",
        "every planted bug found",
        &format!("{0} of {0}, the last after {last} runs", ALL.len()),
        "seeds from 0",
    );
}
