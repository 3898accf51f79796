//! What units of systemd write to the journal, from a mark before the deployment on.

use std::time::Duration;

use guard_system::context::Context;
use guard_system::systemd::{full_name, journal_after, journal_end};

/// The journal of some units.
pub(super) struct Journal {
    units: Vec<String>,
    /// The place of the last line that was read; nothing before the first one counts.
    cursor: Option<String>,
    has_begun: bool,
}

impl Journal {
    pub(super) fn new(units: &[String]) -> Self {
        Self {
            units: units.iter().map(|unit| full_name(unit)).collect(),
            cursor: None,
            has_begun: false,
        }
    }

    /// What was logged since the call before, this many bytes at most, the rest being passed over; the first call only marks the
    /// moment.
    pub(super) fn more(&mut self, most: usize, limit: Duration, cx: &Context) -> Result<Vec<u8>, String> {
        if !self.has_begun {
            self.cursor = journal_end(limit, cx).map_err(|error| error.to_string())?;
            self.has_begun = true;
            return Ok(Vec::new());
        }
        match journal_after(&self.units, self.cursor.as_deref(), most, limit, cx) {
            Ok((bytes, place)) => {
                self.cursor = place.or(self.cursor.take());
                Ok(bytes)
            }
            Err(error) => {
                // A journal that was rotated away has no such place any more: the next reading begins anew.
                self.has_begun = false;
                Err(error.to_string())
            }
        }
    }
}
