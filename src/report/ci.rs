//! What CI systems want besides lines: marks in the log, and results in files.

pub mod github;
pub mod gitlab;

pub use github::GitHub;
pub use gitlab::GitLab;

use super::course::Course;
use super::result::Outcome;
use super::style::Ci;
use super::words::Line;
use guard_model::fact::Record;
use guard_system::disk::DiskError;

/// Marks that a CI system finds in the log.
pub trait Markup: Send {
    /// A line with its end, `plain` being how it stands without marks; the text of both is safe to show.
    fn line(&self, plain: &str, line: &Line) -> String;
    /// What stands before the lines of a record, the course having taken it.
    fn fact(&mut self, record: &Record, course: &Course) -> String;
    /// What stands at the end.
    fn close(&mut self) -> String;
}

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

/// What both systems are told, as pairs.
fn pairs(outcome: &Outcome) -> [(&'static str, String); 5] {
    [
        ("outcome", outcome.outcome.clone()),
        ("exit_code", outcome.exit_code.number().to_string()),
        ("backup_timestamp", outcome.backup_timestamp.clone().unwrap_or_default()),
        ("rolled_back", outcome.rolled_back.to_string()),
        ("report", outcome.report.clone().unwrap_or_default()),
    ]
}
