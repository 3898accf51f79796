//! `guard completions` and `guard man`: what a package installs beside the program.

use guard_model::exit::ExitCode;
use guard_report::printer::Reporter;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::request::Completions;

/// Prints the completions for a shell.
#[must_use]
pub(super) fn completions(asked: &Completions, reporter: &Reporter, command: &clap::Command) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(asked.shell, &mut command.clone(), "guard", &mut text);
    reporter.data(String::from_utf8_lossy(&text));
    ExitCode::DONE
}

/// Prints the manual page, those of all commands behind it.
///
/// # Errors
/// The page cannot be made.
pub(super) fn man(reporter: &Reporter, command: &clap::Command) -> Outcome {
    let mut text = Vec::new();
    let mut render = |command: clap::Command| clap_mangen::Man::new(command).render(&mut text);
    let mut done = render(command.clone());
    for inner in command.get_subcommands() {
        done = done.and_then(|()| render(inner.clone()));
    }
    done.map_err(|error| Refusal::of_error(ExitCode::USAGE, &error))?;
    reporter.data(String::from_utf8_lossy(&text));
    Ok(ExitCode::DONE)
}
