//! `guard schema`: what `guard.toml` may hold, for editors.

use std::path::Path;

use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::request::SchemaOf;
use guard_run::schema::schema;
use guard_run::session::Session;
use guard_system::disk;
use guard_system::environment::Environment;

/// Prints the schema, or writes it into a file.
///
/// # Errors
/// The file cannot be written.
pub(super) fn print(asked: &SchemaOf, session: &Session) -> Outcome {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::REFUSED, error);
    let mut wish = session.wish_from(Path::new("/"));
    // What somebody has set for a project says nothing about what there is.
    wish.environment = Environment::default();
    let schema = schema(&wish);
    if session.style.json && asked.into.is_none() {
        return Ok(session.answer(serde_json::json!({ "schema": schema })));
    }
    let text = serde_json::to_string_pretty(&schema).map_err(|error| refused(&error))? + "\n";
    let Some(into) = &asked.into else {
        session.reporter.data(text);
        return Ok(ExitCode::DONE);
    };
    let here = std::env::current_dir().map_err(|error| refused(&error))?;
    let path = here.join(into);
    disk::write_whole(&path, text.as_bytes()).map_err(|error| refused(&error))?;
    session
        .context(&here)
        .note(Level::Info, format!("the schema is in {}", path.display()));
    Ok(ExitCode::DONE)
}
