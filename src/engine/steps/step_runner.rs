//! The runner: everything that the steps of a run need, and how one finds the resource and the copy that it is about.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;

use super::acting::Errands;
use super::pace::Pacer;
use super::standbys::Standbys;
use crate::history::History;
use guard_model::artifact::Displaced;
use guard_model::fact::Failure;
use guard_model::foreign::Material;
use guard_model::health::Rule;
use guard_model::name::ResourceName;
use guard_probes::Probe;
use guard_resources::{Member, Slot, SwapBarrier};
use guard_services::{Services, Strategy};
use guard_store::Store;
use guard_system::cipher::Cipher;
use guard_system::context::Context;
use guard_watch::UserRule;

/// Everything that the steps of a run need.
pub struct StepRunner {
    /// The surroundings; `run` and `scratch` are the run's.
    pub cx: Context,
    /// The resources by name.
    pub resources: BTreeMap<ResourceName, Arc<Member>>,
    /// Those of them that hold data: they are compared before anything is started that writes to them.
    pub data: BTreeSet<ResourceName>,
    /// For an undo: what the run before displaced.
    pub undoing: Vec<Displaced>,
    /// Resources that are copied from what somebody made by hand, and not from what is live.
    pub adopting: BTreeMap<ResourceName, Material>,
    /// The deploy command as it was given: the plan in the journal has it without its secrets. Empty where it never runs.
    pub command: Vec<String>,
    /// The probes.
    pub probes: Vec<Arc<dyn Probe>>,
    /// How readings are judged.
    pub rule: Rule,
    /// Whether a person has set how long a start may take.
    pub is_gate_set: bool,
    /// The user's own rules.
    pub rules: Vec<UserRule>,
    /// What runs, and the user's commands that stop and start it.
    pub services: Services,
    /// What forward and back mean for it, and for traffic.
    pub strategy: &'static dyn Strategy,
    /// The probes of the sides of a blue-green deployment, by the side's name: they are asked before visitors are led to it.
    pub side_probes: BTreeMap<String, Vec<Arc<dyn Probe>>>,
    /// For an undo: the directory of the run that is undone.
    pub undone: Option<PathBuf>,
    /// The env files whose secrets must appear nowhere, absolute: a release may write new ones into them.
    pub env_files: Vec<PathBuf>,
    /// The backups.
    pub store: Store,
    /// What copies are encrypted for and read with.
    pub cipher: Arc<Cipher>,
    /// What the manifest says beside the copies.
    pub seal: SealInput,
    /// The user's checks, each a list of words.
    pub verify: Vec<Vec<String>>,
    /// How long one of them may take.
    pub verify_timeout: Duration,
    /// The resources that a release has to change.
    pub expect_change: Vec<ResourceName>,
    /// Whether an unhealthy baseline is accepted.
    pub allow_unhealthy_baseline: bool,
    /// Where the probes run.
    pub runtime: Handle,
    /// Who reads them while the backup is taken.
    pub pace: Pacer,
    /// What the user's rules have set going.
    pub errands: Errands,
    /// The copies that are made to stand by, aside.
    pub standbys: Standbys,
    /// Where resources that are swapped together wait for each other.
    pub barrier: SwapBarrier,
    /// What has to stand in the last lines of the run, each a sentence.
    pub told: Mutex<Vec<String>>,
    /// How often somebody had asked to stop when the first step back was begun: what was asked before has been heard.
    pub asked_before: OnceLock<u32>,
}

/// What the manifest says beside the copies.
#[derive(Debug, Clone, Default)]
pub struct SealInput {
    /// What the backup is for.
    pub description: Option<String>,
    /// The system that is deployed to.
    pub target: String,
    /// The environment that was laid over the settings.
    pub environment: Option<String>,
    /// Whether what is live now passed its verification, and no probe is there to ask.
    pub is_vouched: bool,
    /// The settings that were in force, as a file's text; a rollback reads these, not what the failed release left.
    pub settings: String,
}

impl StepRunner {
    pub(super) fn resource(&self, name: &ResourceName) -> Result<&Member, Failure> {
        let missing = || {
            Failure {
                permanent: true,
                ..Failure::new(format!("the settings name no resource `{name}` any more"))
            }
            .with_hint("put its table back into guard.toml, or leave it out with --only, then run `guard resume`")
        };
        self.resources.get(name).map(Arc::as_ref).ok_or_else(missing)
    }

    pub(super) fn slot(&self, history: &History, name: &ResourceName) -> Slot {
        let backup = self.store.directory().join(history.plan().backup.as_str());
        Slot::new(&backup, name).sealed(Arc::clone(&self.cipher))
    }
}
