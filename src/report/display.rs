//! What a display is, and what is shown on it.

use std::sync::mpsc::Sender;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::failure::Account;
use guard_model::event::Event;
use guard_model::fact::Record;

/// Something that shows what is told.
pub trait Display: Send {
    /// Shows it.
    fn show(&mut self, told: &Told);
    /// Time passes.
    fn tick(&mut self, at: Duration) {
        let _ = at;
    }
    /// So many items were lost.
    fn dropped(&mut self, count: u64);
    /// Nothing more comes.
    fn close(&mut self) {}
}

/// Something to show, with the moment at which it was told.
pub struct Told {
    /// By the wall clock.
    pub ts: DateTime<Utc>,
    /// By the steady clock.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What is shown.
pub enum What {
    /// An event.
    Event(Event),
    /// Records of an earlier process, to be known but not told again.
    Recall(Vec<Record>),
    /// An error in four parts.
    Account(Account),
    /// Data for stdout, as it is.
    Data(String),
    /// The last object of a JSON stream.
    Result(Value),
    /// What the keys do at the moment, or a question about it; `None`: there are no keys.
    Keys(Option<String>),
    /// A question, after which the line stays open for the answer; told back once it is written.
    Question(String, Sender<()>),
}
