//! How migrations are taken back, as the settings say.

use std::path::PathBuf;

use guard_model::section::Section;

/// How migrations are taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Migrations {
    /// Where the scripts are.
    pub(crate) directory: PathBuf,
    /// The table that tells which ran, where its name is not one of the usual.
    pub(crate) table: Option<String>,
    /// A command that takes them back, instead of guard.
    pub(crate) command: Option<Vec<String>>,
    /// Tables that are copied first.
    pub(crate) snapshot: Vec<String>,
    /// A backup holds the schema alone.
    pub(crate) schema_only: bool,
}

/// Reads the settings; `None` unless `rollback = "migrations"`.
pub(crate) fn wish(section: &mut Section<'_>) -> Option<Migrations> {
    let chosen = section
        .choice("rollback", &[("swap", false), ("migrations", true)])
        .unwrap_or_default();
    let schema_only = section
        .choice("backup", &[("full", false), ("schema", true)])
        .unwrap_or_default();
    let directory = section.path("migrations");
    let table = section.text("migrations_table");
    let command = if section.has("down_command") {
        section.words("down_command")
    } else {
        None
    };
    let snapshot = section.texts("snapshot_tables").unwrap_or_default();
    if !chosen {
        for key in ["migrations", "migrations_table", "down_command", "snapshot_tables"] {
            if section.has(key) {
                section.problem(key, "means something only with `rollback = \"migrations\"`", None);
            }
        }
        if schema_only {
            let why = "holds no rows, and `rollback = \"swap\"` has to put rows back";
            section.problem("backup", why, Some("set `rollback = \"migrations\"`".to_owned()));
        }
        return None;
    }
    for key in ["in_place", "carry_over", "standby"] {
        if section.has(key) {
            section.problem(
                key,
                "cannot stand beside `rollback = \"migrations\"`, which leaves rows where they are",
                None,
            );
        }
    }
    if schema_only && section.has("proof") {
        section.problem(
            "proof",
            "cannot stand beside `backup = \"schema\"`: there are no rows to compare",
            None,
        );
    }
    Some(Migrations {
        directory: directory.unwrap_or_else(|| PathBuf::from("migrations")),
        table,
        command,
        snapshot,
        schema_only,
    })
}

impl Migrations {
    /// Whether a backup holds no rows.
    pub(crate) fn is_schema_only(&self) -> bool {
        self.schema_only
    }
}
