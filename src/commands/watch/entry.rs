//! Which of the three is asked for.

use crate::commands::watch::{live, replay, simulate};
use guard_run::outcome::Outcome;
use guard_run::project::Bench;
use guard_run::request::Watch;
use guard_run::session::Desk;

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
