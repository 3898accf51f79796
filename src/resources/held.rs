//! What comes of taking a lock on a resource that guards on all hosts see.

/// Something that is held until it is dropped.
pub trait Hold: Send {}

/// What came of [`crate::abilities::Exclusion::hold`].
pub enum Held {
    /// The resource knows no such lock.
    Nothing,
    /// It is ours.
    Ours(Box<dyn Hold>),
    /// Somebody else has it; what they said of themselves.
    Theirs(String),
}
