//! The harness is sharp: each safeguard that is taken out of the simulated acts is missed within a few thousand runs, and the
//! story in which it is shrinks to a short one.

use crate::figures::reached;
use crate::sim::drawn::{shortest, story};
use crate::sim::live;
use crate::sim::planted::ALL;

/// How many runs a missing safeguard may hide.
const PATIENCE: u64 = 20_000;

/// More troubles and resources than this are in no story that shows why a safeguard is there.
const SHORT: usize = 4;

#[test]
fn r4_every_bug_that_is_planted_in_the_acts_is_found() {
    let (mut missed, mut long) = (Vec::new(), Vec::new());
    let mut last = 0;
    for bug in ALL {
        match (0..PATIENCE).find(|seed| !live(&story(*seed), Some(bug)).wrong.is_empty()) {
            Some(seed) => {
                last = last.max(seed);
                let (short, _) = shortest(seed, Some(bug)).unwrap();
                if short.troubles.len() + short.places.len() > SHORT {
                    long.push(format!("{bug:?}: {short}"));
                }
            }
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "nobody missed {missed:?}");
    assert!(long.is_empty(), "these can be told shorter: {}", long.concat());
    reached(
        "R4a",
        "every planted bug found",
        &format!("{0} of {0}, the last after {last} runs", ALL.len()),
        "seeds from 0",
    );
}
