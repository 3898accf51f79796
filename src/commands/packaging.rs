//! `guard completions` and `guard man`: what a package installs beside the program.

use guard_model::exit::ExitCode;
use guard_report::printer::Reporter;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::request::{Completions, ManOf};
use guard_run::session::Session;

/// Prints the completions for a shell.
#[must_use]
pub(super) fn completions(asked: &Completions, reporter: &Reporter, command: &clap::Command) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(asked.shell, &mut command.clone(), "guard", &mut text);
    reporter.data(String::from_utf8_lossy(&text));
    ExitCode::DONE
}

/// Prints the manual page, those of all commands behind it; or writes a file for each.
///
/// # Errors
/// A page cannot be made or written.
pub(super) fn man(asked: &ManOf, session: &Session, command: &clap::Command) -> Outcome {
    if let Some(into) = &asked.into {
        let written = std::fs::create_dir_all(into).and_then(|()| clap_mangen::generate_to(command.clone(), into));
        written.map_err(|error| {
            let why = format!("the manual pages could not be written into {}: {error}", into.display());
            Refusal::new(ExitCode::REFUSED, why)
        })?;
        return Ok(ExitCode::DONE);
    }
    let mut text = Vec::new();
    let mut render = |command: clap::Command| clap_mangen::Man::new(command).render(&mut text);
    let mut done = render(command.clone());
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        done = done.and_then(|()| render(inner.clone()));
    }
    done.map_err(|error| Refusal::of_error(ExitCode::USAGE, &error))?;
    session.reporter.data(String::from_utf8_lossy(&text));
    Ok(ExitCode::DONE)
}
