//! What one probe says in a trial.

use super::luck::Luck;
use guard_model::health::Outcome;

/// How one probe answers in a trial: what was drawn at its beginning, and what is drawn for each answer.
pub type World = Box<dyn FnMut(f64, &mut Luck) -> Said>;

/// One answer.
#[derive(Debug, Clone, Copy)]
pub struct Said {
    /// What it means.
    pub outcome: Outcome,
    /// How long it took, in seconds.
    pub took: f64,
    /// Whether it says that a container has ended.
    pub is_ended: bool,
}

impl Said {
    /// A good answer after 20 ms.
    pub const OK: Self = Self {
        outcome: Outcome::Ok,
        took: 0.02,
        is_ended: false,
    };
    /// A refused connection.
    pub const REFUSED: Self = Self {
        outcome: Outcome::Failed,
        took: 0.001,
        is_ended: false,
    };

    /// Refused where this holds.
    #[must_use]
    pub fn refused_if(is_down: bool) -> Self {
        if is_down { Self::REFUSED } else { Self::OK }
    }
}
