//! The board of a watch that others read.

use std::sync::{Arc, Mutex, PoisonError};

use guard_report::board::Board;

/// A board that others read.
pub(super) type Shared = Arc<Mutex<Board>>;

/// The board, for whoever reads or writes it now.
pub(super) fn locked(board: &Shared) -> std::sync::MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}
