//! `guard init`: looks at the directory and writes a commented guard.toml; never over one that is there.

use guard_config::{discover, locate};
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::request::{GlobalArgs, Init, Request};
use guard_run::session::Session;
use guard_system::disk;

/// Writes the settings to start from.
///
/// # Errors
/// There is a guard.toml already, or it cannot be written.
pub(super) fn init(asked: &Init, global: &GlobalArgs, session: &Session) -> Outcome {
    let wish = session.wish(&Request::Init(asked.clone()), global)?;
    let location = locate(&wish).map_err(|problems| Refusal::of_problems(&problems))?;
    let cx = session.context(&location.directory);
    let text = discover::render(&discover::look(&cx));
    if asked.print {
        session.reporter.data(text);
        return Ok(ExitCode::DONE);
    }
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::USAGE, error);
    if disk::exists(&location.file).map_err(|error| refused(&error))? {
        return Err(Refusal::new(
            ExitCode::USAGE,
            format!("{} is there already, and is never overwritten", location.file.display()),
        )
        .next(
            "to see what would be written",
            format!("{} init --print", session.style.program),
        ));
    }
    disk::write_whole(&location.file, text.as_bytes()).map_err(|error| refused(&error))?;
    cx.note(
        Level::Info,
        format!(
            "wrote {}; read it, then run `{} check`",
            location.file.display(),
            session.style.program
        ),
    );
    Ok(ExitCode::DONE)
}
