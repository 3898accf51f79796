//! Which backup is meant: by its name, `latest`, `previous`, or the newest that is known to be good.

use super::refusal::Refusal;
use super::setup::{Desk, width_of_stdout};
use super::workbench::Bench;
use crate::model::exit::ExitCode;
use crate::model::name::Timestamp;
use crate::report::tables::Table;
use crate::store::{Backup, Listed, StoreError, known_good, latest, previous};

/// The backup that was asked for.
///
/// # Errors
/// It is not there, not authentic, or made by a newer guard; or there is no known-good one.
pub(super) fn choose(asked: Option<&str>, bench: &Bench, desk: &Desk) -> Result<Backup, Refusal> {
    let program = &desk.style.program;
    let listed = bench.store.list().map_err(|error| store_refusal(&error, program))?;
    let target = bench.target();
    let found = match asked {
        None | Some("latest") => latest(&listed, Some(&target)),
        Some("previous") => previous(&listed, Some(&target)),
        Some(text) => {
            let timestamp: Timestamp = text.parse().map_err(|error| {
                Refusal::of_error(ExitCode::USAGE, &error).next("to see the backups", format!("{program} list"))
            })?;
            return bench
                .store
                .get(&timestamp)
                .map_err(|error| store_refusal(&error, program).because(near(&timestamp, &listed)));
        }
    };
    if asked.is_none() {
        desk.reporter.data(candidates(&listed, &target, desk));
    }
    found.cloned().ok_or_else(|| {
        Refusal::new(ExitCode::NO_BACKUP, "there is no known-good backup to go back to")
            .because("tainted backups are never chosen by themselves; name one with --backup-timestamp")
            .next("to see the backups", format!("{program} list"))
    })
}

fn near(timestamp: &Timestamp, listed: &[Listed]) -> String {
    let names = listed.iter().map(Listed::name);
    crate::model::setting::nearest(timestamp.as_str(), names)
        .unwrap_or_else(|| "no backup has a name like it".to_owned())
}

fn candidates(listed: &[Listed], target: &str, desk: &Desk) -> String {
    let good = known_good(listed, Some(target));
    let mut table = Table::new(["backup", "age", "size", "description"]).right(2);
    for backup in good.iter().take(5) {
        let age = (desk.clock.now() - backup.manifest.begun).to_std().unwrap_or_default();
        table = table.row([
            backup.timestamp().to_string(),
            crate::model::text::duration(age),
            crate::model::text::bytes(backup.manifest.bytes()),
            backup.manifest.description.clone().unwrap_or_default(),
        ]);
    }
    format!(
        "Known-good backups, the newest first; the first is chosen:\n{}",
        table.render(width_of_stdout())
    )
}

/// A store's error with the exit code that says what is wrong with the backup.
#[must_use]
pub(super) fn store_refusal(error: &StoreError, program: &str) -> Refusal {
    let exit = match error {
        StoreError::Newer { .. } => ExitCode::NEWER,
        StoreError::Disk(_) | StoreError::Unsafe(_) => ExitCode::REFUSED,
        _ => ExitCode::NO_BACKUP,
    };
    Refusal::of_error(exit, error).next("to see the backups", format!("{program} list"))
}
