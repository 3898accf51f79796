//! `guard decide`: ends a watch that is going on in another terminal, as a person wants it.

use crate::commands::bench::Bench;
use crate::commands::decision;
use crate::commands::refusal::Outcome;
use crate::commands::request::Decide;
use crate::commands::setup::Desk;
use guard_model::intervention::Choice;

/// Leaves the decision, and waits until the watch has taken it up.
///
/// # Errors
/// Nothing is watched, or the watch ended by itself before.
pub(super) fn decide(asked: &Decide, bench: &Bench, desk: &Desk) -> Outcome {
    let choice = match asked.choice.as_str() {
        "rollback" => Choice::Rollback,
        "accept" => Choice::Accept,
        _ => Choice::Hold,
    };
    decision::decide(choice, asked.reason.as_deref(), bench, desk)
}
