//! `guard delete` and `guard prune`: backups that are not wanted any more.

use serde_json::json;

use super::audit::{self, Deed};
use super::choosing::{choose_own, store_refusal};
use super::kept::{self, Kept};
use super::list::holds;
use super::prompt::confirm;
use super::refusal::{Outcome, Refusal};
use super::request::{Delete, Prune};
use super::retention;
use super::session;
use super::setup::Desk;
use super::workbench::Bench;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::text;
use guard_store::{Last, Listed, Recompressed, StoreError, candidates};

/// Deletes backups by name.
///
/// # Errors
/// One is not there, is needed, or is the last known-good one; the ones before it are gone.
pub(super) fn delete(asked: &Delete, bench: &Bench, desk: &Desk) -> Outcome {
    let _lock = session::begin(bench, "guard delete")?;
    let mut backups = Vec::new();
    let scope = bench.own_scope();
    for text in &asked.timestamps {
        let command = format!("delete {}", asked.timestamps.join(" "));
        backups.push(choose_own(Some(text), &[], &scope, asked.force, &command, bench, desk)?);
    }
    let names: Vec<String> = backups.iter().map(|backup| backup.timestamp().to_string()).collect();
    confirm(
        &format!("Delete {}?", names.join(", ")),
        &format!(
            "delete {}{}",
            if asked.force { "--force " } else { "" },
            names.join(" ")
        ),
        bench,
        desk,
    )?;
    let pinned = session::pinned(bench)?;
    let last = if asked.force { Last::Goes } else { Last::Stays };
    for backup in backups {
        audit::record(
            Deed {
                did: "delete",
                what: format!("backup {} ({})", backup.timestamp(), holds(&backup.manifest)),
                why: None,
                forced: asked.force,
            },
            bench,
        )?;
        if let Err(error) = bench.store.delete(backup.timestamp(), &pinned, last) {
            audit::record_failure("delete", format!("backup {} stays: {error}", backup.timestamp()), bench);
            return Err(refusal(&error, desk));
        }
        retention::release(&backup.manifest.artifacts, bench);
        bench.cx.note(Level::Info, format!("deleted {}", backup.timestamp()));
    }
    retention::forget_old(false, bench);
    Ok(ExitCode::DONE)
}

fn refusal(error: &StoreError, desk: &Desk) -> Refusal {
    let program = &desk.style.program;
    match error {
        StoreError::LastKnownGood { timestamp, .. } | StoreError::OnlyOne { timestamp, .. } => {
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
    let resources = bench.resources()?;
    let loose = retention::loose(bench)
        .into_iter()
        .filter(|(run, _)| retention::ends(run).is_some());
    let aside: Vec<Kept> = loose
        .flat_map(|(run, history)| kept::of(&run, &history, &resources, bench))
        .collect();
    if asked.dry_run {
        let told = removals.iter().map(|removal| {
            let (timestamp, reason) = (&removal.timestamp, removal.why.to_string());
            (timestamp.to_string(), reason)
        });
        if desk.style.json {
            let told = told.map(|(timestamp, reason)| json!({ "timestamp": timestamp, "reason": reason }));
            let told: Vec<_> = told.collect();
            return Ok(desk.answer(json!({ "would_remove": told, "would_remove_aside": aside })));
        }
        // One text: of thousands of notes, those that nobody reads in time are dropped.
        let lines = told.map(|(timestamp, reason)| format!("would remove {timestamp}: {reason}\n"));
        let aside = aside.iter().map(|one| {
            format!(
                "would remove what {} put aside of {}: {}\n",
                one.run,
                one.resource,
                one.place()
            )
        });
        desk.reporter.data(lines.chain(aside).collect::<String>());
    } else {
        // What was announced before goes; what loses its backup now is announced.
        retention::forget_old(true, bench);
        for removal in &removals {
            retention::remove(removal, bench);
        }
        retention::forget_old(false, bench);
    }
    if removals.is_empty() && aside.is_empty() {
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
    let newest = candidates(&listed, &bench.own_scope(), &[]);
    let newest = newest.first().map(|backup| backup.timestamp().clone());
    audit::record(
        Deed {
            did: "prune",
            what: format!("backups compressed again at level {level}"),
            why: None,
            forced: false,
        },
        bench,
    )?;
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
