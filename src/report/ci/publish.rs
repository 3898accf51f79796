//! Hands the result of a run to the CI system.

use super::{github, gitlab};
use crate::result::Outcome;
use crate::style::Ci;
use guard_system::disk::DiskError;

/// Hands the result of a run to the CI system: on GitHub the step summary and the outputs, on GitLab a dotenv, a `JUnit`
/// report, and the report of the run as an artifact. `markdown` and `page` are that report.
///
/// # Errors
/// A file that could not be written; the others were tried all the same.
pub fn publish(ci: &Ci, outcome: &Outcome, markdown: &str, page: &str) -> Result<(), DiskError> {
    match ci {
        Ci::GitHub { summary, output } => github::publish(summary.as_deref(), output.as_deref(), outcome, markdown),
        Ci::GitLab { dotenv, junit, report } => gitlab::publish([dotenv, junit, report], outcome, markdown, page),
    }
}
