//! The kinds of resources that there are, and how each is made from its table. Register a kind here.

use crate::definition::Kind;
use crate::{command, compose, files, git, images, mariadb, objects, postgres, redis, sqlite, volume};

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
    command::KIND,
];

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
