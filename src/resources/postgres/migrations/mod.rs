//! Going back by the release's own migrations: those that are newer than the backup are taken back by their down scripts,
//! newest first, and the rows stay.

mod acts;
mod books;
mod scripts;
mod steps;

use std::io::Write;
use std::path::PathBuf;

use super::Postgres;
use super::catalog::observe;
use super::details::Details;
use super::reach::Reach;
use super::stall;
use crate::{ResourceError, Result, Slot, Survey, rows};
use books::Books;
use guard_model::artifact::Artifact;
use guard_model::section::Section;
use guard_system::context::Context;
use steps::is_program;
pub(super) use steps::{carried, is, outlook, prepare, restore, undo};

/// The key under which an artifact tells which migrations had run.
const KEY: &str = "migrations";
/// The file of a copy that is only a schema.
const SCHEMA: &str = "schema.pgc";

/// How migrations are taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Migrations {
    /// Where the scripts are.
    directory: PathBuf,
    /// The table that tells which ran, where its name is not one of the usual.
    table: Option<String>,
    /// A command that takes them back, instead of guard.
    command: Option<Vec<String>>,
    /// Tables that are copied first.
    snapshot: Vec<String>,
    /// A backup holds the schema alone.
    schema_only: bool,
}

/// Reads the settings; `None` unless `rollback = "migrations"`.
pub(super) fn wish(section: &mut Section<'_>) -> Option<Migrations> {
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
    pub(super) fn is_schema_only(&self) -> bool {
        self.schema_only
    }
}

/// What `guard check` asks: whether it is known which migrations ran, and whether each could be taken back.
pub(super) fn survey(of: &Postgres, wish: &Migrations, cx: &Context, survey: &mut Survey) -> Result<()> {
    let reach = Reach::open(of, cx)?;
    match Books::read(&reach, wish, cx) {
        Ok(books) if wish.command.is_none() && is_program(&books) => survey.refuse(
            format!(
                "the migrations in {} are programs of their tool, and guard runs SQL scripts only",
                books.table
            ),
            "set `down_command`, as in [\"alembic\", \"downgrade\", \"-1\"]",
        ),
        Ok(books) => survey.fact(format!(
            "{} has {} migrations, the newest {}",
            books.table,
            books.versions.len(),
            books.versions.last().map_or("none", String::as_str)
        )),
        Err(error) => {
            let advice = error.hint.clone().unwrap_or_else(|| "correct it".to_owned());
            survey.refuse(error.to_string(), advice);
        }
    }
    if wish.command.is_none() && !cx.resolve(&wish.directory).is_dir() {
        survey.refuse(
            format!(
                "{} is no directory, and holds no down scripts",
                wish.directory.display()
            ),
            "correct `migrations`, or set `down_command`",
        );
    }
    Ok(())
}

/// Notes in a copy which migrations had run when it was made.
pub(super) fn recorded(of: &Postgres, wish: &Migrations, mut artifact: Artifact, cx: &Context) -> Result<Artifact> {
    let books = Books::read(&Reach::open(of, cx)?, wish, cx)?;
    if let Some(details) = artifact.details.as_object_mut() {
        details.insert(KEY.to_owned(), serde_json::json!(books));
    }
    Ok(artifact)
}

/// The migrations that had run when a copy was made.
fn books_of(artifact: &Artifact) -> Result<Books> {
    let told = artifact.details.get(KEY).cloned().unwrap_or_default();
    serde_json::from_value(told).map_err(|error| {
        ResourceError::because(
            "the backup does not tell which migrations had run when it was made",
            error,
        )
        .with_hint("it was taken before `rollback = \"migrations\"` was set: set it to \"swap\" for this backup")
    })
}

/// A copy of the schema alone.
pub(super) fn capture_schema(of: &Postgres, slot: &Slot, cx: &Context) -> Result<Artifact> {
    let reach = Reach::open(of, cx)?;
    let dump_version = reach.version("pg_dump", cx)?;
    let taken_at = cx.clock.now();
    let (catalog, entry) = observe(&reach, &reach.database, cx, |snapshot| {
        let (snapshot, wait) = (format!("--snapshot={snapshot}"), reach.wait_flag());
        let connection = reach.connection(&reach.database);
        let args = [
            "-Fc",
            "--schema-only",
            "--no-password",
            &snapshot,
            &wait,
            "-d",
            &connection,
        ];
        let mut staged = slot.stage(SCHEMA)?;
        let call = reach.program("pg_dump", false, &args);
        stall::pull(&call, &reach.database, reach.stall, cx, &mut |bytes: &[u8]| {
            staged.write_all(bytes)
        })?;
        slot.keep(staged, SCHEMA)
    })?;
    let fingerprint = catalog.fingerprint();
    let details = Details::from_catalog(catalog, &reach.database, &dump_version, taken_at).written()?;
    Ok(Artifact {
        resource: of.name.clone(),
        project: None,
        kind: "postgres".to_owned(),
        summary: format!(
            "{}, of which only the schema is kept",
            rows::summary(&reach.database, &fingerprint)
        ),
        fingerprint,
        files: vec![entry],
        details,
        not_kept: vec![format!("the rows of {}: `backup = \"schema\"`", reach.database)],
        tools: vec![("pg_dump".to_owned(), dump_version)],
    })
}
