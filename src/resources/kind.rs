//! The kinds of resources that there are, and how each is made from its table. Register a kind here.

use std::path::PathBuf;

use super::{Resource, compose, files, git, images, mariadb, objects, postgres, redis, sqlite, volume};
use guard_model::name::ResourceName;
use guard_model::plan::StageName;
use guard_model::section::Section;
use guard_system::docker::Compose;

/// All kinds, in the order in which `guard init` offers them. To add one: a file here, and its line in this list.
pub const KINDS: &[Kind] = &[
    postgres::KIND,
    mariadb::KIND,
    mariadb::MYSQL,
    sqlite::KIND,
    redis::KIND,
    volume::KIND,
    objects::KIND,
    git::KIND,
    files::KIND,
    compose::KIND,
    images::KIND,
];

/// What all resources of a project share.
#[derive(Debug, Clone)]
pub struct Site {
    /// The project's directory, absolute.
    pub directory: PathBuf,
    /// The Compose project, where there is one.
    pub compose: Option<Compose>,
    /// The settings say how what is no Compose project is stopped.
    pub stops: bool,
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

/// The keys of a kind that say what a copy holds, and not where it goes or how: for a backup they count as they were when it
/// was taken.
#[must_use]
pub fn copied_keys(kind: &str) -> &'static [&'static str] {
    match kind {
        "files" => &["paths"],
        "postgres" => &[
            "rollback",
            "backup",
            "migrations",
            "migrations_table",
            "down_command",
            "snapshot_tables",
        ],
        _ => &[],
    }
}

/// The kind of this key.
#[must_use]
pub fn kind(key: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.key == key)
}
