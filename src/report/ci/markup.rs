//! Marks that a CI system finds in the log.

use crate::line::Line;
use crate::run_view::RunView;
use guard_model::fact::Record;

/// Marks that a CI system finds in the log.
pub trait Markup: Send {
    /// A line with its end, `plain` being how it stands without marks; the text of both is safe to show.
    fn line(&self, plain: &str, line: &Line) -> String;
    /// What stands before the lines of a record, the course having taken it.
    fn fact(&mut self, record: &Record, view: &RunView) -> String;
    /// What stands at the end.
    fn close(&mut self) -> String;
}
