//! Which of the three is asked for.

use crate::commands::watch::{live, replay, simulate};
use guard_run::outcome::Outcome;
use guard_run::project::Project;
use guard_run::request::Watch;
use guard_run::session::Session;

/// Watches, replays or simulates.
///
/// # Errors
/// Production was found not well, or nothing could be watched.
pub(crate) fn watch(asked: &Watch, project: &Project, session: &Session) -> Outcome {
    if let Some(path) = &asked.replay {
        return replay::replay(path, project, session);
    }
    if asked.simulate {
        return simulate::simulate(asked.trials, project, session);
    }
    live::live(asked, project, session)
}
