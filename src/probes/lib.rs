//! Probes: ways to ask whether the system is well. `kinds` lists them.

mod basics;
mod command;
mod connection;
mod container;
mod host;
mod http;
mod kind;
mod kinds;
mod limits;
mod log;
mod placed;
mod postgres;
mod probe;
mod redis;
mod secret;
mod starts;
mod systemd;
mod tcp;
mod tls;
mod witness;

pub use kind::{Built, Kind, Site};
pub use kinds::{KINDS, kind};
pub use placed::Placed;
pub use probe::{Expectation, Probe};
pub use starts::Starts;
pub use witness::{Asked, witnessed};
