//! guard: proves the way back before the way forward is taken. See `docs/architecture.md` for the map.

pub mod cli;
pub mod commands;
pub use guard_config as config;
pub use guard_engine as engine;
pub use guard_journal as journal;
pub use guard_model as model;
pub use guard_notify as notify;
pub use guard_probes as probes;
pub use guard_report as report;
pub use guard_resources as resources;
pub use guard_run as run;
pub use guard_services as services;
pub use guard_store as store;
pub use guard_system as system;
pub use guard_watch as watch;

pub use commands::library::{Error, Guard};

// The examples of these pages are compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
struct LibraryPage;
#[cfg(doctest)]
#[doc = include_str!("../docs/adding-a-strategy.md")]
struct StrategyPage;
