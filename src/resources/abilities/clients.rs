//! Abilities towards those who use a resource: keeping clients out, naming processes, and telling services.

use crate::error::Result;
use guard_model::artifact::Displaced;
use guard_system::context::Context;
use guard_system::servers::User;

/// Clients can be kept out of what was put in.
///
/// Asked by the steps that restore, undo and start; by `guard status`, `guard resume` and `guard abort`.
pub trait Access {
    /// Keeps clients from changing what a restore or an undo has put in, until [`Access::let_in`]: an act in surroundings that
    /// are fenced does so by itself from its exchange on, where the kind can, and this sees to it. Safe to repeat.
    ///
    /// # Errors
    /// They cannot be kept out.
    fn shut_out(&self, cx: &Context) -> Result<()>;

    /// Lets clients in again, whoever shut them out: this guard, or one that was killed. Returns whether they were shut out.
    /// Safe to repeat.
    ///
    /// # Errors
    /// They are, or may be, still shut out.
    fn let_in(&self, cx: &Context) -> Result<bool>;

    /// Whether clients are shut out now, and stay so until they are let in. Cheap; only reads.
    ///
    /// # Errors
    /// It cannot be asked.
    fn is_shut(&self, cx: &Context) -> Result<bool>;
}

/// The processes of this host that have it open are known, as far as this user may see them.
///
/// Asked by the steps that stop services and start them, and for the last lines of a run.
pub trait Users {
    /// Those that have what is live open: who of them is not stopped may write while it goes back.
    fn holders(&self, cx: &Context) -> Vec<User> {
        let _ = cx;
        Vec::new()
    }

    /// Those that have open what was put aside: what they write goes there, and not into what is live.
    fn holders_of_displaced(&self, displaced: &Displaced, cx: &Context) -> Vec<User>;
}

/// Services have to be told of what was put back.
///
/// Asked by the step that starts services, once they run.
pub trait Reload {
    /// Makes services take up what this run has put back: tests and reloads that go through them. Returns what could not be
    /// asked, each a sentence. Safe to repeat.
    ///
    /// # Errors
    /// It is refused, or not taken up.
    fn take_up(&self, displaced: &Displaced, cx: &Context) -> Result<Vec<String>>;
}
