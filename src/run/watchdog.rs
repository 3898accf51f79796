//! The watcher from guard's side: it stands by before the first step that has to be finished, and stays away where a person
//! insists on stopping.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::drill::hooks::Hooks;
use crate::job_time;
use crate::keys::Console;
use crate::project::Project;
use crate::session::Session;
use guard_engine::drive::Acts;
use guard_engine::history::History;
use guard_engine::steps::StepRunner;
use guard_journal::Run;
use guard_model::event::Level;
use guard_model::fact::{Failure, StandbyState, StepOutput};
use guard_model::name::{ResourceName, RunKind};
use guard_model::now::Now;
use guard_model::plan::{Action, Step};
use guard_system::identity::Identity;
use guard_system::{detached, disk, privilege};

/// A watcher that stands by; a process means nothing in another boot.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct WatchdogRecord {
    /// Which process it is.
    #[serde(flatten)]
    pub process: Identity,
    /// The boot that the process is of.
    pub boot: String,
}

/// What the watcher says, and what was said by it when it went on with the run.
pub const LOG: &str = "watcher.log";
/// Which process it is.
pub const PROCESS: &str = "watcher.json";
/// There while a person wants the run to rest.
const PAUSED: &str = "paused";
/// How long the watcher has to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// The runner of a run, with a watcher standing by as soon as there is something that must not be left half done.
pub struct Supervised<'a> {
    runner: &'a StepRunner,
    run: &'a Run,
    project: &'a Project,
    is_wanted: bool,
    has_come: AtomicBool,
    console: Option<Console>,
    drill: Option<Hooks>,
}

impl<'a> Supervised<'a> {
    /// The runner, and a watcher for it unless the settings want none.
    #[must_use]
    pub fn new(runner: &'a StepRunner, run: &'a Run, project: &'a Project, session: &Session) -> Self {
        Self {
            runner,
            run,
            project,
            // A watcher that was killed as well leaves the run to people: two of them could go on like that for ever.
            is_wanted: project.settings.watcher && session.is_program && !project.actor.watcher,
            has_come: AtomicBool::new(false),
            console: Console::of(run, project, session),
            drill: Hooks::of(run, &runner.cx),
        }
    }

    fn call(&self) {
        match stand_by(self.run) {
            Ok(pid) => self.project.cx.note(
                Level::Detail,
                format!("a watcher stands by (pid {pid}): it goes on if guard is killed"),
            ),
            Err(error) => self.project.cx.note(
                Level::Warn,
                format!("no watcher stands by ({error}): if guard is killed, `guard resume` has to be typed"),
            ),
        }
    }
}

impl Acts for Supervised<'_> {
    fn act(&self, step: &Step, history: &History) -> Result<StepOutput, Failure> {
        let on_the_way_ahead = history.turned().is_none();
        let console = self.console.as_ref().filter(|_| on_the_way_ahead);
        let _keys = console.and_then(|console| console.listen(&step.action));
        match &self.drill {
            Some(drill) => drill.act(step, history, || self.runner.act(step, history)),
            None => self.runner.act(step, history),
        }
    }

    fn look_around(&self, history: &History) -> Option<Now> {
        self.runner.look_around(history)
    }

    fn standbys(&self, history: &History) -> Vec<ResourceName> {
        self.runner.standbys(history)
    }

    fn begin_standby(&self, name: &ResourceName, history: &History) {
        self.runner.begin_standby(name, history);
    }

    fn ended_standbys(&self) -> Vec<(ResourceName, StandbyState)> {
        self.runner.ended_standbys()
    }

    fn call_off(&self) {
        self.runner.call_off();
    }

    fn expect(&self, steps: &[Step], history: &History) {
        if let Some(drill) = &self.drill {
            drill.expect(steps, history, &self.runner.resources);
        }
        // By now it is known how long everything before has taken.
        if steps.iter().any(|step| step.action == Action::Watch) && !self.project.actor.watcher {
            job_time::warn(self.project);
        }
        let must_be_finished = match history.plan().kind {
            RunKind::Backup => false,
            RunKind::Deploy => history.has_deploy_begun() || steps.iter().any(|step| step.action == Action::Deploy),
            RunKind::Rollback | RunKind::Undo => true,
        };
        if self.is_wanted && must_be_finished && !self.has_come.swap(true, Ordering::SeqCst) {
            self.call();
        }
    }
}

/// Starts the watcher of a run, and returns its process id when it is ready.
fn stand_by(run: &Run) -> std::io::Result<String> {
    let us = Identity::of_this_process().ok_or_else(|| std::io::Error::other("/proc cannot be read"))?;
    let log = disk::open_append(&run.directory.join(LOG)).map_err(std::io::Error::other)?;
    detached::start(&words(run, us), log, PATIENCE)
}

/// The watcher of a run, where one stands by or is at work.
#[must_use]
pub fn process_of(run: &Run) -> Option<Identity> {
    let bytes = disk::read_optional(&run.directory.join(PROCESS)).ok().flatten()?;
    let standing: WatchdogRecord = serde_json::from_slice(&bytes).ok()?;
    let is_there = standing.boot == privilege::boot_id() && standing.process.is_alive();
    is_there.then_some(standing.process)
}

fn paused(run: &Run) -> PathBuf {
    run.directory.join(PAUSED)
}

/// Tells the watcher that guard stops because a person wants it to, so that nobody goes on by himself.
pub fn pause(run: &Run, project: &Project) {
    if let Err(error) = disk::write_whole(&paused(run), project.actor.user.as_bytes()) {
        project.cx.note(
            Level::Warn,
            format!("the watcher will go on with the run, since {error}"),
        );
    }
}

/// Whether a person wants the run to rest.
#[must_use]
pub fn is_paused(run: &Run) -> bool {
    disk::exists(&paused(run)).unwrap_or(true)
}

/// Ends the rest: somebody goes on with the run.
pub fn resume(run: &Run) {
    // Where it cannot be removed, the watcher of this resume stays away, and the run is finished all the same.
    let _optional = std::fs::remove_file(paused(run));
}

/// The hidden command.
pub const COMMAND: &str = "__watch";

/// The words that start the watcher of a run for this guard.
#[must_use]
pub fn words(run: &Run, guard: Identity) -> Vec<String> {
    vec![
        COMMAND.to_owned(),
        run.directory.display().to_string(),
        guard.pid.to_string(),
        guard.began.to_string(),
    ]
}
