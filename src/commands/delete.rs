//! `guard delete` and `guard prune`: backups that are not wanted any more.

use serde_json::json;

use super::choosing::{choose, store_refusal};
use super::prompt::confirm;
use super::refusal::{Outcome, Refusal};
use super::request::{Delete, Prune};
use super::retention;
use super::session;
use super::setup::Desk;
use super::workbench::Bench;
use crate::model::event::Level;
use crate::model::exit::ExitCode;
use crate::model::text;
use crate::store::{Listed, Recompressed, StoreError, latest};

/// Deletes backups by name.
///
/// # Errors
/// One is not there, is needed, or is the last known-good one; the ones before it are gone.
pub(super) fn delete(asked: &Delete, bench: &Bench, desk: &Desk) -> Outcome {
    let _lock = session::begin(bench, "guard delete")?;
    let mut backups = Vec::new();
    for text in &asked.timestamps {
        backups.push(choose(Some(text), bench, desk)?);
    }
    let names: Vec<String> = backups.iter().map(|backup| backup.timestamp().to_string()).collect();
    confirm(
        &format!("Delete {}?", names.join(", ")),
        &format!("delete {}", names.join(" ")),
        bench,
        desk,
    )?;
    let pinned = session::pinned(bench)?;
    for backup in backups {
        let deleted = bench.store.delete(backup.timestamp(), &pinned, asked.force);
        deleted.map_err(|error| refusal(&error, desk))?;
        retention::release(&backup.manifest.artifacts, bench);
        bench.cx.note(Level::Info, format!("deleted {}", backup.timestamp()));
    }
    Ok(ExitCode::DONE)
}

fn refusal(error: &StoreError, desk: &Desk) -> Refusal {
    let program = &desk.style.program;
    match error {
        StoreError::LastKnownGood { timestamp } => {
            let refusal = Refusal::of_error(ExitCode::REFUSED, error);
            refusal.next(
                "to delete it all the same",
                format!("{program} delete --force {timestamp}"),
            )
        }
        _ => store_refusal(error, program),
    }
}

/// Deletes what retention does not keep.
///
/// # Errors
/// Another run holds the lock.
pub(super) fn prune(asked: &Prune, bench: &Bench, desk: &Desk) -> Outcome {
    let _lock = session::begin(bench, "guard prune")?;
    let removals = retention::removals(bench);
    if asked.dry_run {
        let told = removals.iter().map(|removal| {
            let (timestamp, reason) = (&removal.timestamp, retention::reason(removal));
            (timestamp.to_string(), reason)
        });
        if desk.style.json {
            let told = told.map(|(timestamp, reason)| json!({ "timestamp": timestamp, "reason": reason }));
            return Ok(desk.answer(json!({ "would_remove": told.collect::<Vec<_>>() })));
        }
        // One text: of thousands of notes, those that nobody reads in time are dropped.
        let lines = told.map(|(timestamp, reason)| format!("would remove {timestamp}: {reason}\n"));
        desk.reporter.data(lines.collect::<String>());
    } else {
        for removal in &removals {
            retention::remove(removal, bench);
        }
    }
    if removals.is_empty() {
        bench.cx.note(Level::Info, "there is nothing to remove");
    }
    match asked.recompress.filter(|_| !asked.dry_run) {
        Some(level) => recompress(level, bench, desk),
        None => Ok(ExitCode::DONE),
    }
}

/// Compresses what older backups hold again. The newest way back, and those that a run needs, are left alone.
fn recompress(level: i32, bench: &Bench, desk: &Desk) -> Outcome {
    let program = &desk.style.program;
    let listed = bench.store.list().map_err(|error| store_refusal(&error, program))?;
    let pinned = session::pinned(bench)?;
    let newest = latest(&listed, Some(&bench.target())).map(|backup| backup.timestamp().clone());
    let mut all = Recompressed::default();
    for entry in &listed {
        let Listed::Backup(backup) = entry else { continue };
        if pinned.contains(backup.timestamp()) || newest.as_ref() == Some(backup.timestamp()) {
            continue;
        }
        let done = bench.store.recompress(backup, level, &bench.cx);
        let done = done.map_err(|error| {
            store_refusal(&error, program).next("to go on where it was", format!("{program} prune --recompress"))
        })?;
        all.files += done.files;
        all.before += done.before;
        all.after += done.after;
    }
    let told = if all.files == 0 {
        "nothing would become smaller by compressing it again".to_owned()
    } else {
        let files = text::plural(all.files, "file");
        format!(
            "{files} compressed again: {}, which were {}",
            text::bytes(all.after),
            text::bytes(all.before)
        )
    };
    bench.cx.note(Level::Info, told);
    Ok(ExitCode::DONE)
}
