//! What is known of the engines and of Compose's answers, shared by all surroundings of a session.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::socket::Socket;

/// The roads to the engines that were asked so far. Clones share them.
#[derive(Clone, Default)]
pub struct Roads {
    pub(super) known: Arc<Mutex<BTreeMap<Named, Road>>>,
    pub(super) by_program: bool,
}

/// The variables that say which engine is meant.
pub(super) type Named = [Option<String>; 2];

#[derive(Clone)]
pub(super) enum Road {
    Socket(Arc<Socket>),
    Program,
}

impl Roads {
    /// Roads that are never a socket: every engine is asked by the program.
    #[must_use]
    pub fn by_program() -> Self {
        Self {
            by_program: true,
            ..Self::default()
        }
    }
}

/// What Compose has answered so far. Clones share it. It holds secrets: it is in memory only.
#[derive(Clone, Default)]
pub struct Configurations(pub(super) Arc<Mutex<BTreeMap<String, Arc<Vec<u8>>>>>);

impl Configurations {
    /// Forgets all of it: files may have changed that nobody can find, as one whose name is in a variable.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
