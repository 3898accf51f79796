//! What a traffic switch is: it says which side it serves, and can be led to the other.

use guard_system::context::Context;
use guard_system::disk::DiskError;
use guard_system::processes::CallError;

use crate::side::Side;

/// What a front serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serving {
    /// The side of this number.
    Side(usize),
    /// Something else: this.
    Neither(String),
    /// Both sides: by this.
    Both(String),
}

/// A traffic switch. Each act may be cut off at any instant and is called again, in another process.
pub trait Driver {
    /// What it is, for people: `the marker /run/front/green.on`.
    fn describe(&self) -> String;

    /// Which side it serves, by its own word: what its file, its socket or its command says.
    ///
    /// # Errors
    /// It cannot be asked.
    fn serves(&self, sides: &[Side; 2], cx: &Context) -> Result<Serving, FrontError>;

    /// Leads it to the side of this number.
    ///
    /// # Errors
    /// It refuses. It serves what it served before, unless the error says otherwise.
    fn switch(&self, to: usize, sides: &[Side; 2], cx: &Context) -> Result<(), FrontError>;

    /// What a switch costs, where it is known to cost requests.
    fn loss(&self) -> Option<&'static str> {
        None
    }

    /// Whether its own word is what visitors get; of a file that a server reads at a reload it is not.
    fn is_its_word_enough(&self) -> bool {
        true
    }
}

/// Why a front could not be asked, or switched.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// It serves something else.
    #[error("the front serves neither side: {0}")]
    Neither(String),
    /// It serves both.
    #[error("the front serves both sides: {0}")]
    Both(String),
    /// It cannot be asked.
    #[error("could not ask the front: {0}")]
    Silent(String),
    /// What it says is not what visitors get.
    #[error("{front} says {said}, and visitors get {seen}")]
    Differs {
        /// The front.
        front: String,
        /// The side that it says.
        said: String,
        /// The side that answers.
        seen: String,
    },
    /// It refuses.
    #[error("could not switch the front to {side}: {why}")]
    Refused {
        /// The side.
        side: String,
        /// Why, and what it serves now.
        why: String,
    },
    /// One of its commands failed.
    #[error("could not {what}")]
    Command {
        /// What was tried: `test the front's configuration`; with what state that leaves.
        what: String,
        /// Why.
        source: CallError,
    },
    /// The switch was made, and visitors are not at the side.
    #[error("{front} was switched to {side}, and visitors are not seen there: {now}")]
    NotSeen {
        /// The front.
        front: String,
        /// The side.
        side: String,
        /// What is seen.
        now: String,
    },
    /// A file of it cannot be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
}
