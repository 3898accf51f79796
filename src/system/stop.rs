//! The wish to stop: raised by a signal or by the engine, seen by whatever runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A flag that counts how often somebody asked to stop. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicU32>);

impl Stop {
    /// Asks to stop, once more.
    pub fn ask(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// How often somebody asked.
    #[must_use]
    pub fn times(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    /// Whether somebody asked.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.times() > 0
    }
}
