//! `guard copy` and `guard fetch`: backups on other machines. After a run, its backup is copied; what fails there is told, and
//! changes nothing about the run.

use std::time::Duration;

use super::audit::{self, Deed};
use super::choosing::{choose, store_refusal};
use super::refusal::{Outcome, Refusal};
use super::request::{Copy, Fetch};
use super::session;
use super::setup::Desk;
use super::workbench::Bench;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::name::Timestamp;
use guard_model::secret::Secret;
use guard_model::text;
use guard_store::{About, Address, Backup, Copied, Credentials, Listed, Patience, Remote, RemoteError};
use guard_system::call::Call;
use guard_system::disk;
use guard_system::privilege;

/// In a backup's run directory there is nothing to write any more, so what was copied by commands is noted here.
const COPIED: &str = "copied";
/// How long the copy after a run may take where nobody says: a run is not kept from its end by a slow storage. A guess
/// (docs/decisions/0054-the-s3-client-measured-again.md).
const LIMIT: Duration = Duration::from_mins(10);

/// The storage that the settings or the flags name; `None`: none.
fn remote(from: &Fetch, patience: Patience, bench: &Bench) -> Result<Option<Remote>, String> {
    let set = &bench.settings.copy;
    let Some(url) = from.from.as_ref().or(set.url.as_ref()) else {
        return Ok(None);
    };
    let endpoint = from.endpoint.as_ref().or(set.endpoint.as_ref());
    let region = from.region.as_ref().or(set.region.as_ref());
    let address = Address::of(url, endpoint.map(String::as_str), region.map(String::as_str));
    let address = address.map_err(|why| format!("`copy.url` {url:?} cannot be used: {why}"))?;
    let variable = |name: &str| bench.cx.environment.text(name).filter(|text| !text.is_empty());
    let missing = |name: &str| format!("the variable {name} is not set, and the storage asks who is there");
    let who = Credentials {
        access_key: variable("AWS_ACCESS_KEY_ID")
            .ok_or_else(|| missing("AWS_ACCESS_KEY_ID"))?
            .to_owned(),
        secret_key: Secret::new(variable("AWS_SECRET_ACCESS_KEY").ok_or_else(|| missing("AWS_SECRET_ACCESS_KEY"))?),
        session_token: variable("AWS_SESSION_TOKEN").map(Secret::new),
    };
    for secret in [Some(&who.secret_key), who.session_token.as_ref()]
        .into_iter()
        .flatten()
    {
        bench.cx.redaction.learn(secret.expose());
    }
    let about = About {
        key: bench.store.installation(),
        project: bench.target(),
        host: privilege::host_name(),
    };
    let opened = Remote::open(&address, about, who, patience, bench.runtime.clone(), &bench.cx);
    opened.map(Some).map_err(|error| error.to_string())
}

fn deed(did: &'static str, what: String) -> Deed {
    Deed {
        did,
        what,
        why: None,
        forced: false,
    }
}

/// Copies one backup to every place; what was new in the storage.
fn copy_one(backup: &Backup, remote: Option<&Remote>, patience: Patience, bench: &Bench) -> Result<Copied, String> {
    let begun = bench.cx.clock.steady();
    let mut copied = Copied::default();
    if let Some(remote) = remote {
        copied = bench.store.copy_to(remote, backup).map_err(|error| error.to_string())?;
    }
    for words in &bench.settings.copy.commands {
        let Some(call) = Call::of_words(words) else { continue };
        let call = match patience.whole {
            Some(whole) => {
                let left = whole.saturating_sub(bench.cx.clock.steady().saturating_sub(begun));
                call.timeout(left.max(Duration::from_secs(1)))
            }
            None => call,
        };
        let call = call
            .directory(&bench.settings.directory)
            .env("GUARD_BACKUP_DIR", &backup.directory)
            .env("GUARD_BACKUP_TIMESTAMP", backup.timestamp().as_str());
        let output = bench.cx.output(&call);
        output.map_err(|error| bench.cx.redaction.clean(&format!("`{}`: {error}", words.join(" "))))?;
    }
    let mark = bench.state.join(COPIED).join(backup.timestamp().as_str());
    let noted = disk::create_private_dir(&bench.state.join(COPIED)).and_then(|()| disk::write_whole(&mark, b""));
    noted.map_err(|error| error.to_string())?;
    Ok(copied)
}

/// Copies the backup of a run that is over.
pub(super) fn after(timestamp: &Timestamp, bench: &Bench) {
    let set = &bench.settings.copy;
    if set.url.is_none() && set.commands.is_empty() {
        return;
    }
    let patience = Patience::after_run(set.limit.unwrap_or(LIMIT));
    let Ok(backup) = bench.store.get(timestamp) else { return };
    let copied = remote(&Fetch::default(), patience, bench)
        .and_then(|remote| copy_one(&backup, remote.as_ref(), patience, bench));
    match copied {
        Ok(copied) => bench.cx.note(
            Level::Info,
            format!("backup {timestamp} is copied elsewhere: {}", sent(copied)),
        ),
        Err(why) => {
            bench.cx.note(
                Level::Warn,
                format!("backup {timestamp} is only on this host, copying it failed: {why}"),
            );
            bench
                .cx
                .note(Level::Warn, format!("to copy it: guard copy {timestamp}"));
        }
    }
}

fn sent(copied: Copied) -> String {
    match copied.files {
        0 => "nothing had to be sent".to_owned(),
        files => format!("{} sent, {}", text::plural(files, "file"), text::bytes(copied.bytes)),
    }
}

