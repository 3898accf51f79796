//! What has happened in a run: the records of its journal, each a fact that was on disk before it was believed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::artifact::{Artifact, Displaced, Prepared};
use super::health::{Finding, Tally};
use super::intervention::Intervention;
use super::name::{ResourceName, RunId};
use super::now::Now;
use super::plan::{Plan, StepId};
use super::policy::OnFailure;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// 0 for `Opened`, then one more each.
    pub seq: u64,
    /// When it was written.
    pub at: DateTime<Utc>,
    /// What happened.
    pub fact: Fact,
}

/// A thing that has happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// The run began. The plan travels with it.
    Opened {
        /// The run.
        run: RunId,
        /// Everything that it may do.
        plan: Box<Plan>,
        /// Who does it.
        actor: Actor,
        /// Why, in the words of who started it.
        reason: Option<String>,
    },
    /// A step is about to be done: on disk before the act.
    Begun {
        /// The step.
        step: StepId,
    },
    /// A step was done.
    Done {
        /// The step.
        step: StepId,
        /// What it brought.
        yields: Box<StepOutput>,
    },
    /// A step failed.
    Failed {
        /// The step.
        step: StepId,
        /// How.
        failure: Failure,
    },
    /// The run goes back from here; `turned` on disk.
    #[serde(rename = "turned")]
    RollbackBegan {
        /// Why.
        why: RollbackCause,
        /// What was decided to follow; `None` in journals of before it was written down, and where nothing was deployed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        then: Option<OnFailure>,
    },
    /// A closed or cut-off run goes on, under this actor.
    Reopened {
        /// Who does it.
        actor: Actor,
    },
    /// A person has said that these resources are left as they are: `guard resume --skip`.
    LeftOut {
        /// The resources.
        resources: Vec<ResourceName>,
    },
    /// A person has said how long the whole way back may take from here on: `guard resume --rollback-timeout`, or a correction
    /// of the settings.
    Limited {
        /// `None`: as long as it takes.
        rollback_timeout: Option<Duration>,
    },
    /// What was put back does not come up, and these were left alone although they differ: they are put back as well.
    Widened {
        /// The resources.
        resources: Vec<ResourceName>,
    },
    /// How far a copy has come that is made ready beside what is live, while the release is deployed and watched.
    Standby {
        /// The resource.
        resource: ResourceName,
        /// How far.
        state: StandbyState,
    },
    /// The run is over.
    Closed {
        /// How.
        ending: Ending,
        /// What ran and what the probes saw then; `None` in older journals, and where nobody looked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        now: Option<Box<Now>>,
    },
}

/// Who drives a run: information for people and for finding left-over processes, never authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Process id.
    pub pid: u32,
    /// Process group, which the deploy command shares.
    pub group: u32,
    /// The host's name.
    pub host: String,
    /// The kernel's boot id; a pid means nothing in another boot.
    pub boot: String,
    /// The user's name or number.
    pub user: String,
    /// The version of guard.
    pub version: String,
    /// Whether it is the watcher, which goes on for a guard that was killed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub watcher: bool,
}

/// How far a copy has come that stands by: a rollback only has to exchange it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StandbyState {
    /// It is being made; on disk before anything of it is.
    Loading,
    /// It is whole, was compared with the manifest, and lets nobody in.
    Ready {
        /// Where: `database shop__guard_20251022_153000_deploy`.
        kept_as: String,
    },
    /// There is none, and nothing has failed.
    Without {
        /// Why.
        why: String,
    },
    /// It could not be made. A rollback makes it then, as where none stands by.
    Failed {
        /// Why.
        why: String,
    },
}

/// What a step brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepOutput {
    /// It brought nothing but its being done.
    Nothing,
    /// `Baseline`: how production was before anything happened.
    Baseline {
        /// The counts.
        tally: Tally,
        /// Why the baseline is not healthy; empty: it is.
        complaints: Vec<String>,
    },
    /// `Capture`: the copy.
    Captured(Artifact),
    /// `Deploy`: the command ended well.
    Deployed(Deployed),
    /// `Watch`: the release was watched; `inconclusive` says why nothing could be said.
    Watched {
        /// The counts.
        tally: Tally,
        /// Why the window proved nothing; `None`: the release is well.
        inconclusive: Option<String>,
        /// Who ended the watch before its time, where a person did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        person: Option<Box<Intervention>>,
    },
    /// `Prepare`: what is staged, and what it costs.
    Prepared(Prepared),
    /// `Restore`, `Undo`: what was put aside.
    Displaced(Displaced),
    /// `Restore`: what was put aside, where somebody wrote to what was swapped in, so that it was exchanged again: the state
    /// of the failed release first, then what was displaced of the copy itself.
    DisplacedAgain(Vec<Displaced>),
    /// `SwitchTraffic`, `SwitchBack`: visitors are at this side.
    Switched {
        /// The side that they are at.
        to: String,
        /// The other side.
        from: String,
        /// Whether the front had to be switched for it.
        moved: bool,
    },
    /// `Quiesce`, `Settle`: the services that were stopped, in the order in which they were.
    Quiesced(Vec<String>),
    /// `Prove`: what was found, each a sentence.
    Proven(Vec<String>),
    /// `Price`: what going back cost.
    Priced {
        /// The resource.
        resource: ResourceName,
        /// Each a sentence, in the place of those that were told when it was prepared.
        price: Vec<String>,
    },
}

