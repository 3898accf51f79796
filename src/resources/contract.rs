//! What every kind of resource promises: nine methods, and which abilities it has beside them.

use crate::abilities::Abilities;
use crate::error::Result;
use crate::slot::Slot;
use crate::survey::Survey;
use guard_model::artifact::{Artifact, Displaced, Live, Prepared};
use guard_model::fingerprint::Fingerprint;
use guard_model::name::ResourceName;
use guard_model::policy::DataRestore;
use guard_system::context::Context;

/// A thing with state. Its acts block; the engine gives each a thread of its own.
///
/// Every act may be cut off at any instant and called again: whatever it makes outside has a name that follows from
/// `cx.token()` and the resource's name, so that a second call finds what the first one made.
///
/// This is all that a kind has to do. What only some kinds can do is an ability: see [`Abilities`].
pub trait Resource: Send + Sync {
    /// The name in `guard.toml`.
    fn name(&self) -> &ResourceName;

    /// What it can do beside this contract: nothing, unless the kind says so.
    fn abilities(&self) -> Abilities<'_> {
        Abilities::default()
    }

    /// What would keep this resource from being copied or put back, each a finding for `guard check`; production is only
    /// read. Empty: the way back is open.
    fn survey(&self, cx: &Context) -> Survey;

    /// What it is like now; cheap, and equal exactly when nothing has to be put back.
    ///
    /// # Errors
    /// It cannot be read.
    fn fingerprint(&self, cx: &Context) -> Result<Fingerprint>;

    /// Copies it into the slot, and proves the copy. A slot that holds the leavings of an earlier try is written over.
    ///
    /// # Errors
    /// It cannot be read, the copy cannot be written, or the copy is not sound.
    fn capture(&self, slot: &Slot, cx: &Context) -> Result<Artifact>;

    /// Stages the copy beside the live resource, so that the swap is short; production is not touched. Says whether there
    /// is anything to do, and what it costs.
    ///
    /// # Errors
    /// The copy is bad, or it cannot be staged.
    fn prepare(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Result<Prepared>;

    /// Swaps in what was prepared, and keeps what was there. Safe to repeat.
    ///
    /// # Errors
    /// The swap did not take place, or only a part of it did; repeating it goes on.
    fn restore(&self, prepared: &Prepared, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Displaced>;

    /// How the live resource compares with the copy.
    ///
    /// # Errors
    /// The copy's own description cannot be read. A live resource that cannot be read is `Live::Unknown`.
    fn check(&self, artifact: &Artifact, cx: &Context) -> Result<Live>;

    /// Swaps back what a restore displaced, and returns what that displaced in turn, so that an undo can be undone. Safe
    /// to repeat.
    ///
    /// # Errors
    /// What was displaced is not there any more, or the swap failed.
    fn undo(&self, displaced: &Displaced, cx: &Context) -> Result<Displaced>;

    /// Removes what a restore displaced, when retention says so. What is gone already is fine.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    fn forget(&self, displaced: &Displaced, cx: &Context) -> Result<()>;
}
