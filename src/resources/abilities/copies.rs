//! Abilities of copies: how one is proven, tried and made from foreign material, and what it holds outside of its backup.

use std::time::Duration;

use crate::error::Result;
use crate::slot::Slot;
use crate::survey::Survey;
use guard_model::artifact::Artifact;
use guard_model::foreign::Material;
use guard_system::context::Context;

/// A copy can be proven by more than the checksums in its manifest.
///
/// Asked by `guard verify` (both proofs), and by the step that prepares a copy.
pub trait CopyProof {
    /// Reads the whole copy, and says that it is sound and is what the manifest lists. Production is not touched.
    ///
    /// # Errors
    /// It is not (`copy_is_bad`), or it cannot be read.
    fn prove(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        let _ = cx;
        slot.compare(artifact)
    }

    /// Restores the copy beside the live resource, compares it, and removes it again: the strongest proof that a kind has.
    ///
    /// # Errors
    /// The copy is not sound (`copy_is_bad`), or it cannot be restored here.
    fn rehearse(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        self.prove(artifact, slot, cx)
    }

    /// Whether [`Resource::prepare`] itself compares the copy with its manifest; else that is done before it.
    fn compares_copies(&self) -> bool {
        false
    }
}

/// Whether a way back would come up can be tried before one is needed.
///
/// Asked by `guard check`, once [`Resource::survey`] has found nothing in the way.
pub trait Trial {
    /// Tries beside what is live whether it would come up from a copy, as a restore would do it, where nothing proves that yet;
    /// `newest` is its newest copy. What it finds is added to the survey. What it makes it removes.
    fn try_back(&self, newest: Option<&Artifact>, cx: &Context, survey: &mut Survey) {
        let _ = (newest, cx, survey);
    }

    /// Looks whether a copy could be put back where the resource is now; cheap, and only reads.
    ///
    /// # Errors
    /// It could not, as when it was taken from another server.
    fn agrees(&self, artifact: &Artifact, cx: &Context) -> Result<()> {
        let _ = (artifact, cx);
        Ok(())
    }
}

/// Its promises can be tried from outside: guard does not know how it keeps them.
///
/// Asked by `guard check --resource`, once [`Resource::survey`] has found nothing in the way.
///
/// [`Resource::survey`]: crate::Resource::survey
pub trait Sweep {
    /// Does every act twice, and once more after it was cut off, on something that is not production; what is kept and what is
    /// broken is added to the survey. What it makes it removes.
    fn sweep(&self, cx: &Context, survey: &mut Survey);
}

/// A backup that was made by hand can be taken over.
///
/// Asked by `guard rollback` to such a backup, in the step that copies.
pub trait Adoption {
    /// Makes a copy in guard's own form from what somebody else made by hand; production is only read. The slot is used as by
    /// [`Resource::capture`], and what comes of it is restored in no other way.
    ///
    /// # Errors
    /// This kind takes no such part, or the part is not sound (`copy_is_bad`).
    fn adopt(&self, material: &Material, slot: &Slot, cx: &Context) -> Result<Artifact>;
}

/// What a copy that stands by would be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occasion {
    /// How long the release is watched: what is not ready by then is of little use.
    pub time: Duration,
    /// Whether a bad release goes back by itself.
    pub goes_back_unasked: bool,
}

/// What has come of a copy that was to stand by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StandingBy {
    /// It is whole, and closed to everybody; where.
    Ready {
        /// Its place: `database shop__guard_20251022_153000_deploy`.
        kept_as: String,
    },
    /// There is none, and nothing has failed; why.
    Without {
        /// The sentence.
        why: String,
    },
}

/// A copy can be made ready beside what is live while the release is deployed and watched, so that a way back only exchanges it.
/// [`Leftovers::stand_down`](super::Leftovers::stand_down) removes it.
///
/// Asked by the loop, aside of its steps.
pub trait Standby {
    /// Whether this copy is to stand by, as far as settings and copy tell. Asks nobody, so that no deployment waits for it.
    fn wants_standby(&self, artifact: &Artifact, occasion: &Occasion) -> bool;

    /// Makes it, held back so that the server has time for others, until [`Resource::prepare`](crate::Resource::prepare) of the
    /// same resource wants it. One that is there already is found, and half of one is made anew: it may be cut off at any
    /// instant. Stops when it is asked to.
    ///
    /// # Errors
    /// It could not be made; nothing of it is left then, or that is told.
    fn stand_by(&self, artifact: &Artifact, slot: &Slot, occasion: &Occasion, cx: &Context) -> Result<StandingBy>;
}

/// A copy holds something outside of its backup, as a pinned image or a git ref.
///
/// Asked by the step that deploys, and by retention and `guard delete`.
pub trait Holdings {
    /// Looks whether what going back to this copy takes beside the copy itself is still there, now that the deploy command has
    /// run, and gets back what can be had again. Returns what was gone and is there again, each a sentence.
    ///
    /// # Errors
    /// Something is gone and cannot be had again, so that this copy could not be put back now.
    fn secure(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Vec<String>>;

    /// Lets go of what a copy holds outside of its backup when that is deleted. Safe to repeat.
    ///
    /// # Errors
    /// It is there and cannot be let go.
    fn release(&self, artifact: &Artifact, cx: &Context) -> Result<()>;
}
