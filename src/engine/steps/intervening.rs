//! A person's decision while a release is watched: left in the run's directory, and taken up by whoever watches then.

use std::path::Path;

use guard_model::fact::{Failure, StepOutput};
use guard_model::health::Tally;
use guard_model::intervention::{Choice, Intervention};
use guard_system::disk::{self, DiskError};

/// The decision, in the run's directory: a guard that is killed right behind it leaves it to its watcher.
pub const INTERVENTION: &str = "intervention.json";

/// Leaves a decision for the watch of this run.
///
/// # Errors
/// It cannot be written.
pub fn leave(intervention: &Intervention, directory: &Path) -> Result<(), DiskError> {
    let text = serde_json::to_string(intervention).unwrap_or_default();
    disk::write_whole(&directory.join(INTERVENTION), text.as_bytes())
}

/// The decision that was left for this run, where there is one.
///
/// # Errors
/// There is one that cannot be read, or there may be; why.
pub fn left(directory: &Path) -> Result<Option<Intervention>, String> {
    let bytes = disk::read_optional(&directory.join(INTERVENTION)).map_err(|error| error.to_string())?;
    let read = bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose();
    read.map_err(|error| format!("{INTERVENTION}: {error}"))
}

/// What a decision makes of the step that it ends.
///
/// # Errors
/// Going back was decided: the step has failed, though the release may not have.
pub(super) fn outcome(intervention: Intervention, tally: Tally) -> Result<StepOutput, Failure> {
    let inconclusive = match intervention.choice {
        Choice::Rollback => {
            return Err(Failure {
                person: Some(Box::new(intervention.clone())),
                ..Failure::new(intervention.sentence())
            });
        }
        // Nothing that fails at this moment is called verified, whoever says so.
        Choice::Accept if tally.consecutive > 0 => Some("a probe failed when the release was accepted".to_owned()),
        Choice::Accept => None,
        Choice::Hold => Some(intervention.sentence()),
    };
    Ok(StepOutput::Watched {
        tally,
        inconclusive,
        person: Some(Box::new(intervention)),
    })
}
