//! Starts programs, feeds them, reads them, and ends them: the one place that does.

mod ending;
mod outcome;
mod reading;
mod run;
mod tree;

pub use outcome::{CallError, Output, exit_words};
pub use reading::Sink;
pub use run::Feed;
