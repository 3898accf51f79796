//! Services that have a name of their own in the settings: what is behind each, what it needs, and what is run around it.

mod acts;
mod copying;
mod note;
mod order;
mod service;
mod starting;
mod stopping;

pub use self::service::{Behind, Commands, Drain, Health, HealthCheck, Hooks, Named};
