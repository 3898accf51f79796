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

/// Verifies a backup.
///
/// # Errors
/// It is not there, or a part of it is damaged.
pub(super) fn verify(asked: &Verify, bench: &Bench, desk: &Desk) -> Outcome {
    let _lock = asked
        .restore
        .then(|| session::begin(bench, "guard verify --restore"))
        .transpose()?;
    let backup = choose(Some(&asked.timestamp), bench, desk)?;
    let program = &desk.style.program;
    let verified = bench
        .store
        .verify(&backup, &bench.cx)
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
