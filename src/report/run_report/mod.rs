//! The report of one run, good or bad: made from its records, readings and logs alone, as a page, as Markdown and as JSON.
//!
//! [`Material`] is what it is made from, [`RunReport`] what it says; every text in it is a [`Safe`] one. The forms only lay it out.

mod changes;
mod charts;
mod checklist;
mod logs;
mod markdown;
mod material;
mod page;
mod phases;
mod safe;
mod seen;
mod told;

pub use logs::Excerpt;
pub use markdown::markdown;
pub use material::{Log, LogSource, Material, Release};
pub use page::page;
pub use safe::Safe;
pub use told::RunReport;
