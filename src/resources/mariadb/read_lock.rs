//! The lock that keeps clients from writing, where this guard holds it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The lock on one database, where this guard holds it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(pub(crate) Arc<Mutex<Option<Keeper>>>);

/// The session that holds it.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) live: String,
    pub(crate) released: Arc<AtomicBool>,
    pub(crate) thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(crate) fn is_there(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.released.store(true, Ordering::SeqCst);
        // It ends within a tick and the time that the client takes to leave.
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}
