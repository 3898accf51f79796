//! guard: proves the way back before the way forward is taken. See `docs/architecture.md` for the map.

pub mod cli;
pub mod commands;
pub mod config;
pub mod engine;
pub mod journal;
pub mod model;
pub mod notify;
pub mod probes;
pub mod report;
pub mod resources;
pub mod services;
pub mod store;
pub mod system;
pub mod watch;

pub use commands::library::{Error, Guard};

// The examples of the library's page are compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
struct LibraryPage;
