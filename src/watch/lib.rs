//! The decision: readings in, verdict out. No clock and no I/O, so that a watch can be judged again later and comes out the same.
//!
//! Read [`Judge`] first. `streak` knows failures in a row, `rate` the share of failures (a Shiryaev–Roberts e-detector; its
//! source is named there), `pace` how long answers take (the same, of slow answers), `words` says a rule to people.

mod excuse;
mod judge;
mod pace;
mod rate;
pub mod rules;
pub mod simulate;
mod streak;
mod track;
mod words;

pub use judge::{Judge, judge};
pub use rules::{Fired, Then, Trace, UserRule};
pub use words::{warnings, words};
