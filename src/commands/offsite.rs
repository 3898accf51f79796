//! `guard copy` and `guard fetch`: backups on other machines. After a run, its backup is copied; what fails there is told, and
//! changes nothing about the run.

use std::path::Path;

use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::name::Timestamp;
use guard_model::text;
use guard_run::audit::{self, Deed};
use guard_run::choosing::{choose, store_refusal};
use guard_run::locks;
use guard_run::offsite::{COPIED, copy_one, remote, sent};
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Project;
use guard_run::request::{Copy, Fetch};
use guard_run::session::Session;
use guard_store::{Backup, Listed, Patience, Remote, RemoteError};
use guard_system::disk;

fn deed(did: &'static str, what: String) -> Deed {
    Deed {
        did,
        what,
        why: None,
        forced: false,
    }
}

fn nowhere(program: &str) -> Refusal {
    Refusal::new(
        ExitCode::USAGE,
        "no place for copies is set: `[copy]` has neither `url` nor `commands`",
    )
    .next("to see every setting", format!("{program} check -v"))
}

/// Copies backups, the oldest first.
///
/// # Errors
/// No place is set, or a copy failed; the ones before it are made.
pub(super) fn copy(asked: &Copy, project: &Project, session: &Session) -> Outcome {
    let _lock = locks::begin(project, "guard copy")?;
    let program = &session.style.program;
    let set = &project.settings.copy;
    if set.url.is_none() && set.commands.is_empty() {
        return Err(nowhere(&session.style.program));
    }
    let refused = |why: String| Refusal::new(ExitCode::REFUSED, why);
    let remote = remote(&Fetch::default(), Patience::ASKED, project).map_err(refused)?;
    let mut backups = Vec::new();
    for text in &asked.timestamps {
        backups.push(choose(Some(text), project, &session.style.program)?);
    }
    if backups.is_empty() {
        let listed = project.store.list().map_err(|error| store_refusal(&error, program))?;
        backups.extend(listed.into_iter().rev().filter_map(|listed| match listed {
            Listed::Backup(backup) => Some(backup),
            _ => None,
        }));
        let is_new = |backup: &Backup| {
            !disk::exists(&project.state.join(COPIED).join(backup.timestamp().as_str())).unwrap_or(false)
        };
        backups.retain(is_new);
    }
    let place = set.url.clone().unwrap_or_else(|| "where its commands say".to_owned());
    for backup in &backups {
        let what = format!("backup {} to {place}", backup.timestamp());
        audit::record(deed("copy", what.clone()), project)?;
        let copied = copy_one(backup, remote.as_ref(), Patience::ASKED, project).map_err(|why| {
            audit::record_failure("copy", format!("{what}: failed"), project);
            refused(format!("backup {} was not copied", backup.timestamp()))
                .because(why)
                .next("to go on where it was", format!("{program} copy"))
        })?;
        project
            .cx
            .note(Level::Info, format!("copied {}: {}", backup.timestamp(), sent(copied)));
    }
    if backups.is_empty() {
        project.cx.note(Level::Info, "every backup is copied");
    }
    Ok(ExitCode::DONE)
}

/// What to do where only other installations have copies there; `None` where they have none.
fn others(remote: &Remote, state: &Path) -> Result<Option<String>, RemoteError> {
    let others: Vec<String> = remote.others()?.iter().map(ToString::to_string).collect();
    Ok((!others.is_empty()).then(|| {
        format!(
            "copies are there of {}: to have those, bring the file `key` of the machine that made them to {}",
            others.join(", "),
            state.join("key").display()
        )
    }))
}

/// Lists what is in the storage, or brings one backup into the store.
///
/// # Errors
/// No storage is named, it cannot be asked, or the backup is not sound or not sealed by this installation's key.
pub(super) fn fetch(asked: &Fetch, project: &Project, session: &Session) -> Outcome {
    let _lock = locks::begin(project, "guard fetch")?;
    let program = &session.style.program;
    let remote = remote(asked, Patience::ASKED, project).map_err(|why| Refusal::new(ExitCode::REFUSED, why))?;
    let remote = remote.ok_or_else(|| nowhere(&session.style.program))?;
    let refused = |error: &RemoteError, exit| {
        let refusal = Refusal::new(exit, error.what.clone()).because(error.why.clone());
        // The first failure is the one to tell, where this cannot be asked either.
        match others(&remote, &project.state) {
            Ok(Some(others)) if exit == ExitCode::NO_BACKUP => refusal.because(others),
            _ => refusal,
        }
    };
    let Some(text) = &asked.timestamp else {
        let found = remote.list().map_err(|error| refused(&error, ExitCode::REFUSED))?;
        let lines: String = found.iter().map(|timestamp| timestamp.to_string() + "\n").collect();
        if lines.is_empty() {
            let others = others(&remote, &project.state).map_err(|error| refused(&error, ExitCode::REFUSED))?;
            let others = others.map(|others| format!("; {others}")).unwrap_or_default();
            session
                .reporter
                .data(format!("no backups of this installation are there{others}\n"));
        } else {
            session.reporter.data(lines);
        }
        return Ok(ExitCode::DONE);
    };
    let timestamp: Timestamp = text
        .parse()
        .map_err(|error| Refusal::of_error(ExitCode::USAGE, &error))?;
    let place = asked.from.as_ref().or(project.settings.copy.url.as_ref());
    let what = format!("backup {timestamp} from {}", place.map_or("?", String::as_str));
    audit::record(deed("fetch", what.clone()), project)?;
    let backup = project.store.fetch_from(&remote, &timestamp, &project.cx);
    let backup = backup.map_err(|error| {
        audit::record_failure("fetch", format!("{what}: failed"), project);
        refused(&error, ExitCode::NO_BACKUP)
    })?;
    let bytes = text::bytes(backup.manifest.bytes());
    project
        .cx
        .note(Level::Info, format!("backup {timestamp} is here, whole: {bytes}"));
    let next = format!("to go back to it: {program} rollback --backup-timestamp={timestamp}");
    project.cx.note(Level::Info, next);
    Ok(ExitCode::DONE)
}
