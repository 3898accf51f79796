//! What copies are encrypted for and read with: the recipients of the settings, a run's own identity until it is closed, and
//! the identity that a person names.

use std::path::Path;
use std::sync::Arc;

use crate::outcome::Refusal;
use crate::project::Project;
use guard_journal::{Run, State};
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::fact::Ending;
use guard_model::name::RunKind;
use guard_resources::{OPENED, Slot};
use guard_store::Backup;
use guard_system::cipher::{Cipher, new_identity};
use guard_system::context::Context;
use guard_system::disk::{self, DiskError};

/// In the directory of a run: its own identity, for as long as the run is open. With it the run finds its way back though
/// nobody is there who has the recipients' identity.
const IDENTITY: &str = "identity";

/// Who is written for and what is read with; `run`: the directory of a run that may write.
///
/// # Errors
/// The identity of a run cannot be made or read.
pub fn cipher(project: &Project, run: Option<&Path>) -> Result<Arc<Cipher>, Refusal> {
    let refused = |error: &DiskError| Refusal::of_error(ExitCode::REFUSED, error);
    let set = &project.settings.encryption;
    let mut cipher = Cipher::default();
    if let Err(why) = recipients(project, &mut cipher) {
        cipher.hinder(why);
    }
    if let Some(directory) = run.filter(|_| set.is_on()) {
        let path = directory.join(IDENTITY);
        if !disk::exists(&path).map_err(|error| refused(&error))? {
            disk::write_whole(&path, new_identity().0.as_bytes()).map_err(|error| refused(&error))?;
        }
        let text = read(&path, &project.cx).map_err(|why| Refusal::new(ExitCode::REFUSED, why))?;
        let unfit = |why| Refusal::new(ExitCode::REFUSED, format!("{}: {why}", path.display()));
        cipher.add_own(&text).map_err(unfit)?;
    }
    for other in project.runs.list().map_err(|error| refused(&error))? {
        let path = other.directory.join(IDENTITY);
        if Some(other.directory.as_path()) == run || !disk::exists(&path).unwrap_or(false) {
            continue;
        }
        // One that is damaged opens nothing; that is told where something has to be opened.
        if let Ok(text) = read(&path, &project.cx) {
            let _opens_nothing = cipher.add_identities(&text);
        }
    }
    if let Err(why) = named(project, &mut cipher) {
        project.cx.note(Level::Warn, why);
    }
    Ok(Arc::new(cipher))
}

fn read(path: &Path, cx: &Context) -> Result<String, String> {
    let text = disk::read_text_optional(path).map_err(|error| guard_model::text::chain(&error))?;
    let text = text.ok_or_else(|| format!("{} is not there", path.display()))?;
    for line in text.lines().filter(|line| line.starts_with("AGE-SECRET-KEY-")) {
        cx.redaction.learn(line.trim());
    }
    Ok(text)
}

/// The recipients of the settings.
fn recipients(project: &Project, cipher: &mut Cipher) -> Result<(), String> {
    let set = &project.settings.encryption;
    for text in &set.recipients {
        cipher.add_recipient(text)?;
    }
    let Some(path) = &set.recipients_file else {
        return Ok(());
    };
    let shown = path.display();
    let text = disk::read_text_optional(path).map_err(|error| guard_model::text::chain(&error))?;
    let text = text.ok_or_else(|| format!("`encryption.recipients_file` {shown} is not there"))?;
    match cipher.add_recipients(&text).map_err(|why| format!("{shown}: {why}"))? {
        0 => Err(format!("{shown} names no recipient")),
        _ => Ok(()),
    }
}

/// The identity that the settings or `GUARD_IDENTITY` name.
fn named(project: &Project, cipher: &mut Cipher) -> Result<(), String> {
    let Some(path) = &project.settings.encryption.identity else {
        return Ok(());
    };
    let text = read(path, &project.cx).map_err(|why| format!("the identity that was named cannot be read: {why}"))?;
    cipher
        .add_identities(&text)
        .map(drop)
        .map_err(|why| format!("{}: {why}", path.display()))
}

