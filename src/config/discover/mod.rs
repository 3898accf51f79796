//! What a directory shows of itself: the resources and probes that `guard init` writes down. It only looks.

mod data;
mod database;
mod directory;
mod discovery;
mod found;
mod look;
mod render;
mod resolved;
mod stack;
mod variables;

pub use discovery::Discovery;
pub use found::{Entry, Found};
pub use look::look;
pub use render::render;
