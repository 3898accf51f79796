//! A drill: a deployment with a fault on purpose, turned back, and compared with the state before by a road of its own.
//!
//! A drill is a run like any other. What it injects is written down in the run's directory before it is done, so that whoever
//! finishes the run, the watcher or `guard resume`, takes it away as well and compares.

pub mod agents;
pub mod book;
pub mod conclude;
pub mod counts;
pub mod hooks;
pub mod inject;
pub mod lift;
pub mod possible;
pub mod proxy;
pub mod record;
pub mod target;
