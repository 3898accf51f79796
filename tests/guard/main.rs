//! The tests, one binary, in the same tree as `src`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    unreachable_pub,
    reason = "a test that panics has failed, and it sets its own scene"
)]

mod architecture;
mod commands;
mod config;
mod docs;
mod engine;
mod journal;
mod notify;
mod outside;
mod probes;
mod recipes;
mod report;
mod resources;
mod services;
mod stack;
mod store;
mod support;
mod system;
mod watch;
