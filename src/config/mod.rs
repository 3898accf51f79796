//! Settings: what a person has typed, in all its layers, becomes what guard obeys, once.

mod checks;
mod copying;
mod declared;
pub mod discover;
pub mod env;
mod expand;
mod file;
mod judging;
mod layer;
mod load;
mod location;
mod parts;
mod project;
mod settings;
mod tree;
mod value;

pub use copying::CopySettings;
pub use declared::Declared;
pub use expand::COMMAND_KEYS;
pub use file::{Document, FILE_NAME, LIMIT};
pub use layer::{Effective, Origin, Request};
pub use location::{Location, locate};
pub use parts::{Commands, ComposeSettings, Lock, Maintenance, Retention, Services, Verify};
pub use project::state_root;
pub use settings::Settings;
