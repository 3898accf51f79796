//! The one way a fact comes into the world: on disk first, then believed, then told.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::history::{History, Impossible};
use guard_journal::{Journal, JournalError};
use guard_model::event::{Event, Voice};
use guard_model::fact::{Fact, Record};
use guard_system::clock::Clock;

/// Where records are kept. A trait, so that a test can lose, tear and refuse them.
pub trait Sink: Send {
    /// Puts a fact on disk before it returns, and returns it as it stands there.
    ///
    /// # Errors
    /// It is not certain to be on disk; nothing more may be appended then.
    fn append(&mut self, fact: &Fact, clock: &dyn Clock) -> Result<Record, JournalError>;
}

impl Sink for Journal {
    fn append(&mut self, fact: &Fact, clock: &dyn Clock) -> Result<Record, JournalError> {
        Self::append(self, fact.clone(), clock.now())
    }
}

/// A run's journal with what it tells.
pub struct Ledger {
    sink: Box<dyn Sink>,
    history: History,
    voice: Voice,
    clock: Arc<dyn Clock>,
}

/// Why a fact could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The journal could not take it.
    #[error("could not write the journal")]
    Journal(#[from] JournalError),
    /// It contradicts what is there.
    #[error("the journal contradicts itself")]
    Impossible(#[from] Impossible),
}

impl Ledger {
    /// Opens a new run: its first fact carries the plan.
    ///
    /// # Errors
    /// It could not be recorded.
    pub fn open(
        mut sink: Box<dyn Sink>,
        opened: &Fact,
        voice: Voice,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LedgerError> {
        let record = sink.append(opened, clock.as_ref())?;
        let history = History::of(std::slice::from_ref(&record))?;
        let ledger = Self {
            sink,
            history,
            voice,
            clock,
        };
        ledger.tell(record);
        Ok(ledger)
    }

    /// Goes on with a run whose records were read.
    ///
    /// # Errors
    /// They contradict each other.
    pub fn reopen(
        sink: Box<dyn Sink>,
        records: &[Record],
        voice: Voice,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LedgerError> {
        Ok(Self {
            sink,
            history: History::of(records)?,
            voice,
            clock,
        })
    }

    /// Records a fact.
    ///
    /// # Errors
    /// It is not certain to be on disk.
    pub fn append(&mut self, fact: &Fact) -> Result<(), LedgerError> {
        let record = self.sink.append(fact, self.clock.as_ref())?;
        self.history.take(&record)?;
        self.tell(record);
        Ok(())
    }

    /// Waits, by the run's own clock.
    pub fn wait(&self, span: Duration) {
        self.clock.sleep(span);
    }

    /// The time, by the run's own clock.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// What has happened so far.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    fn tell(&self, record: Record) {
        self.voice.tell(&Event::Fact {
            run: self.history.run().clone(),
            record: Box::new(record),
        });
    }
}
