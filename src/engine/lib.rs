//! Decide, write it down, do it, write it down. Read `decide` first: it is the whole safety policy.

pub mod decide;
pub mod drive;
pub mod history;
pub mod ledger;
pub mod standby;
pub mod steps;
