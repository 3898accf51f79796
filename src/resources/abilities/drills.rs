//! The ability of a drill: to be counted by a road that no restore uses, and to be harmed on purpose.

use crate::error::{ResourceError, Result};
use guard_model::drill::Census;
use guard_system::context::Context;

/// What a drill does to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// A migration that fails half-way: what it has done so far stays.
    HalfMigration,
    /// Every second row of the largest table is deleted.
    LostRows,
    /// Every second file is deleted, and one written over.
    LostFiles,
    /// Every file is written over.
    BrokenFiles,
}

/// It can take part in a drill.
///
/// Asked by `guard drill` before the backup, before data goes back, and behind the way back; the harm, in its deploy command.
pub trait Drills {
    /// Counts and digests all that it holds, by queries and a walk of its own: nothing here is shared with the copy, its
    /// manifest or the restore but the way to the server. `like` is an earlier census: rows are digested over its columns.
    ///
    /// # Errors
    /// It cannot be read.
    fn census(&self, like: Option<&Census>, cx: &Context) -> Result<Census>;

    /// Does harm, for real, and says what was done in a sentence. `None`: it knows no such harm.
    ///
    /// # Errors
    /// The harm could not be done; how much of it was is not known.
    fn harm(&self, harm: Harm, cx: &Context) -> Result<Option<String>> {
        let _ = (harm, cx);
        Ok(None)
    }

    /// Whether it knows this harm.
    fn knows(&self, harm: Harm) -> bool {
        let _ = harm;
        false
    }
}

/// There is nothing to harm, so a drill would prove nothing.
pub(crate) fn nothing_to_harm(what: impl std::fmt::Display) -> ResourceError {
    ResourceError::new(format!("{what}, so a drill would prove nothing")).with_hint("fill staging with data first")
}
