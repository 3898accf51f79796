//! Traffic switches: one file for each way in which a front is led from one side to the other.

mod address_file;
mod caddy;
mod command;
mod driver;
mod eyes;
mod haproxy;
mod kinds;
mod link;
mod marker;

pub use driver::{Driver, FrontError, Serving};
pub use eyes::Eyes;
pub use kinds::{FRONTS, Front, share_an_address};
