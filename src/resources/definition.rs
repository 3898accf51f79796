//! What a kind of resource is: its key, its stages, and how it is made from its table in the settings.

use std::path::PathBuf;

use crate::contract::Resource;
use guard_model::name::ResourceName;
use guard_model::plan::StageName;
use guard_model::section::Section;
use guard_system::docker::Compose;

/// Which services a way back is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Narrowed {
    /// The Compose services whose images go back; empty: those of all.
    pub services: Vec<String>,
    /// The image that they are to run instead of the recorded one: a name or an id that the engine has.
    pub image: Option<String>,
}

/// What all resources of a project share.
#[derive(Debug, Clone)]
pub struct Site {
    /// The project's directory, absolute.
    pub directory: PathBuf,
    /// The Compose project, where there is one.
    pub compose: Option<Compose>,
    /// The settings say how what is no Compose project is stopped.
    pub stops: bool,
    /// Which services a way back is about, where it is about some alone; by default it is about all.
    pub only: Narrowed,
    /// The directories of all git checkouts that are resources, absolute: one inside another is left to its own resource.
    pub checkouts: Vec<PathBuf>,
}

/// What a kind makes of its table in `guard.toml`.
pub type Built = Option<Box<dyn Resource>>;

/// A kind of resource.
pub struct Kind {
    /// As in `kind = "postgres"`.
    pub key: &'static str,
    /// One line for `guard init` and the docs.
    pub about: &'static str,
    /// The stage ahead in which it is captured.
    pub captured_in: StageName,
    /// The stage back in which it is restored.
    pub restored_in: StageName,
    /// Reads the kind's own keys from its table. Problems are told to the section; `None` where there are any.
    pub build: fn(ResourceName, &mut Section<'_>, &Site) -> Built,
}

impl Kind {
    /// Whether it is a database that a server keeps: who that is takes a question.
    #[must_use]
    pub fn is_of_server(&self) -> bool {
        matches!(self.key, "postgres" | "mariadb" | "mysql")
    }
}
