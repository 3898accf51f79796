//! `guard verify`: every byte of a backup against its manifest, and what each kind can prove besides.

use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::text;
use guard_run::choosing::{choose, store_refusal};
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Project;
use guard_run::request::Verify;
use guard_run::service_choice::Belonging;
use guard_run::session::Session;
use guard_run::{encryption, locks};
use guard_store::{Backup, Listed, Sample};

/// Verifies a backup, or all of them.
///
/// # Errors
/// It is not there, or a part of one is damaged; of all of them, each that is damaged is told.
pub(super) fn verify(asked: &Verify, project: &Project, session: &Session) -> Outcome {
    let _lock = asked
        .restore
        .then(|| locks::begin(project, "guard verify --restore"))
        .transpose()?;
    if let Some(sample) = asked.sample {
        return verify_some(sample, asked, project, session);
    }
    if !asked.all {
        let backup = choose(asked.timestamp.as_deref(), project, &session.style.program)?;
        let backup = of_services(backup, &asked.service, project, &session.style.program)?;
        return verify_one(&backup, asked, project, &session.style.program);
    }
    let program = &session.style.program;
    let listed = project.store.list().map_err(|error| store_refusal(&error, program))?;
    let (mut count, mut bad) = (0, Vec::new());
    for entry in listed {
        match entry {
            Listed::Backup(backup) => {
                // An older one may hold nothing of them.
                let Ok(backup) = of_services(backup, &asked.service, project, program) else {
                    continue;
                };
                count += 1;
                if let Err(refusal) = verify_one(&backup, asked, project, &session.style.program) {
                    project.cx.note(Level::Error, refusal.account.failed);
                    bad.push(backup.timestamp().to_string());
                }
            }
            Listed::Unreadable { name, reason } => {
                project.cx.note(Level::Error, format!("{name}: {reason}"));
                bad.push(name);
            }
            Listed::Foreign(_) | Listed::Incomplete { .. } => {}
        }
    }
    if bad.is_empty() {
        project.cx.note(
            Level::Info,
            format!("all of them are whole: {}", text::plural(count, "backup")),
        );
        return Ok(ExitCode::DONE);
    }
    let what = format!("not whole, or not to be believed: {}", bad.join(", "));
    Err(Refusal::new(ExitCode::NO_BACKUP, what).next("to see the backups", format!("{program} list")))
}

/// A backup as far as it is about some services: the others' copies are not read.
fn of_services(mut backup: Backup, services: &[String], project: &Project, program: &str) -> Result<Backup, Refusal> {
    if services.is_empty() {
        return Ok(backup);
    }
    let resources = project.resources()?;
    let all: Vec<Belonging> = services
        .iter()
        .map(|one| Belonging::of(one, &resources, project))
        .collect();
    let names: Vec<_> = resources
        .iter()
        .filter(|owned| all.iter().any(|one| one.concerns(owned)))
        .map(|owned| owned.resource.name())
        .collect();
    backup
        .manifest
        .artifacts
        .retain(|artifact| names.contains(&&artifact.resource));
    if backup.manifest.artifacts.is_empty() {
        let what = format!("backup {} holds nothing of {}", backup.timestamp(), services.join(", "));
        let refusal = Refusal::new(ExitCode::USAGE, what);
        return Err(refusal.next("to see what it holds", format!("{program} show {}", backup.timestamp())));
    }
    Ok(backup)
}

/// Looks at all files, and reads a sample of them.
fn verify_some(sample: Sample, asked: &Verify, project: &Project, session: &Session) -> Outcome {
    let program = &session.style.program;
    let mut backups = Vec::new();
    if asked.all {
        for entry in project.store.list().map_err(|error| store_refusal(&error, program))? {
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
        backups.push(choose(asked.timestamp.as_deref(), project, &session.style.program)?);
    }
    let sampled = project
        .store
        .verify_sample(&backups, sample, &project.cx)
        .map_err(|error| store_refusal(&error, program))?;
    project.cx.note(
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

fn verify_one(backup: &Backup, asked: &Verify, project: &Project, program: &str) -> Outcome {
    let verified = project
        .store
        .verify(backup, &project.cx)
        .map_err(|error| store_refusal(&error, program))?;
    for owned in project.resources()? {
        let name = owned.resource.name();
        let Some(artifact) = backup.manifest.artifact(name) else {
            continue;
        };
        if artifact.kind != owned.kind.key {
            continue;
        }
        let slot = encryption::slot(backup, name, project)?;
        let shut = artifact.files.iter().find_map(|entry| slot.seek(entry).err());
        if let Some(error) = shut.filter(|error| !error.copy_is_bad && !asked.restore) {
            let note = format!(
                "{name}: as its manifest says, and not decrypted: {}",
                guard_model::text::chain(&error)
            );
            project.cx.note(Level::Warn, note);
            continue;
        }
        let scratch =
            tempfile::tempdir_in(&project.state).map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))?;
        let mut cx = project.cx.clone();
        scratch.path().clone_into(&mut cx.scratch);
        let proven = if asked.restore {
            let (resource, there) = owned.resource.at(&cx);
            resource.rehearse(artifact, &slot, &there)
        } else {
            let (resource, there) = owned.resource.at(&project.cx);
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
        project
            .cx
            .note(Level::Info, format!("{name}: sound ({})", artifact.summary));
    }
    let (files, bytes) = (text::plural(verified.files, "file"), text::bytes(verified.bytes));
    project.cx.note(
        Level::Info,
        if asked.service.is_empty() {
            format!(
                "backup {} is whole: {files}, {bytes}, as its manifest says",
                backup.timestamp()
            )
        } else {
            format!(
                "what backup {} holds of {} is whole: {files}, {bytes}, as its manifest says",
                backup.timestamp(),
                asked.service.join(", ")
            )
        },
    );
    Ok(ExitCode::DONE)
}
