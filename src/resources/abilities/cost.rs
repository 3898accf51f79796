//! Abilities that tell what going back costs, and give back what it put aside.

use std::path::Path;

use crate::error::Result;
use crate::slot::Slot;
use guard_model::artifact::{Artifact, Displaced, Prepared};
use guard_model::policy::DataRestore;
use guard_system::context::Context;

/// Going back can cost something. Each answer is a list of sentences: `discards 3 rows in users since 14:00:07`.
///
/// Asked by `guard rollback` (before it asks for a yes), by `guard rollback --undo`, and by the step that looks at data again.
pub trait Price {
    /// What going back to this copy would cost now. Only reads.
    ///
    /// # Errors
    /// The live resource or the copy's description cannot be read.
    fn price(&self, artifact: &Artifact, cx: &Context) -> Result<Vec<String>> {
        let _ = (artifact, cx);
        Ok(Vec::new())
    }

    /// The same as the policy has it: what stays is told as staying. The copy itself is at hand.
    ///
    /// # Errors
    /// As for [`Price::price`].
    fn outlook(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Result<Vec<String>> {
        let _ = (slot, data);
        self.price(artifact, cx)
    }

    /// The price of what was prepared as it is now, when nobody writes any more; `None` where it has not changed, or the kind
    /// cannot tell.
    ///
    /// # Errors
    /// It cannot be told now; the one that was told stands.
    fn reprice(
        &self,
        prepared: &Prepared,
        artifact: &Artifact,
        slot: &Slot,
        cx: &Context,
    ) -> Result<Option<Vec<String>>> {
        let _ = (prepared, artifact, slot, cx);
        Ok(None)
    }

    /// What going back has cost, where it was left for later ([`Prepared::is_priced_later`]): from what the restore put aside. Asked once
    /// production is back and may be written to, so what was written since the restore is not counted. Safe to repeat.
    ///
    /// # Errors
    /// It cannot be told any more, as when what was put aside is gone.
    fn price_after(
        &self,
        prepared: &Prepared,
        displaced: &Displaced,
        artifact: &Artifact,
        cx: &Context,
    ) -> Result<Vec<String>> {
        let _ = (displaced, artifact, cx);
        Ok(prepared.price.clone())
    }

    /// What swapping back what a restore displaced would cost now.
    ///
    /// # Errors
    /// One of the two cannot be read.
    fn undo_price(&self, displaced: &Displaced, cx: &Context) -> Result<Vec<String>> {
        let _ = (displaced, cx);
        Ok(Vec::new())
    }

    /// What was written since this copy was put in place of what was displaced, and goes when that is swapped back. Only reads.
    /// Empty where [`Price::undo_price`] tells it, by what was displaced.
    ///
    /// # Errors
    /// The live resource or the copy's description cannot be read.
    fn written_since(&self, displaced: &Displaced, put_back: &Artifact, cx: &Context) -> Result<Vec<String>> {
        let _ = (displaced, put_back, cx);
        Ok(Vec::new())
    }
}

/// Rows that only the displaced state has can be given back.
///
/// Asked by `guard salvage` and `guard kept`.
pub trait RowSalvage {
    /// Whether what a restore displaced has rows that can be salvaged.
    fn holds_rows(&self, displaced: &Displaced) -> bool;

    /// Writes the rows that only the displaced state has into a directory, but for those of `tables`, which are put into
    /// the live resource. Returns what was done, each a sentence. Safe to repeat.
    ///
    /// # Errors
    /// What was displaced is not there any more, or the rows cannot be read or written.
    fn salvage(&self, displaced: &Displaced, tables: &[String], into: &Path, cx: &Context) -> Result<Vec<String>>;
}

/// Single files that were put aside can be given back.
///
/// Asked by `guard salvage`.
pub trait FileSalvage {
    /// Gives files back that a restore put aside and that match one of these patterns, where nothing has their names; what lies
    /// aside stays whole. Returns what was done, and what else lies there, each a sentence; `command` is how that is asked for.
    /// Without patterns it only looks. Safe to repeat.
    ///
    /// # Errors
    /// What was displaced is not there any more, or files cannot be read or made.
    fn salvage_files(
        &self,
        displaced: &Displaced,
        patterns: &[String],
        command: &str,
        cx: &Context,
    ) -> Result<Vec<String>>;
}

/// What was put aside can be weighed.
///
/// Asked by `guard kept`.
pub trait Size {
    /// Bytes that what a restore displaced takes; `None` where it cannot be told.
    ///
    /// # Errors
    /// It cannot be read; it may be gone.
    fn weigh(&self, displaced: &Displaced, cx: &Context) -> Result<Option<u64>>;
}
