//! Which of the three is asked for.

use crate::commands::bench::Bench;
use crate::commands::refusal::Outcome;
use crate::commands::request::Watch;
use crate::commands::setup::Desk;
use crate::commands::watch::{live, replay, simulate};

/// Watches, replays or simulates.
///
/// # Errors
/// Production was found not well, or nothing could be watched.
pub(in crate::commands) fn watch(asked: &Watch, bench: &Bench, desk: &Desk) -> Outcome {
    if let Some(path) = &asked.replay {
        return replay::replay(path, bench, desk);
    }
    if asked.simulate {
        return simulate::simulate(asked.trials, bench, desk);
    }
    live::live(asked, bench, desk)
}