fn nowhere(desk: &Desk) -> Refusal {
    Refusal::new(
        ExitCode::USAGE,
        "no place for copies is set: `[copy]` has neither `url` nor `commands`",
    )
    .next("to see every setting", format!("{} check -v", desk.style.program))
}

/// Copies backups, the oldest first.
///
/// # Errors
/// No place is set, or a copy failed; the ones before it are made.
pub(super) fn copy(asked: &Copy, bench: &Bench, desk: &Desk) -> Outcome {
    let _lock = session::begin(bench, "guard copy")?;
    let program = &desk.style.program;
    let set = &bench.settings.copy;
    if set.url.is_none() && set.commands.is_empty() {
        return Err(nowhere(desk));
    }
    let refused = |why: String| Refusal::new(ExitCode::REFUSED, why);
    let remote = remote(&Fetch::default(), Patience::ASKED, bench).map_err(refused)?;
    let mut backups = Vec::new();
    for text in &asked.timestamps {
        backups.push(choose(Some(text), bench, desk)?);
    }
    if backups.is_empty() {
        let listed = bench.store.list().map_err(|error| store_refusal(&error, program))?;
        backups.extend(listed.into_iter().rev().filter_map(|listed| match listed {
            Listed::Backup(backup) => Some(backup),
            _ => None,
        }));
        let is_new = |backup: &Backup| {
            !disk::exists(&bench.state.join(COPIED).join(backup.timestamp().as_str())).unwrap_or(false)
        };
        backups.retain(is_new);
    }
    let place = set.url.clone().unwrap_or_else(|| "where its commands say".to_owned());
    for backup in &backups {
        let what = format!("backup {} to {place}", backup.timestamp());
        audit::record(deed("copy", what.clone()), bench)?;
        let copied = copy_one(backup, remote.as_ref(), Patience::ASKED, bench).map_err(|why| {
            audit::record_failure("copy", format!("{what}: failed"), bench);
            refused(format!("backup {} was not copied", backup.timestamp()))
                .because(why)
                .next("to go on where it was", format!("{program} copy"))
        })?;
        bench
            .cx
            .note(Level::Info, format!("copied {}: {}", backup.timestamp(), sent(copied)));
    }
    if backups.is_empty() {
        bench.cx.note(Level::Info, "every backup is copied");
    }
    Ok(ExitCode::DONE)
}

/// What to do where only other installations have copies there; `None` where they have none.
fn others(remote: &Remote, bench: &Bench) -> Result<Option<String>, RemoteError> {
    let others: Vec<String> = remote.others()?.iter().map(ToString::to_string).collect();
    Ok((!others.is_empty()).then(|| {
        format!(
            "copies are there of {}: to have those, bring the file `key` of the machine that made them to {}",
            others.join(", "),
            bench.state.join("key").display()
        )
    }))
}

/// Lists what is in the storage, or brings one backup into the store.
///
/// # Errors
/// No storage is named, it cannot be asked, or the backup is not sound or not sealed by this installation's key.
pub(super) fn fetch(asked: &Fetch, bench: &Bench, desk: &Desk) -> Outcome {
    let _lock = session::begin(bench, "guard fetch")?;
    let program = &desk.style.program;
    let remote = remote(asked, Patience::ASKED, bench).map_err(|why| Refusal::new(ExitCode::REFUSED, why))?;
    let remote = remote.ok_or_else(|| nowhere(desk))?;
    let refused = |error: &RemoteError, exit| {
        let refusal = Refusal::new(exit, error.what.clone()).because(error.why.clone());
        // The first failure is the one to tell, where this cannot be asked either.
        match others(&remote, bench) {
            Ok(Some(others)) if exit == ExitCode::NO_BACKUP => refusal.because(others),
            _ => refusal,
        }
    };
    let Some(text) = &asked.timestamp else {
        let found = remote.list().map_err(|error| refused(&error, ExitCode::REFUSED))?;
        let lines: String = found.iter().map(|timestamp| timestamp.to_string() + "\n").collect();
        if lines.is_empty() {
            let others = others(&remote, bench).map_err(|error| refused(&error, ExitCode::REFUSED))?;
            let others = others.map(|others| format!("; {others}")).unwrap_or_default();
            desk.reporter
                .data(format!("no backups of this installation are there{others}\n"));
        } else {
            desk.reporter.data(lines);
        }
        return Ok(ExitCode::DONE);
    };
    let timestamp: Timestamp = text
        .parse()
        .map_err(|error| Refusal::of_error(ExitCode::USAGE, &error))?;
    let place = asked.from.as_ref().or(bench.settings.copy.url.as_ref());
    let what = format!("backup {timestamp} from {}", place.map_or("?", String::as_str));
    audit::record(deed("fetch", what.clone()), bench)?;
    let backup = bench.store.fetch_from(&remote, &timestamp, &bench.cx);
    let backup = backup.map_err(|error| {
        audit::record_failure("fetch", format!("{what}: failed"), bench);
        refused(&error, ExitCode::NO_BACKUP)
    })?;
    let bytes = text::bytes(backup.manifest.bytes());
    bench
        .cx
        .note(Level::Info, format!("backup {timestamp} is here, whole: {bytes}"));
    let next = format!("to go back to it: {program} rollback --backup-timestamp={timestamp}");
    bench.cx.note(Level::Info, next);
    Ok(ExitCode::DONE)
}