/// What a proof finds where no probe is set: everything but whether production is well.
pub const UNSEEN: &str = "no probe is set, so whether it is well is not known";

/// What became of the deploy command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// The version that the script announced by `expect-version=…`.
    pub expect_version: Option<String>,
    /// What the script announced as `irreversible=…`.
    pub irreversible: Vec<String>,
    /// The last `phase=…` that it announced.
    pub phase: Option<String>,
    /// Whether anything that guard has copied is another than before the command. `None`: not known, as in journals of before
    /// it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<bool>,
}

/// How a step failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What failed and why: the chain of causes, outermost first.
    pub chain: Vec<String>,
    /// What can be done about it.
    pub hint: Option<String>,
    /// For the deploy command and verify commands: its exit code or signal in words, `exit code 3`, `killed by SIGKILL`.
    pub exit: Option<String>,
    /// For the watch: what was found.
    pub finding: Option<Finding>,
    /// For the deploy command: what it announced before it failed.
    pub deployed: Option<Deployed>,
    /// It was stopped by a person or a signal, not by an error of its own.
    pub interrupted: bool,
    /// Trying again cannot help: the copy is bad, or the settings are.
    pub permanent: bool,
    /// It is no failure of the release: a person decided to roll back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Box<Intervention>>,
}

impl Failure {
    /// A failure with one cause.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            chain: vec![what.into()],
            hint: None,
            exit: None,
            finding: None,
            deployed: None,
            interrupted: false,
            permanent: false,
            person: None,
        }
    }

    /// The failure that an error tells, with its whole chain of causes.
    #[must_use]
    pub fn from_error(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut chain = vec![error.to_string()];
        let mut cause = error.source();
        while let Some(error) = cause {
            chain.push(error.to_string());
            cause = error.source();
        }
        chain.dedup();
        Self { chain, ..Self::new("") }
    }

    /// The failure with a further cause behind the others.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<String>) -> Self {
        self.chain.push(cause.into());
        self
    }

    /// The failure with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The chain in one line.
    #[must_use]
    pub fn sentence(&self) -> String {
        self.chain.join(": ")
    }
}

/// Why a run went back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RollbackCause {
    /// Production was not well before anything happened.
    Refused,
    /// A copy could not be made or proven.
    BackupFailed,
    /// The deploy command failed.
    DeployFailed,
    /// guard was cut off inside the deploy command; its outcome is unknown.
    DeployUnknown,
    /// The user's checks failed.
    VerifyFailed,
    /// Visitors could not be led to the release.
    SwitchFailed,
    /// The watch found the release bad.
    WatchFailed,
    /// The watch found too little, and the policy is to go back then.
    Inconclusive,
    /// A person or the CI system interrupted.
    Interrupted,
    /// A person asked for it: `guard rollback`.
    Asked,
    /// A person who looked at the watch decided to go back.
    Decided,
}

/// How a run ended: the state of production.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The backup is complete; production was only read.
    Captured,
    /// New and verified.
    Deployed,
    /// New, and nothing can be said about it.
    Inconclusive,
    /// The deploy command never began; production is untouched.
    Untouched(RollbackCause),
    /// A rollback that was asked for could not be made ready; production is untouched, and the copies are not at fault.
    Unprepared(RollbackCause),
    /// Old and verified.
    RolledBack(RollbackCause),
    /// The deploy command failed and had changed nothing.
    NothingToUndo(RollbackCause),
    /// New and failed; the rollback was withheld.
    Withheld(RollbackCause),
    /// Old, and its probes do not pass.
    RestoredUnhealthy(RollbackCause),
    /// New and failed: the way back could not be made ready, and nothing was put back; it can be tried again.
    Unready(RollbackCause),
    /// Mixed: the rollback stopped half-way, and can be continued.
    Stuck(RollbackCause),
    /// As it was left: a person has ended an unfinished run as things were.
    Abandoned,
}
