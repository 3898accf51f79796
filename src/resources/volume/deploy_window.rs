//! Which entries that a copy does not know stay where they are when it goes back: those that nobody but users can have written.
//!
//! What the release itself wrote is told by when it was made: the times at which the deploy command began and ended are noted
//! in the run's directory, and a file that was made between the two is the release's own. So are rows told.

use std::path::{Path, PathBuf};

use super::access::Access;
use super::source::Volume;
use crate::abilities::Mark;
use crate::error::{ResourceError, Result};
use crate::trees::details::Details;
use crate::trees::keep::{Keep, Window};
use guard_model::name::ResourceName;
use guard_system::context::Context;
use guard_system::disk;

/// The directory of a run's notes.
const DIRECTORY: &str = "deploy-window";
/// In nanoseconds: a file system's clock may lag so far behind the host's.
const LAG: i64 = 20_000_000;
/// In nanoseconds: so finely a clock is read that is not this host's.
const COARSE: i64 = 1_000_000_000;

fn place(run: &Path, name: &ResourceName) -> PathBuf {
    run.join(DIRECTORY).join(format!("{name}.json"))
}

fn read(path: &Path) -> Result<Option<Window>> {
    let Some(bytes) = disk::read_optional(path)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        let what = format!("{} does not tell when the deploy command ran", path.display());
        ResourceError::because(what, error)
    })
}

impl Volume {
    /// Notes in the run's directory what time it is where the files are. The beginning is noted once, however often a run is
    /// taken up again.
    pub(crate) fn note(&self, mark: Mark, cx: &Context) -> Result<()> {
        if !self.carry_over.is_wanted() {
            return Ok(());
        }
        let path = place(&cx.scratch, &self.name);
        let known = read(&path)?;
        if mark == Mark::DeployBegins && known.is_some() {
            return Ok(());
        }
        // Of a container's clock only seconds are told: what may be the release's is taken for it.
        let (now, slack) = match Access::of(&self.find(cx)?, cx)? {
            Access::Here(_) => (cx.clock.now().timestamp_nanos_opt().unwrap_or_default(), 0),
            access @ Access::There(_) => (access.look()?.now.saturating_mul(COARSE), COARSE),
        };
        let window = match (mark, known) {
            (Mark::DeployBegins, _) => Window {
                from: now - LAG,
                to: None,
            },
            (Mark::DeployEnded, Some(known)) => Window {
                to: Some(now + slack),
                ..known
            },
            // Without its beginning an end says nothing.
            (Mark::DeployEnded, None) => return Ok(()),
        };
        let bytes = serde_json::to_vec(&window)
            .map_err(|error| ResourceError::because("could not note when the deploy command runs", error))?;
        disk::create_private_dir(&cx.scratch.join(DIRECTORY))?;
        Ok(disk::write_whole(&path, &bytes)?)
    }

    /// What stays when a copy goes back: the deploy commands of all runs count that are still on disk.
    pub(crate) fn keep(&self, details: &Details, cx: &Context) -> Result<Keep> {
        if !self.carry_over.is_wanted() {
            return Ok(Keep::default());
        }
        let begun = details.packed.begun.saturating_mul(1_000_000_000);
        let mut windows = Vec::new();
        for run in cx.runs.iter().map(|runs| disk::list(runs)) {
            for run in run? {
                windows.extend(read(&place(&run, &self.name))?);
            }
        }
        // One that was over when the copy was made has left nothing that the copy does not know; one that nobody saw end is
        // over at the latest when the next copy is made.
        windows.retain(|window| window.to.unwrap_or(window.from) >= begun);
        Ok(Keep {
            new_files: true,
            windows,
        })
    }
}
