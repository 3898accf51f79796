//! `guard delete` and `guard prune`: backups that are not wanted any more.

use serde_json::json;

use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::text;
use guard_run::audit::{self, Deed};
use guard_run::backup_words::holds;
use guard_run::choosing::{choose_own, store_refusal};
use guard_run::confirmation::confirm;
use guard_run::kept::{self, Kept};
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Project;
use guard_run::request::{Delete, Prune};
use guard_run::session::Session;
use guard_run::{cleanup, locks, unfinished};
use guard_store::{Last, Listed, Recompressed, StoreError, candidates};

/// Deletes backups by name.
///
/// # Errors
/// One is not there, is needed, or is the last known-good one; the ones before it are gone.
pub(super) fn delete(asked: &Delete, project: &Project, session: &Session) -> Outcome {
    let _lock = locks::begin(project, "guard delete")?;
    let mut backups = Vec::new();
    let scope = project.own_scope();
    for text in &asked.timestamps {
        let command = format!("delete {}", asked.timestamps.join(" "));
        backups.push(choose_own(
            Some(text),
            &[],
            &scope,
            asked.force,
            &command,
            project,
            session,
        )?);
    }
    let names: Vec<String> = backups.iter().map(|backup| backup.timestamp().to_string()).collect();
    confirm(
        &format!("Delete {}?", names.join(", ")),
        &format!(
            "delete {}{}",
            if asked.force { "--force " } else { "" },
            names.join(" ")
        ),
        project.settings.confirmed,
        session,
    )?;
    let pinned = unfinished::pinned(project)?;
    let last = if asked.force { Last::Goes } else { Last::Stays };
    for backup in backups {
        audit::record(
            Deed {
                did: "delete",
                what: format!("backup {} ({})", backup.timestamp(), holds(&backup.manifest)),
                why: None,
                forced: asked.force,
            },
            project,
        )?;
        if let Err(error) = project.store.delete(backup.timestamp(), &pinned, last) {
            audit::record_failure(
                "delete",
                format!("backup {} stays: {error}", backup.timestamp()),
                project,
            );
            return Err(refusal(&error, &session.style.program));
        }
        cleanup::release(&backup.manifest.artifacts, project);
        project.cx.note(Level::Info, format!("deleted {}", backup.timestamp()));
    }
    cleanup::forget_old(false, project);
    Ok(ExitCode::DONE)
}

fn refusal(error: &StoreError, program: &str) -> Refusal {
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
pub(super) fn prune(asked: &Prune, project: &Project, session: &Session) -> Outcome {
    let _lock = locks::begin(project, "guard prune")?;
    let removals = cleanup::removals(project);
    let resources = project.resources()?;
    let loose = cleanup::loose(project)
        .into_iter()
        .filter(|(run, _)| kept::ends(run).is_some());
    let aside: Vec<Kept> = loose
        .flat_map(|(run, history)| kept::of(&run, &history, &resources, &project.cx))
        .collect();
    if asked.dry_run {
        let told = removals.iter().map(|removal| {
            let (timestamp, reason) = (&removal.timestamp, removal.why.to_string());
            (timestamp.to_string(), reason)
        });
        if session.style.json {
            let told = told.map(|(timestamp, reason)| json!({ "timestamp": timestamp, "reason": reason }));
            let told: Vec<_> = told.collect();
            return Ok(session.answer(json!({ "would_remove": told, "would_remove_aside": aside })));
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
        session.reporter.data(lines.chain(aside).collect::<String>());
    } else {
        // What was announced before goes; what loses its backup now is announced.
        cleanup::forget_old(true, project);
        for removal in &removals {
            cleanup::remove(removal, project);
        }
        cleanup::forget_old(false, project);
    }
    if removals.is_empty() && aside.is_empty() {
        project.cx.note(Level::Info, "there is nothing to remove");
    }
    match asked.recompress.filter(|_| !asked.dry_run) {
        Some(level) => recompress(level, project, &session.style.program),
        None => Ok(ExitCode::DONE),
    }
}

/// Compresses what older backups hold again. The newest way back, and those that a run needs, are left alone.
fn recompress(level: i32, project: &Project, program: &str) -> Outcome {
    let listed = project.store.list().map_err(|error| store_refusal(&error, program))?;
    let pinned = unfinished::pinned(project)?;
    let newest = candidates(&listed, &project.own_scope(), &[]);
    let newest = newest.first().map(|backup| backup.timestamp().clone());
    audit::record(
        Deed {
            did: "prune",
            what: format!("backups compressed again at level {level}"),
            why: None,
            forced: false,
        },
        project,
    )?;
    let mut all = Recompressed::default();
    for entry in &listed {
        let Listed::Backup(backup) = entry else { continue };
        if pinned.contains(backup.timestamp()) || newest.as_ref() == Some(backup.timestamp()) {
            continue;
        }
        let done = project.store.recompress(backup, level, &project.cx);
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
    project.cx.note(Level::Info, told);
    Ok(ExitCode::DONE)
}
