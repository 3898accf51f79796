//! What a copy tells of migrations, and the copy that is a schema alone.

use std::io::Write;

use super::books::Books;
use super::wish::Migrations;
use crate::error::{ResourceError, Result};
use crate::postgres::catalog::observe;
use crate::postgres::database::Postgres;
use crate::postgres::details::Details;
use crate::postgres::reach::Reach;
use crate::postgres::stall;
use crate::slot::Slot;
use crate::sql::rows;
use guard_model::artifact::Artifact;
use guard_system::context::Context;

/// The key under which an artifact tells which migrations had run.
pub(crate) const KEY: &str = "migrations";

/// The file of a copy that is only a schema.
pub(crate) const SCHEMA: &str = "schema.pgc";

/// Notes in a copy which migrations had run when it was made.
pub(crate) fn recorded(of: &Postgres, wish: &Migrations, mut artifact: Artifact, cx: &Context) -> Result<Artifact> {
    let books = Books::read(&Reach::open(of, cx)?, wish, cx)?;
    if let Some(details) = artifact.details.as_object_mut() {
        details.insert(KEY.to_owned(), serde_json::json!(books));
    }
    Ok(artifact)
}

/// The migrations that had run when a copy was made.
pub(crate) fn books_of(artifact: &Artifact) -> Result<Books> {
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
pub(crate) fn capture_schema(of: &Postgres, slot: &Slot, cx: &Context) -> Result<Artifact> {
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
