//! `guard verify`: every byte of a backup against its manifest, and what each kind can prove besides.

use super::choosing::{choose, store_refusal};
use super::refusal::{Outcome, Refusal};
use super::request::Verify;
use super::session;
use super::setup::Desk;
use super::workbench::Bench;
use crate::model::event::Level;
use crate::model::exit::ExitCode;
use crate::model::text;
use crate::resources::Slot;
use crate::store::{Backup, Listed};

/// Verifies a backup, or all of them.
///
/// # Errors
/// It is not there, or a part of one is damaged; of all of them, each that is damaged is told.
pub(super) fn verify(asked: &Verify, bench: &Bench, desk: &Desk) -> Outcome {
    let _lock = asked
        .restore
        .then(|| session::begin(bench, "guard verify --restore"))
        .transpose()?;
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
        let slot = Slot::new(&backup.directory, name);
        let proven = if asked.restore {
            owned.resource.rehearse(artifact, &slot, &bench.cx)
        } else {
            owned.resource.prove(artifact, &slot, &bench.cx)
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
