//! guard from outside: `--host` does a command at another machine, detached there, and hears it from here.

mod asking;
mod client;
mod host;
mod listener;
mod seen;

pub use asking::INTO;
pub use client::ask;
pub use host::{Asked, serve};
