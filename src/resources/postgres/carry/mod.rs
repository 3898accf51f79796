//! What going back displaces: rows that only the failed database has are counted, carried over, or exported; none is lost
//! without a word, and none is invented.

mod account;
pub(crate) mod before;
mod check;
mod choice;
mod compare;
mod export;
mod insert;
mod ledger;
mod order;
pub(crate) mod price;
pub(crate) mod release;
mod rows;
pub(crate) mod salvage;
mod shape;
mod since;
pub(crate) mod wish;
mod work;

pub(super) use self::check::survey;
pub(super) use self::price::undo_price;
pub(super) use self::release::{mark, transactions};
pub(super) use self::salvage::salvage;
