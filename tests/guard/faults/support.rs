//! What the other tests share, and this binary needs a part of.
#![expect(dead_code, reason = "the other test binary uses the rest")]

#[path = "../support/embedded.rs"]
pub mod embedded;
#[path = "../support/program.rs"]
pub mod program;
