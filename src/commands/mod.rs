//! One file for each thing that can be asked; `dispatch` chooses, `library` is the same for Rust programs.

mod abort;
mod all_projects;
mod attach;
mod backup;
mod check;
mod decide;
mod delete;
mod demo;
mod deploy;
mod dispatch;
mod drill;
mod freeze;
mod init;
mod inside;
pub mod library;
mod list;
mod logs;
mod mark;
mod notify;
mod offsite;
pub mod outside;
mod packaging;
mod record;
mod report;
mod resume;
mod rollback;
mod salvage;
mod schema;
mod status;
mod undo;
mod verify;
mod watch;

pub use dispatch::run;
