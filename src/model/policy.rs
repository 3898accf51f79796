//! What a run was told to do about failures, before anything failed; part of the plan.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Decisions taken before the run, so that nobody has to take them while production is down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// What happens when the release is bad.
    pub on_failure: OnFailure,
    /// What happens when guard was cut off inside the deploy command, so that its outcome is unknown.
    pub on_unknown: OnFailure,
    /// What happens when a person or the CI system interrupts after the deploy command has begun.
    pub on_interrupt: OnFailure,
    /// Whether databases and volumes are put back.
    pub data_restore: DataRestore,
    /// What happens when the watch ends with too little evidence.
    pub on_inconclusive: OnInconclusive,
    /// What happens when the release is bad, and somebody else has deployed since it came up.
    #[serde(default = "held")]
    pub on_drift: OnFailure,
    /// How long the deploy command may take; `None` is for ever, and has to be asked for.
    pub deploy_timeout: Option<Duration>,
    /// How long the whole way back may take until nothing more is begun but the start of what ran; `None`: as long as it
    /// takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_timeout: Option<Duration>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            on_failure: OnFailure::Rollback,
            on_unknown: OnFailure::Rollback,
            on_interrupt: OnFailure::Rollback,
            data_restore: DataRestore::Auto,
            on_inconclusive: OnInconclusive::Leave,
            on_drift: held(),
            deploy_timeout: Some(Duration::from_mins(30)),
            rollback_timeout: None,
        }
    }
}

/// Two who undo each other's work are worse than one failed release.
fn held() -> OnFailure {
    OnFailure::Hold
}

/// Walk back, or leave the failed state for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// Walk back.
    Rollback,
    /// Leave everything as it is.
    Hold,
}

/// What to do with a window that ended without enough readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnInconclusive {
    /// The release stays, and the exit code says that it is unproven.
    Leave,
    /// Walk back.
    Rollback,
}

/// Whether a rollback puts data back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataRestore {
    /// Databases whose schema, and volumes whose content, have changed are put back; a database in which only rows were
    /// written is left alone, since going back would lose them and the old code can live with them.
    Auto,
    /// Everything whose content has changed is put back.
    Always,
    /// Data is left as it is; where the schema has changed, the rollback is withheld instead.
    Never,
    /// As `auto`, but a database to which rows were written since the backup is not put back: the rollback is withheld.
    IfNoWrites,
}
