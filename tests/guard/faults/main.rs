//! The fault harness, a binary of its own: it is built alone for each planted bug. Begin with `sim/mod.rs`, then `runs.rs`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::struct_excessive_bools,
    unreachable_pub,
    reason = "a test that panics has failed, and it sets its own scene"
)]

mod audit;
mod containers;
mod damage;
mod errors;
mod figures;
mod grounds;
mod journals;
mod killed;
mod owners;
mod pairs;
mod panics;
mod planted;
mod prices;
mod reactions;
mod runs;
mod secrets;
mod servers;
mod sim;
mod standbys;
mod support;
mod surroundings;
mod sweeps;
mod traced;
