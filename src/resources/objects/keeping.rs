//! Which objects that a copy does not know stay where they are when it goes back: those that did not come while a deploy command
//! ran.
//!
//! A storage's clock is not this host's, so what was there is listed when the command begins and when it has ended; what came
//! between the two is the release's own. So are rows told.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::bucket::Objects;
use crate::abilities::Mark;
use crate::error::{ResourceError, Result};
use guard_model::name::ResourceName;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::s3::Object;

/// The directory of a run's notes.
const DIRECTORY: &str = "deploy-window";

/// What a deploy command found, or what came while it ran: keys below the prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Note {
    /// These were there when it began; nobody saw it end.
    Begun(BTreeSet<String>),
    /// These came while it ran.
    Came(BTreeSet<String>),
}

/// Which objects that a copy does not know stay.
#[derive(Debug, Default)]
pub(super) struct Keep {
    new_files: bool,
    notes: Vec<Note>,
}

impl Keep {
    /// Whether an object of this key stays.
    pub(super) fn takes(&self, key: &str) -> bool {
        let is_own = |note: &Note| match note {
            Note::Begun(before) => !before.contains(key),
            Note::Came(came) => came.contains(key),
        };
        self.new_files && !self.notes.iter().any(is_own)
    }

    /// Whether any object may stay.
    pub(super) fn is_wanted(&self) -> bool {
        self.new_files
    }
}

fn place(run: &Path, name: &ResourceName) -> PathBuf {
    run.join(DIRECTORY).join(format!("{name}.json"))
}

fn read(path: &Path) -> Result<Option<Note>> {
    let Some(bytes) = disk::read_optional(path)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        let what = format!(
            "{} does not tell what came while the deploy command ran",
            path.display()
        );
        ResourceError::because(what, error)
    })
}

impl Objects {
    /// Notes in the run's directory what is there. The beginning is noted once, however often a run is taken up again.
    pub(super) fn note(&self, mark: Mark, cx: &Context) -> Result<()> {
        if !self.carry_over.is_wanted() {
            return Ok(());
        }
        let path = place(&cx.scratch, &self.name);
        let note = match (mark, read(&path)?) {
            (Mark::DeployBegins, None) => Note::Begun(self.keys(cx)?),
            (Mark::DeployEnded, Some(Note::Begun(before))) => {
                let now = self.keys(cx)?;
                Note::Came(now.difference(&before).cloned().collect())
            }
            _ => return Ok(()),
        };
        let bytes = serde_json::to_vec(&note)
            .map_err(|error| ResourceError::because("could not note what came while the deploy command ran", error))?;
        disk::create_private_dir(&cx.scratch.join(DIRECTORY))?;
        Ok(disk::write_whole(&path, &bytes)?)
    }

    fn keys(&self, cx: &Context) -> Result<BTreeSet<String>> {
        let live = self.live(&self.bucket(cx)?)?;
        let short = |object: &Object| self.short(&object.key).to_owned();
        Ok(live.iter().map(short).collect())
    }

    /// What stays when a copy goes back: the deploy commands of all runs count that are still on disk.
    pub(super) fn keep(&self, cx: &Context) -> Result<Keep> {
        if !self.carry_over.is_wanted() {
            return Ok(Keep::default());
        }
        let mut notes = Vec::new();
        for run in cx.runs.iter().map(|runs| disk::list(runs)) {
            for run in run? {
                notes.extend(read(&place(&run, &self.name))?);
            }
        }
        Ok(Keep { new_files: true, notes })
    }
}

#[cfg(test)]
mod tests {
    use super::{Keep, Note};

    #[test]
    fn what_came_while_the_command_ran_is_the_releases_own() {
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        let keep = |notes| Keep { new_files: true, notes };
        let ended = keep(vec![Note::Came(keys(&["app.js"]))]);
        assert!(ended.takes("upload.jpg") && !ended.takes("app.js"));
        let unended = keep(vec![Note::Begun(keys(&["early.jpg"]))]);
        assert!(unended.takes("early.jpg") && !unended.takes("late.jpg"));
        assert!(!Keep::default().takes("upload.jpg"));
    }
}
