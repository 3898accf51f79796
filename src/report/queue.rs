//! The bounded queue between a run, which must not wait, and the printer, which may be blocked for ever.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many items may wait.
pub const CAPACITY: usize = 4096;

/// What the printer finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// The next item.
    Item(T),
    /// So many items were dropped, told before what comes after them.
    Dropped(u64),
    /// Nothing came in time.
    Nothing,
    /// Nothing will come any more.
    Closed,
}

/// A queue that never makes its writer wait: when it is full, items that may be lost are lost.
#[derive(Debug)]
pub struct Queue<T> {
    state: Mutex<State<T>>,
    moved: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<(bool, T)>,
    dropped: u64,
    is_closed: bool,
    is_finished: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let state = State {
            items: VecDeque::new(),
            dropped: 0,
            is_closed: false,
            is_finished: false,
        };
        Self {
            state: Mutex::new(state),
            moved: Condvar::new(),
        }
    }
}

impl<T> Queue<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an item in that has to be shown. In a full queue it takes the place of the oldest that need not be; where all
    /// have to be, it is lost, since memory has an end too.
    pub fn put(&self, item: T) {
        self.push(item, true);
    }

    /// Puts an item in that may be lost, as it is in a full queue.
    pub fn offer(&self, item: T) {
        self.push(item, false);
    }

    fn push(&self, item: T, matters: bool) {
        let mut state = self.lock();
        if state.is_closed {
            return;
        }
        if state.items.len() >= CAPACITY {
            state.dropped += 1;
            let idle = state.items.iter().position(|(matters, _)| !matters).filter(|_| matters);
            match idle {
                Some(at) => drop(state.items.remove(at)),
                None => return,
            }
        }
        state.items.push_back((matters, item));
        drop(state);
        self.moved.notify_all();
    }

    /// Takes the next item, or waits for one this long.
    pub fn take(&self, patience: Duration) -> Taken<T> {
        let mut state = self.lock();
        if state.items.is_empty() && !state.is_closed {
            let waited = self.moved.wait_timeout(state, patience);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.dropped > 0 {
            return Taken::Dropped(std::mem::take(&mut state.dropped));
        }
        match state.items.pop_front() {
            Some((_, item)) => Taken::Item(item),
            None if state.is_closed => Taken::Closed,
            None => Taken::Nothing,
        }
    }

    /// Lets nothing in any more; what is in it can still be taken.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.moved.notify_all();
    }

    /// Says that everything was taken and written.
    pub fn finish(&self) {
        self.lock().is_finished = true;
        self.moved.notify_all();
    }

    /// Waits until everything was written, at most this long; says whether it was.
    pub fn wait_finished(&self, patience: Duration) -> bool {
        let state = self.lock();
        let waited = self
            .moved
            .wait_timeout_while(state, patience, |state| !state.is_finished);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_finished
    }
}