/// What `guard check` says of the keys: a fact, and what is in the way.
#[must_use]
pub fn look(project: &Project) -> Option<(String, Result<(), String>)> {
    let set = &project.settings.encryption;
    if !set.is_on() && set.identity.is_none() {
        return None;
    }
    let mut cipher = Cipher::default();
    let mut found = recipients(project, &mut cipher);
    let count = guard_model::text::plural(cipher.recipients().len() as u64, "recipient");
    let mut fact = format!("backups are encrypted for {count}");
    if !set.is_on() {
        "backups are not encrypted, only read".clone_into(&mut fact);
    }
    if found.is_ok() && set.identity.is_some() {
        found = named(project, &mut cipher);
        if found.is_ok() && set.is_on() && !cipher.fits() {
            found =
                Err("the identity belongs to none of the recipients: what is written now could not be read".to_owned());
        }
    } else if set.identity.is_none() {
        fact.push_str("; after its run a backup is read only with GUARD_IDENTITY");
    }
    Some((fact, found))
}

/// The slot of a copy, with all that it can be read with.
///
/// # Errors
/// The identities of the runs cannot be read.
pub fn slot(backup: &Backup, name: &guard_model::name::ResourceName, project: &Project) -> Result<Slot, Refusal> {
    Ok(Slot::new(&backup.directory, name).sealed(cipher(project, None)?))
}

/// Refuses a backup that nothing here can decrypt, before anything is begun.
///
/// # Errors
/// It is encrypted, and its identity is not here.
pub fn refuse_shut(backup: &Backup, project: &Project, program: &str) -> Result<(), Refusal> {
    for artifact in &backup.manifest.artifacts {
        let slot = slot(backup, &artifact.resource, project)?;
        for entry in artifact.files.iter().filter(|entry| entry.is_sealed()) {
            let Err(error) = slot.seek(entry) else { continue };
            let exit = if error.copy_is_bad {
                ExitCode::NO_BACKUP
            } else {
                ExitCode::REFUSED
            };
            let timestamp = backup.timestamp();
            return Err(Refusal::of_error(exit, &error)
                .because(format!(
                    "backup {timestamp} is encrypted for {}",
                    backup.manifest.recipients.join(", ")
                ))
                .next(
                    "with the file of the identity that belongs to one of these",
                    format!("GUARD_IDENTITY=FILE {program} rollback --backup-timestamp={timestamp}"),
                ));
        }
    }
    Ok(())
}

/// Removes the identities of runs that are over, and what was decrypted for them. Whoever calls holds the lock.
pub fn forget(project: &Project) {
    let Ok(runs) = project.runs.list() else { return };
    let newest = runs
        .iter()
        .find(|run| run.id.kind() != RunKind::Backup)
        .map(|run| run.id.clone());
    for run in &runs {
        let is_over = match run.state() {
            // What these left may still be put right, with the backup that they made.
            Ok(State::Closed(Ending::Stuck(_) | Ending::Unready(_) | Ending::Withheld(_) | Ending::Abandoned)) => {
                newest.as_ref() != Some(&run.id)
            }
            Ok(State::Empty | State::Closed(_)) => true,
            _ => false,
        };
        if is_over && let Err(error) = remove(run) {
            project.cx.note(
                Level::Warn,
                format!(
                    "the identity of {} is still there: {}",
                    run.id,
                    guard_model::text::chain(&error)
                ),
            );
        }
    }
}

fn remove(run: &Run) -> Result<(), DiskError> {
    let identity = run.directory.join(IDENTITY);
    if disk::exists(&identity)? {
        disk::remove_file(&identity)?;
    }
    let opened = run.directory.join(OPENED);
    if disk::exists(&opened)? {
        disk::remove_tree(&opened, &run.directory.join(".trash"))?;
    }
    Ok(())
}
