//! `guard decide`: ends a watch that is going on in another terminal, as a person wants it.

use guard_model::intervention::Choice;
use guard_run::decision;
use guard_run::outcome::Outcome;
use guard_run::project::Project;
use guard_run::request::Decide;

/// Leaves the decision, and waits until the watch has taken it up.
///
/// # Errors
/// Nothing is watched, or the watch ended by itself before.
pub(super) fn decide(asked: &Decide, project: &Project, program: &str) -> Outcome {
    let choice = match asked.choice.as_str() {
        "rollback" => Choice::Rollback,
        "accept" => Choice::Accept,
        _ => Choice::Hold,
    };
    decision::decide(choice, asked.reason.as_deref(), project, program)
}
