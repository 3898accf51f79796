//! Backups that older scripts made by hand: found by their names, listed with what they contain, tested for wholeness.

mod find;
mod info;
mod part;
mod proof;
mod trust;

pub(crate) use find::merge;
pub use find::{Foreign, find};
pub(crate) use info::DEPLOYMENT;
pub use part::{ForeignKind, ForeignPart};
