//! Hands the result of a run to the CI system.

use super::{github, gitlab};
use crate::result::Outcome;
use crate::style::Ci;
use guard_system::disk::DiskError;

/// Hands the result of a run to the CI system: on GitHub the step summary and the outputs, on GitLab a dotenv and a `JUnit`
/// report. `report` is the incident in Markdown, or any other summary.
///
/// # Errors
/// A file that could not be written; the others were tried all the same.
pub fn publish(ci: &Ci, outcome: &Outcome, report: &str) -> Result<(), DiskError> {
    match ci {
        Ci::GitHub { summary, output } => github::publish(summary.as_deref(), output.as_deref(), outcome, report),
        Ci::GitLab { dotenv, junit } => gitlab::publish(dotenv, junit, outcome),
    }
}
