//! What people have done beside the runs, one line each: backups that were deleted, marked, pruned, copied and fetched, and
//! freezes. A deed is on disk before it is done.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::outcome::Refusal;
use crate::project::Project;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_system::disk::{self, At, DiskError};

/// The file in the state directory.
const FILE: &str = "audit.jsonl";

/// Something that is about to be done.
pub struct Deed {
    /// The command's name.
    pub did: &'static str,
    /// What it does, and to what.
    pub what: String,
    /// Why, where somebody said.
    pub why: Option<String>,
    /// Whether it was forced.
    pub forced: bool,
}

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: DateTime<Utc>,
    /// The user.
    pub user: String,
    /// Their host.
    pub host: String,
    /// The environment that was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The command's name.
    pub did: String,
    /// What it did, and to what.
    pub what: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Whether it was forced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
}

fn path(state: &Path) -> PathBuf {
    state.join(FILE)
}

/// Writes a deed down, before it is done.
///
/// # Errors
/// It cannot be written. A full disk is no reason to refuse: what makes room on it is one of the deeds.
pub fn record(deed: Deed, project: &Project) -> Result<(), Refusal> {
    let entry = Entry {
        at: project.cx.clock.now(),
        user: project.actor.user.clone(),
        host: project.actor.host.clone(),
        environment: project.settings.environment_name.clone(),
        did: deed.did.to_owned(),
        what: project.cx.redaction.clean(&deed.what),
        why: deed.why.map(|why| project.cx.redaction.clean(&why)),
        forced: deed.forced,
    };
    match append(&path(&project.state), &entry) {
        Ok(()) => Ok(()),
        Err(error) if error.is_full() => {
            project.cx.note(
                Level::Warn,
                format!(
                    "the disk is full, so this stands in no record: {} {}",
                    entry.did, entry.what
                ),
            );
            Ok(())
        }
        Err(error) => Err(Refusal::of_error(ExitCode::REFUSED, &error)
            .because("what changes backups or freezes is written down first, and that failed")),
    }
}

/// Writes down that a deed did not succeed; that is told to the person as well, so it is not lost where this fails.
pub fn record_failure(did: &'static str, what: String, project: &Project) {
    let deed = Deed {
        did,
        what,
        why: None,
        forced: false,
    };
    if let Err(refusal) = record(deed, project) {
        project.cx.note(Level::Warn, refusal.account.failed);
    }
}

fn append(path: &Path, entry: &Entry) -> Result<(), DiskError> {
    let mut text = serde_json::to_string(entry).unwrap_or_default();
    text.push('\n');
    let mut file = disk::open_append(path)?;
    // A line that a kill cut off stays as it is, and this one begins behind it.
    let is_torn = match std::fs::File::open(path).and_then(|mut file| {
        let length = file.seek(SeekFrom::End(0))?;
        if length == 0 {
            return Ok(false);
        }
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        Ok(last != *b"\n")
    }) {
        Ok(is_torn) => is_torn,
        Err(error) => return Err(error).at("read", path),
    };
    if is_torn {
        text.insert(0, '\n');
    }
    file.write_all(text.as_bytes()).at("write", path)?;
    file.sync_data().at("sync", path)
}

/// All deeds, the oldest first; a line that was cut off is passed over.
///
/// # Errors
/// The file cannot be read.
pub fn all(state: &Path) -> Result<Vec<Entry>, DiskError> {
    let bytes = disk::read_optional(&path(state))?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}
