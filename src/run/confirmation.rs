//! The question before a rollback, and the ways to answer it.

use std::io::{BufRead, IsTerminal};
use std::time::Duration;

use crate::outcome::Refusal;
use crate::session::Session;
use guard_model::exit::ExitCode;
use guard_system::keyboard;

/// How long a terminal may take to show the question.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long somebody outside may take to answer: the link may be down meanwhile.
const ABSENCE: Duration = Duration::from_mins(10);

/// Asks, unless `--yes` or its variables have answered; `command` is what asks, `rollback`.
///
/// # Errors
/// The answer is no, or there is nobody to ask.
pub fn confirm(question: &str, command: &str, is_confirmed: bool, session: &Session) -> Result<(), Refusal> {
    if is_confirmed {
        return Ok(());
    }
    // From outside, an answer comes by a pipe, where somebody sits at a terminal there.
    let is_outside = session.visit.is_some() && keyboard::is_pipe();
    if !std::io::stdin().is_terminal() && !is_outside {
        return Err(Refusal::new(
            ExitCode::USAGE,
            "this has to be confirmed, and there is no terminal to ask on",
        )
        .next(
            "to confirm beforehand",
            format!("{} {command} --yes", session.style.program),
        ));
    }
    if !session.reporter.ask(format!("{question} [yes/no] "), PATIENCE) {
        return Err(Refusal::new(
            ExitCode::USAGE,
            "the question could not be shown, so nothing was done",
        ));
    }
    if is_outside && !keyboard::has_typed(ABSENCE) {
        let why = "nobody answered, so nothing was done";
        return Err(Refusal::new(ExitCode::USAGE, why));
    }
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match (read, answer.trim().to_lowercase().as_str()) {
        (Ok(_), "yes" | "y") => Ok(()),
        _ => Err(Refusal::new(ExitCode::USAGE, "not confirmed, so nothing was done")),
    }
}
