//! Settings: what a person has typed, in all its layers, becomes what guard obeys, once.

mod blue_green;
mod checks;
mod copying;
mod declared;
pub mod discover;
mod encryption;
pub mod env;
mod excerpt;
mod expand;
mod file;
mod judging;
mod layer;
mod load;
mod location;
mod owner;
mod parts;
mod project;
mod projects;
mod settings;
mod tree;
mod value;

pub use blue_green::{BlueGreenSettings, SideSettings};
pub use copying::CopySettings;
pub use declared::Declared;
pub use encryption::EncryptionSettings;
pub use expand::COMMAND_KEYS;
pub use file::{Document, FILE_NAME, LIMIT};
pub use layer::{Effective, Origin, Request};
pub use location::{Location, locate};
pub use parts::{Commands, ComposeSettings, Lock, Maintenance, Retention, Services, Verify};
pub use project::state_root;
pub use projects::FurtherProject;
pub use settings::{Settings, told};
