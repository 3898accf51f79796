//! Abilities of swaps: several as one, what one says of itself, how it is compared, and what acts leave behind.

use crate::barrier::SwapBarrier;
use crate::error::Result;
use crate::slot::Slot;
use guard_model::artifact::{Artifact, CarriedOver, Displaced, Live, Prepared};
use guard_system::context::Context;

/// Those that are swapped in the same stage, and where they wait for each other.
pub struct Group<'g, T> {
    /// What the others are put back from, each by a thread of its own.
    pub others: &'g [&'g T],
    /// The run's own barrier.
    pub barrier: &'g SwapBarrier,
}

impl<'g, T> Group<'g, T> {
    /// A group of one, which waits for none.
    #[must_use]
    pub fn alone(barrier: &'g SwapBarrier) -> Self {
        Self { others: &[], barrier }
    }
}

/// Several of one kind can be swapped as one, as databases of one cluster in one transaction.
///
/// Asked by the steps that restore and undo, of every rollback.
pub trait Together {
    /// As [`Resource::restore`], while the others of the group are put back by threads of their own.
    ///
    /// # Errors
    /// As [`Resource::restore`]; or one of those that go together has failed.
    fn restore_together(
        &self,
        prepared: &Prepared,
        artifact: &Artifact,
        slot: &Slot,
        group: &Group<'_, Prepared>,
        cx: &Context,
    ) -> Result<Displaced>;

    /// As [`Resource::undo`], while the others of the group are swapped back by threads of their own.
    ///
    /// # Errors
    /// As [`Resource::undo`]; or one of those that go together has failed.
    fn undo_together(&self, displaced: &Displaced, group: &Group<'_, Displaced>, cx: &Context) -> Result<Displaced>;
}

/// A moment in the life of a release, as resources are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The deploy command begins: what is written from now on may be the release's.
    DeployBegins,
    /// It has ended, in whatever way.
    DeployEnded,
}

/// A rollback has to tell what was written before the deploy command from what came after.
///
/// Asked by the step that deploys.
pub trait Moments {
    /// Notes in the run's directory that this moment has come. Only reads.
    ///
    /// # Errors
    /// It cannot be noted; a rollback then takes less along.
    fn mark(&self, mark: Mark, cx: &Context) -> Result<()>;
}

/// A restore says more of itself than what it displaced. Both are read from its record, with no look outside.
///
/// Asked by the steps that restore and prove.
pub trait Account {
    /// What a restore took along from the state that it displaced: the live resource is then meant to differ from the copy.
    fn carried(&self, displaced: &Displaced) -> Option<CarriedOver> {
        let _ = displaced;
        None
    }

    /// Whether a restore has made sure by itself that what is live now is the copy, and what was taken along: it is not
    /// compared again then, which takes time, and fails where somebody writes already.
    fn is_compared(&self, displaced: &Displaced) -> bool {
        let _ = displaced;
        false
    }
}

/// What a description cannot tell is compared with what the copy holds.
///
/// Asked by the steps that restore, prove and verify (`verify.expect_change`).
pub trait Comparison {
    /// As [`Resource::check`], with the copy itself at hand.
    ///
    /// # Errors
    /// As for [`Resource::check`].
    fn compare(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Live>;

    /// Whether a way back may leave things where they are that the copy does not know: only [`Comparison::compare`] tells them
    /// from what goes back.
    fn keeps_new(&self) -> bool {
        false
    }
}

/// Acts leave something behind that has to be cleaned up. Each is safe to repeat, and what is gone already is fine.
pub trait Leftovers {
    /// Removes what [`Resource::prepare`] staged and no restore swapped in. Asked at the end of every run.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    fn discard(&self, prepared: &Prepared, cx: &Context) -> Result<()> {
        let _ = (prepared, cx);
        Ok(())
    }

    /// Undoes what a killed act of this run left held, as a paused container. Asked before anything else is done with a run
    /// that was cut off.
    ///
    /// # Errors
    /// It cannot be undone.
    fn settle(&self, cx: &Context) -> Result<()> {
        let _ = cx;
        Ok(())
    }

    /// Removes what a capture of this run left standing by, once the run is over and did without it. Asked at the end of every
    /// run.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    fn stand_down(&self, cx: &Context) -> Result<()> {
        let _ = cx;
        Ok(())
    }
}
