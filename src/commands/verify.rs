//! `guard verify`: every byte of a backup against its manifest, and what each kind can prove besides.

use super::choosing::{choose, store_refusal};
use super::refusal::{Outcome, Refusal};
use super::request::Verify;
use super::sealing;
use super::session;
use super::setup::Desk;
use super::workbench::Bench;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::text;
use guard_store::{Backup, Listed, Sample};

/// Verifies a backup, or all of them.
///
/// # Errors
/// It is not there, or a part of one is damaged; of all of them, each that is damaged is told.
pub(super) fn verify(asked: &Verify, bench: &Bench, desk: &Desk) -> Outcome {
    let _lock = asked
        .restore
        .then(|| session::begin(bench, "guard verify --restore"))
        .transpose()?;
    if let Some(sample) = asked.sample {
        return verify_some(sample, asked, bench, desk);
    }
    if !asked.all {
        let backup = choose(asked.timestamp.as_deref(), bench, desk)?;
        return verify_one(&backup, asked, bench, desk);
    }
    let program = &desk.style.program;
    let listed = bench.store.list().map_err(|error| store_refusal(&error, program))?;
    let (mut count, mut bad) = (0, Vec::new());
    for entry in listed {
        match entry {
            Listed::Backup(backup) => {
                count += 1;
                if let Err(refusal) = verify_one(&backup, asked, bench, desk) {
                    bench.cx.note(Level::Error, refusal.account.failed);
                    bad.push(backup.timestamp().to_string());
                }
            }
            Listed::Unreadable { name, reason } => {
                bench.cx.note(Level::Error, format!("{name}: {reason}"));
                bad.push(name);
            }
            Listed::Foreign(_) | Listed::Incomplete { .. } => {}
        }
    }
    if bad.is_empty() {
        bench.cx.note(
            Level::Info,
            format!("all of them are whole: {}", text::plural(count, "backup")),
        );
        return Ok(ExitCode::DONE);
    }
    let what = format!("not whole, or not to be believed: {}", bad.join(", "));
    Err(Refusal::new(ExitCode::NO_BACKUP, what).next("to see the backups", format!("{program} list")))
}

/// Looks at all files, and reads a sample of them.
fn verify_some(sample: Sample, asked: &Verify, bench: &Bench, desk: &Desk) -> Outcome {
    let program = &desk.style.program;
    let mut backups = Vec::new();
    if asked.all {
        for entry in bench.store.list().map_err(|error| store_refusal(&error, program))? {
            match entry {
                Listed::Backup(backup) => backups.push(backup),
                Listed::Unreadable { name, reason } => {
                    let refusal = Refusal::new(ExitCode::NO_BACKUP, format!("{name} is not to be believed"));
                    return Err(refusal
                        .because(reason)
                        .next("to see the backups", format!("{program} list")));
                }
                Listed::Foreign(_) | Listed::Incomplete { .. } => {}
            }
        }
    } else {
        backups.push(choose(asked.timestamp.as_deref(), bench, desk)?);
    }
    let sampled = bench
        .store
        .verify_sample(&backups, sample, &bench.cx)
        .map_err(|error| store_refusal(&error, program))?;
    bench.cx.note(
        Level::Info,
        format!(
            "{} of {} are there in their lengths; {} of them read, {}: as their manifests say",
            text::plural(sampled.looked, "file"),
            text::plural(backups.len() as u64, "backup"),
            text::count(sampled.read.files),
            text::bytes(sampled.read.bytes)
        ),
    );
    Ok(ExitCode::DONE)
}

fn verify_one(backup: &Backup, asked: &Verify, bench: &Bench, desk: &Desk) -> Outcome {
    let program = &desk.style.program;
    let verified = bench
        .store
        .verify(backup, &bench.cx)
        .map_err(|error| store_refusal(&error, program))?;
    for owned in bench.resources()? {
        let name = owned.resource.name();
        let Some(artifact) = backup.manifest.artifact(name) else {
            continue;
        };
        if artifact.kind != owned.kind.key {
            continue;
        }
        let slot = sealing::slot(backup, name, bench)?;
        let shut = artifact.files.iter().find_map(|entry| slot.seek(entry).err());
        if let Some(error) = shut.filter(|error| !error.copy_is_bad && !asked.restore) {
            let note = format!(
                "{name}: as its manifest says, and not decrypted: {}",
                guard_model::text::chain(&error)
            );
            bench.cx.note(Level::Warn, note);
            continue;
        }
        let scratch =
            tempfile::tempdir_in(&bench.state).map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))?;
        let mut cx = bench.cx.clone();
        scratch.path().clone_into(&mut cx.scratch);
        let proven = if asked.restore {
            let (resource, there) = owned.resource.at(&cx);
            resource.rehearse(artifact, &slot, &there)
        } else {
            let (resource, there) = owned.resource.at(&bench.cx);
            slot.unlock(artifact)
                .and_then(|()| resource.prove(artifact, &slot, &there))
        };
        if let Err(error) = proven {
            let exit = if error.copy_is_bad {
                ExitCode::NO_BACKUP
            } else {
                ExitCode::REFUSED
            };
            return Err(Refusal::of_error(exit, &error).next("to see the other backups", format!("{program} list")));
        }
        bench
            .cx
            .note(Level::Info, format!("{name}: sound ({})", artifact.summary));
    }
    let (files, bytes) = (text::plural(verified.files, "file"), text::bytes(verified.bytes));
    bench.cx.note(
        Level::Info,
        format!(
            "backup {} is whole: {files}, {bytes}, as its manifest says",
            backup.timestamp()
        ),
    );
    Ok(ExitCode::DONE)
}
