//! The journal: the facts of a run, each on disk before anyone believes it. A torn tail is not damage; damage is never guessed away.
//!
//! `journal.jsonl` holds one record a line: `{"v":2,"sum":"<16 hex>","record":{…}}`. The sum is the beginning of the
//! SHA-256 of the sum before it, the version and the record's own bytes, so that a line that was changed, lost or moved is seen.

mod error;
mod line;
mod medium;
mod reader;
mod runs;
mod writer;

pub use error::JournalError;
pub use line::VERSION;
pub use medium::Medium;
pub use reader::{FILE, Reading, parse, read, read_all};
pub use runs::{Run, Runs, State, state, strangeness};
pub use writer::Journal;
