//! Going back by the release's own migrations: those that are newer than the backup are taken back by their down scripts,
//! newest first, and the rows stay.

mod acts;
mod books;
pub(crate) mod check;
mod copy;
mod scripts;
pub(crate) mod steps;
pub(crate) mod wish;

pub(super) use self::copy::{capture_schema, recorded};
pub(super) use self::steps::{carried, is, outlook, prepare, restore, undo};
