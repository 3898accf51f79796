//! Telling people outside: Slack, webhooks, mail, commands. No target can hold a run up or change what it decides.

mod address;
mod command;
mod kinds;
mod mail;
mod notifier;
mod post;
mod target;
mod way;
mod words;

pub use address::{Standing, standing};
pub use kinds::KINDS;
pub use notifier::Notifier;
pub use target::Target;
pub use way::{Kind, TOTAL};
