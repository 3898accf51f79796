//! Those who do the steps: each action goes to the resource, probe or command that it is about.

mod acting;
mod aftermath;
mod command;
mod copying;
mod drift;
mod hearing;
mod intervening;
mod limit;
mod lookout;
mod now;
mod observation;
mod others;
mod pace;
mod pauses;
mod proving;
mod putting_back;
mod relay;
mod watching;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::drive::Acts;
use crate::history::History;
use guard_model::artifact::Displaced;
use guard_model::fact::{Failure, Yield};
use guard_model::foreign::Material;
use guard_model::health::Rule;
use guard_model::name::ResourceName;
use guard_model::now::Now;
use guard_model::plan::{Action, Step};
use guard_probes::Probe;
use guard_resources::{Member, ResourceError, Slot, SwapBarrier};
use guard_services::{Services, Strategy};
use guard_store::Store;
use guard_system::cipher::Cipher;
use guard_system::context::Context;
use guard_system::processes::CallError;
use guard_watch::UserRule;

pub use acting::Errands;
pub use command::{DEPLOY_LOG, check_log};
pub use copying::{SETTINGS, SealInput};
pub use drift::{Left, RELEASED, Released, drift, left_by, not_known};
pub use intervening::{INTERVENTION, leave, left};
pub use lookout::{Lookout, READINGS, WATCHES, replay, watches};
pub use pace::{PACES, Pacer};
pub use putting_back::has_gone_in;
pub use watching::ask_once;

/// Everything that the steps of a run need.
pub struct Crew {
    /// The surroundings; `run` and `scratch` are the run's.
    pub cx: Context,
    /// The resources by name.
    pub resources: BTreeMap<ResourceName, Member>,
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
    /// Where resources that are swapped together wait for each other.
    pub barrier: SwapBarrier,
    /// What has to stand in the last lines of the run, each a sentence.
    pub told: Mutex<Vec<String>>,
    /// How often somebody had asked to stop when the first step back was begun: what was asked before has been heard.
    pub asked_before: OnceLock<u32>,
}

impl Acts for Crew {
    fn act(&self, step: &Step, history: &History) -> Result<Yield, Failure> {
        let is_back = history.turned().is_some();
        let cx = self.cx.for_step(&step.id);
        // A signal stops what leads ahead. What leads back is stopped between steps, never inside one.
        let cx = if is_back { cx.unstoppable() } else { cx };
        if is_back {
            let before = *self.asked_before.get_or_init(|| self.cx.stop.times());
            if step.action == Action::Prove {
                return hearing::proof(&self.cx.stop, before, &cx, || self.does(step, history, &cx));
            }
        }
        match limit::left(step, history, &cx).filter(|_| is_back) {
            Some(time) => limit::within(time, step, &cx, || self.does(step, history, &cx)),
            None => self.does(step, history, &cx),
        }
    }

    fn look_around(&self, history: &History) -> Option<Now> {
        self.look(history, &self.cx.unstoppable())
    }
}

impl Crew {
    fn does(&self, step: &Step, history: &History, cx: &Context) -> Result<Yield, Failure> {
        match &step.action {
            Action::Baseline => self.baseline(history, cx),
            Action::Capture(name) => self.capture(name, history, cx),
            Action::Seal => self.seal(history, cx),
            Action::Deploy => {
                self.pace.end(&self.runtime);
                self.deploy(history, cx)
            }
            Action::Gate => self.gate(history, cx),
            Action::Verify => self.verify(cx),
            Action::Watch => self.watch(history, cx),
            Action::Evidence => self.evidence(history, cx),
            Action::Prepare(name) => self.prepare(name, history, cx),
            Action::Quiesce => self.quiesce(history, cx),
            Action::Recheck(name) => self.recheck(name, history, cx),
            Action::Restore(name) => self.restore(name, history, cx),
            Action::Undo(name) => self.undo(name, history, cx),
            Action::Start => self.start(history, cx),
            Action::Prove => self.prove(history, cx),
        }
    }

    fn resource(&self, name: &ResourceName) -> Result<&Member, Failure> {
        let missing = || {
            Failure {
                permanent: true,
                ..Failure::new(format!("the settings name no resource `{name}` any more"))
            }
            .with_hint("put its table back into guard.toml, or leave it out with --only, then run `guard resume`")
        };
        self.resources.get(name).ok_or_else(missing)
    }

    fn slot(&self, history: &History, name: &ResourceName) -> Slot {
        let backup = self.store.directory().join(history.plan().backup.as_str());
        Slot::new(&backup, name).sealed(Arc::clone(&self.cipher))
    }
}

/// Whether trying again changes nothing: a program that is not there, a place that may not be written.
fn cannot_heal(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind;
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return matches!(
                error.kind(),
                ErrorKind::PermissionDenied
                    | ErrorKind::ReadOnlyFilesystem
                    | ErrorKind::Unsupported
                    | ErrorKind::NotADirectory
                    | ErrorKind::InvalidInput
            );
        }
        if let Some(error) = error.downcast_ref::<CallError>() {
            return matches!(error, CallError::NotFound { .. });
        }
        cause = error.source();
    }
    false
}

/// A resource's error as the failure of a step.
fn failed(error: &ResourceError, cx: &Context) -> Failure {
    let mut failure = Failure::from_error(error);
    failure.chain = failure.chain.iter().map(|cause| cx.redaction.clean(cause)).collect();
    failure.hint.clone_from(&error.hint);
    failure.permanent = error.copy_is_bad || cannot_heal(error);
    failure.interrupted = cx.stop.is_asked();
    failure
}
