//! `guard inside`: an act in a volume that no directory of the host shows, by guard in a container beside it; not for people.

use std::path::Path;

use guard_model::exit::ExitCode;
use guard_resources::volume;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::request::Inside;
use guard_run::session::Session;

/// Does the act, and tells what came of it.
///
/// # Errors
/// It failed, or the words mean nothing.
pub(super) fn inside(asked: &Inside, session: &Session) -> Outcome {
    let cx = session.context(Path::new("/"));
    let input = Box::new(std::io::stdin());
    let told = volume::inside(&asked.words, input, &mut std::io::stdout().lock(), &cx);
    if let Some(told) = told.map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))? {
        session.reporter.data(told);
    }
    Ok(ExitCode::DONE)
}
