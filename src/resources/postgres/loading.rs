//! The one load of a standby that goes on in this process, and the way back, which takes it over.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::pace::Hold;
use guard_system::context::Context;
use guard_system::stop::Stop;

/// How often whoever waits for a load looks whether it may wait on.
const LOOK: Duration = Duration::from_millis(100);

/// Whether a standby of a database is being loaded. Clones of the database share it.
#[derive(Debug, Default)]
pub(crate) struct Loading {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
enum State {
    /// Nobody loads one.
    #[default]
    Idle,
    Running(Arc<Hold>, Stop),
    /// The way back has begun: whatever is loaded from now on, it loads.
    Taken,
}

/// A load that goes on until this is dropped.
pub(super) struct Running<'l>(&'l Loading);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State::Idle;
        self.0.changed.notify_all();
    }
}

impl Loading {
    /// Begins one, which `stop` ends; `None` where one goes on, or the way back loads by itself.
    pub(super) fn begin(&self, hold: &Arc<Hold>, stop: &Stop) -> Option<Running<'_>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*state, State::Idle) {
            return None;
        }
        *state = State::Running(Arc::clone(hold), stop.clone());
        Some(Running(self))
    }

    /// Waits until no standby is loaded, and sees to it that none is any more. One that goes on is held back no more, or is ended
    /// where a load anew in `jobs` is faster.
    pub(super) fn take(&self, jobs: u32, cx: &Context) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Running(hold, stop) = &*state {
            if hold.is_worth_waiting(jobs) {
                hold.hurry();
            } else {
                stop.ask();
            }
        }
        while let State::Running(_, stop) = &*state {
            if cx.stop.is_asked() {
                stop.ask();
            }
            let waited = self.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *state = State::Taken;
    }
}
