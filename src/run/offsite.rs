//! Backups on other machines: after a run, its backup is copied; what fails there is told, and changes nothing about the run.

use std::time::Duration;

use crate::project::Project;
use crate::request::Fetch;
use guard_model::event::Level;
use guard_model::name::Timestamp;
use guard_model::secret::Secret;
use guard_model::text;
use guard_store::{About, Address, Backup, Copied, Credentials, Patience, Remote};
use guard_system::call::Call;
use guard_system::{disk, privilege};

/// In a backup's run directory there is nothing to write any more, so what was copied by commands is noted here.
pub const COPIED: &str = "copied";

/// How long the copy after a run may take where nobody says: a run is not kept from its end by a slow storage. A guess
/// (docs/decisions/0054-the-s3-client-measured-again.md).
const LIMIT: Duration = Duration::from_mins(10);

/// The storage that the settings or the flags name; `None`: none.
///
/// # Errors
/// A sentence: the address or the credentials cannot be used.
pub fn remote(from: &Fetch, patience: Patience, project: &Project) -> Result<Option<Remote>, String> {
    let set = &project.settings.copy;
    let Some(url) = from.from.as_ref().or(set.url.as_ref()) else {
        return Ok(None);
    };
    let endpoint = from.endpoint.as_ref().or(set.endpoint.as_ref());
    let region = from.region.as_ref().or(set.region.as_ref());
    let address = Address::of(url, endpoint.map(String::as_str), region.map(String::as_str));
    let address = address.map_err(|why| format!("`copy.url` {url:?} cannot be used: {why}"))?;
    let variable = |name: &str| project.cx.environment.text(name).filter(|text| !text.is_empty());
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
        project.cx.redaction.learn(secret.expose());
    }
    let about = About {
        key: project.store.installation(),
        project: project.target(),
        host: privilege::host_name(),
    };
    let opened = Remote::open(&address, about, who, patience, project.runtime.clone(), &project.cx);
    opened.map(Some).map_err(|error| error.to_string())
}

/// Copies one backup to every place; what was new in the storage.
///
/// # Errors
/// A sentence: what a place answered, or a command did.
pub fn copy_one(
    backup: &Backup,
    remote: Option<&Remote>,
    patience: Patience,
    project: &Project,
) -> Result<Copied, String> {
    let begun = project.cx.clock.steady();
    let mut copied = Copied::default();
    if let Some(remote) = remote {
        copied = project
            .store
            .copy_to(remote, backup)
            .map_err(|error| error.to_string())?;
    }
    for words in &project.settings.copy.commands {
        let Some(call) = Call::of_words(words) else { continue };
        let call = match patience.whole {
            Some(whole) => {
                let left = whole.saturating_sub(project.cx.clock.steady().saturating_sub(begun));
                call.timeout(left.max(Duration::from_secs(1)))
            }
            None => call,
        };
        let call = call
            .directory(&project.settings.directory)
            .env("GUARD_BACKUP_DIR", &backup.directory)
            .env("GUARD_BACKUP_TIMESTAMP", backup.timestamp().as_str());
        let output = project.cx.output(&call);
        output.map_err(|error| project.cx.redaction.clean(&format!("`{}`: {error}", words.join(" "))))?;
    }
    let mark = project.state.join(COPIED).join(backup.timestamp().as_str());
    let noted = disk::create_private_dir(&project.state.join(COPIED)).and_then(|()| disk::write_whole(&mark, b""));
    noted.map_err(|error| error.to_string())?;
    Ok(copied)
}

/// Copies the backup of a run that is over.
pub fn after(timestamp: &Timestamp, project: &Project) {
    let set = &project.settings.copy;
    if set.url.is_none() && set.commands.is_empty() {
        return;
    }
    let patience = Patience::after_run(set.limit.unwrap_or(LIMIT));
    let Ok(backup) = project.store.get(timestamp) else {
        return;
    };
    let copied = remote(&Fetch::default(), patience, project)
        .and_then(|remote| copy_one(&backup, remote.as_ref(), patience, project));
    match copied {
        Ok(copied) => project.cx.note(
            Level::Info,
            format!("backup {timestamp} is copied elsewhere: {}", sent(copied)),
        ),
        Err(why) => {
            project.cx.note(
                Level::Warn,
                format!("backup {timestamp} is only on this host, copying it failed: {why}"),
            );
            project
                .cx
                .note(Level::Warn, format!("to copy it: guard copy {timestamp}"));
        }
    }
}

/// What was sent, in words.
#[must_use]
pub fn sent(copied: Copied) -> String {
    match copied.files {
        0 => "nothing had to be sent".to_owned(),
        files => format!("{} sent, {}", text::plural(files, "file"), text::bytes(copied.bytes)),
    }
}
