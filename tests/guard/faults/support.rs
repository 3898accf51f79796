//! What the other tests share, and this binary needs a part of.
#![expect(dead_code, reason = "the other test binary uses the rest")]

#[path = "../support/cluster.rs"]
pub mod cluster;
#[path = "../support/daemon.rs"]
pub mod daemon;
#[path = "../support/embedded.rs"]
pub mod embedded;
#[path = "../support/program.rs"]
pub mod program;
#[path = "../support/template.rs"]
mod template;
#[path = "../support/watched.rs"]
pub mod watched;
