//! A plan: what a run will do, way back included, written down before the first act.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::name::{ResourceName, RunKind, Timestamp};
use super::policy::Policy;

/// Everything that a run may do. It is the first record of the journal, so a run is finished as it was promised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Which journey this is.
    pub kind: RunKind,
    /// The backup that the run makes, or goes back to.
    pub backup: Timestamp,
    /// The stages towards the new state, in order. Empty for a rollback.
    pub ahead: Vec<Stage>,
    /// The stages towards the old state, in order.
    pub back: Vec<Stage>,
    /// What was decided about failures before anything failed.
    pub policy: Policy,
    /// The user's deploy command; empty where there is none.
    pub command: Vec<String>,
}

impl Plan {
    /// All steps, those ahead first.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.ahead.iter().chain(&self.back).flat_map(|stage| &stage.steps)
    }

    /// The resources that the way back changes, in its order.
    pub fn swapped(&self) -> impl Iterator<Item = &ResourceName> {
        let steps = self.back.iter().flat_map(|stage| &stage.steps);
        steps.filter_map(|step| match &step.action {
            Action::Restore(name) | Action::Undo(name) => Some(name),
            _ => None,
        })
    }

    /// The step with this id.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps().find(|step| &step.id == id)
    }
}

/// Steps that may run side by side. A stage begins when the one before it has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// What the stage is for.
    pub name: StageName,
    /// Its steps, at least one.
    pub steps: Vec<Step>,
}

/// The stages in the order in which a run may pass them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageName {
    /// Ahead: how well production is before anything happens.
    Baseline,
    /// Ahead: the databases are copied first, since objects without rows are harmless and rows without objects are not.
    Databases,
    /// Ahead: volumes and directories are copied.
    Volumes,
    /// Ahead: the commit, the files, the project, the images.
    Surroundings,
    /// Ahead: the copies become a backup.
    Seal,
    /// Ahead: the user's own command.
    Deploy,
    /// Ahead: the new release has to answer.
    Gate,
    /// Ahead: the user's own checks.
    Verify,
    /// Ahead: the window in which the release must stay well.
    Watch,
    /// Back: logs and states are kept before anything is put back.
    Evidence,
    /// Back: the evidence is kept and everything is staged beside what is live; nothing is down yet.
    Prepare,
    /// Back: what writes to the data is stopped.
    Quiesce,
    /// Back: what was as it was while the failed release still ran is compared again, now that it does not.
    Recheck,
    /// Back: databases and volumes.
    Data,
    /// Back: the commit, the files, the project.
    Code,
    /// Back: the images.
    Images,
    /// Back: everything runs again.
    Start,
    /// Back: what was promised is compared with what is.
    Prove,
    /// Back: what going back cost is told from what was put aside, where it was left for then.
    Price,
}

impl StageName {
    /// The stage in words, as in "Step 3: databases and volumes".
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Baseline => "look at production as it is",
            Self::Databases => "back up databases",
            Self::Volumes => "back up volumes",
            Self::Surroundings => "back up code, configuration and images",
            Self::Seal => "seal the backup",
            Self::Deploy => "deploy",
            Self::Gate => "wait for the new release",
            Self::Verify => "verify",
            Self::Watch => "watch",
            Self::Evidence => "keep the evidence",
            Self::Prepare => "keep the evidence, and prepare beside what is live",
            Self::Quiesce => "stop services",
            Self::Recheck => "look at the data again",
            Self::Data => "put databases and volumes back",
            Self::Code => "put code and configuration back",
            Self::Images => "put images back",
            Self::Start => "start services",
            Self::Prove => "prove",
            Self::Price => "tell what it cost",
        }
    }
}

/// One act, on one resource where it is about one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Unique in its plan.
    pub id: StepId,
    /// What is done.
    pub action: Action,
}

impl Step {
    /// The step that does this; its id follows from the action.
    #[must_use]
    pub fn of(action: Action) -> Self {
        let (verb, resource) = match &action {
            Action::Capture(name) => ("capture", Some(name)),
            Action::Prepare(name) => ("prepare", Some(name)),
            Action::Recheck(name) => ("recheck", Some(name)),
            Action::Restore(name) => ("restore", Some(name)),
            Action::Undo(name) => ("undo", Some(name)),
            Action::Price(name) => ("price", Some(name)),
            Action::Baseline => ("baseline", None),
            Action::Seal => ("seal", None),
            Action::Deploy => ("deploy", None),
            Action::Gate => ("gate", None),
            Action::Verify => ("verify", None),
            Action::Watch => ("watch", None),
            Action::Evidence => ("evidence", None),
            Action::Quiesce => ("quiesce", None),
            Action::Start => ("start", None),
            Action::Prove => ("prove", None),
        };
        let id = resource.map_or_else(|| verb.to_owned(), |name| format!("{verb}/{name}"));
        Self { id: StepId(id), action }
    }
}

/// `capture/db`, `deploy`, `restore/objects`: how a step is called in the journal and in messages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(String);

impl StepId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Ask the probes how production is before anything happens.
    Baseline,
    /// Copy a resource into the backup, and prove the copy.
    Capture(ResourceName),
    /// Write the manifest: from then on the copies are a backup.
    Seal,
    /// Run the user's command.
    Deploy,
    /// Wait until the new release answers, or the time for that is over.
    Gate,
    /// Run the user's checks.
    Verify,
    /// Watch the release.
    Watch,
    /// Keep what explains the failure.
    Evidence,
    /// Stage a resource's copy beside the live one.
    Prepare(ResourceName),
    /// Stop what writes.
    Quiesce,
    /// Compare a resource again that needed nothing while the failed release still ran, and stage its copy if it does now.
    Recheck(ResourceName),
    /// Swap a prepared copy in.
    Restore(ResourceName),
    /// Swap back what a rollback displaced.
    Undo(ResourceName),
    /// Start what should run.
    Start,
    /// Compare what is with what was promised.
    Prove,
    /// Tell what going back cost, from what was put aside.
    Price(ResourceName),
}

/// Whether a step that was cut off may be done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// Doing it twice ends where doing it once ends.
    Safe,
    /// It belongs to the user, and nobody knows what a second time would do.
    Never,
}

impl Action {
    /// Whether the action may be repeated after it was cut off. Only the user's command may not.
    #[must_use]
    pub fn replay(&self) -> Replay {
        if matches!(self, Self::Deploy) {
            Replay::Never
        } else {
            Replay::Safe
        }
    }

    /// The resource it is about.
    #[must_use]
    pub fn resource(&self) -> Option<&ResourceName> {
        match self {
            Self::Capture(name)
            | Self::Prepare(name)
            | Self::Recheck(name)
            | Self::Restore(name)
            | Self::Undo(name)
            | Self::Price(name) => Some(name),
            _ => None,
        }
    }
}
