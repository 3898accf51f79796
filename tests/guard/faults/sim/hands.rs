//! Who does the steps in a simulated run: acts that keep the promises of `Acts` and `Resource`, over the weak disk.

use std::sync::Mutex;
use std::time::Duration;

use guard::engine::drive::{Acts, Told};
use guard::engine::history::History;
use guard::model::artifact::{Artifact, Displaced, PRICE_LATER, Prepared, Work};
use guard::model::fact::{Deployed, Failure, StandbyState, StepOutput};
use guard::model::fingerprint::Fingerprint;
use guard::model::health::Tally;
use guard::model::name::{ResourceName, RunKind};
use guard::model::plan::{Action, Step};
use serde_json::{Value, json};

use super::planted::Bug;
use super::scenario::{Fate, Scenario};
use super::session;
use super::standby::{Load, mark, stage};
use super::world::{Shared, Touch};

/// So many operations go by for each part of the deploy command.
const OPERATIONS: usize = 4;

/// The hands of one guard.
pub struct Hands<'s> {
    /// The world.
    pub world: Shared,
    /// Which guard.
    pub guard: u32,
    /// What happens to the run.
    pub scenario: &'s Scenario,
    /// For an undo: what the run before displaced.
    pub undoing: Vec<Displaced>,
    /// The copies that are being made to stand by.
    pub loads: Mutex<Vec<Load>>,
    /// The run that they are of.
    pub run: Mutex<Option<String>>,
}

type Result<T> = std::result::Result<T, Failure>;

fn failed(why: &str) -> Failure {
    Failure::new(why)
}

impl Acts for Hands<'_> {
    fn act(&self, step: &Step, history: &History) -> Result<StepOutput> {
        if self.scenario.twice.as_deref() == Some(step.id.as_str()) {
            self.once(step, history)?;
        }
        self.once(step, history)
    }

    /// One after the other in an order of luck, so that a story gives the same run again.
    fn side_by_side(&self, steps: &[Step], history: &History, tell: &mut dyn FnMut(Told<'_>)) {
        let mut open: Vec<&Step> = steps.iter().collect();
        while !open.is_empty() {
            let next = self.world.lock().chance.below(open.len());
            let step = open.swap_remove(next);
            let result = self.act(step, history);
            // What has become of a load may be heard before the step that it has outrun, or with the next.
            if self.world.lock().chance.one_in(2) {
                tell(Told::Waiting);
            }
            tell(Told::Step(step, Box::new(result)));
        }
    }

    fn standbys(&self, _: &History) -> Vec<ResourceName> {
        self.wanting()
    }

    fn begin_standby(&self, name: &ResourceName, history: &History) {
        self.begin_load(name, history);
    }

    fn ended_standbys(&self) -> Vec<(ResourceName, StandbyState)> {
        self.ended_loads()
    }

    fn call_off(&self) {
        self.call_off_loads();
    }
}

impl Hands<'_> {
    fn once(&self, step: &Step, history: &History) -> Result<StepOutput> {
        self.touch(Touch::Other)?;
        if let Some(permanent) = self.world.lock().failing_now(step.id.as_str()) {
            return Err(Failure {
                permanent,
                ..failed("it does not work today")
            });
        }
        match &step.action {
            Action::Baseline if self.scenario.fate == Fate::Unwell => Err(Failure {
                permanent: true,
                ..failed("production is not well")
            }),
            Action::Baseline | Action::Evidence => Ok(StepOutput::Nothing),
            Action::SwitchTraffic | Action::Settle | Action::SwitchBack => {
                Err(failed("no plan that is simulated has two sides"))
            }
            Action::Capture(name) => self.capture(name, history),
            Action::Seal => self.seal(history),
            Action::Deploy => self.deploy(),
            Action::Gate => self.look(Fate::GateFails),
            Action::Verify => self.look(Fate::VerifyFails),
            Action::Watch => self.watch(),
            Action::Prepare(name) => self.prepare(name, history),
            Action::Quiesce => Ok(self.quiesce(history)),
            Action::Recheck(name) => self.recheck(name, history),
            Action::Restore(name) => self.restore(name, history),
            Action::Undo(name) => self.undo(name, history),
            Action::Start => {
                self.world.lock().is_up = true;
                Ok(StepOutput::Nothing)
            }
            Action::Prove => self.prove(history),
            Action::Price(name) => Ok(StepOutput::Priced {
                resource: name.clone(),
                price: Vec::new(),
            }),
        }
    }

    pub fn has(&self, bug: Bug) -> bool {
        self.world.lock().bug == Some(bug)
    }

    fn touch(&self, touch: Touch<'_>) -> Result<()> {
        if std::mem::take(&mut self.world.lock().is_contended) {
            session::contend(&self.world, self.guard + 100, self.scenario);
        }
        let touched = self.touch_alone(touch);
        self.load_on();
        touched
    }

    /// An operation while no load goes on.
    pub fn touch_alone(&self, touch: Touch<'_>) -> Result<()> {
        let touched = self.world.lock().touch(self.guard, touch);
        touched.map_err(|error| Failure::from_error(&error))
    }

    pub fn read(&self, name: &str) -> Option<String> {
        let world = self.world.lock();
        world
            .disk
            .read(name)
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    fn stamp(&self, history: &History) -> String {
        if self.has(Bug::BackupNameShared) {
            "before".to_owned()
        } else {
            history.plan().backup.to_string()
        }
    }

    /// Puts a text under a name, whole or not at all.
    fn put(&self, name: &str, text: &str, syncs: bool) -> Result<()> {
        let beside = format!("{name}.tmp");
        self.touch(Touch::Create(&beside))?;
        self.touch(Touch::Write(&beside, 0, text.as_bytes()))?;
        if syncs {
            let synced = self.touch(Touch::Sync(&beside));
            if self.has(Bug::SyncTriedAgain) && synced.is_err() {
                self.touch(Touch::Sync(&beside))?;
            } else {
                synced?;
            }
        }
        self.touch(Touch::Rename(&beside, name))
    }

    fn capture(&self, name: &ResourceName, history: &History) -> Result<StepOutput> {
        let stamp = self.stamp(history);
        let live = self
            .read(&format!("live/{name}"))
            .ok_or_else(|| failed("it is not there"))?;
        let place = format!("backup/{stamp}/{name}");
        self.put(&place, &live, !self.has(Bug::CopyUnsynced))?;
        if !self.has(Bug::CopysNameUnsynced) {
            self.touch(Touch::SyncDirectory(&format!("backup/{stamp}")))?;
        }
        if self.read(&place).as_ref() != Some(&live) {
            return Err(failed("the copy is not what was read"));
        }
        Ok(StepOutput::Captured(Artifact {
            resource: name.clone(),
            project: None,
            kind: "simulated".to_owned(),
            fingerprint: Fingerprint::default(),
            files: Vec::new(),
            details: json!(live),
            summary: String::new(),
            not_kept: Vec::new(),
            tools: Vec::new(),
        }))
    }

    fn seal(&self, history: &History) -> Result<StepOutput> {
        let stamp = self.stamp(history);
        let copies = history
            .artifacts()
            .map(|copy| format!("{}={}\n", copy.resource, copy.details.as_str().unwrap_or("")));
        let manifest: String = copies.collect();
        let place = format!("backup/{stamp}/manifest");
        // One that is there was put there by an earlier try, and is never written again.
        if self.read(&place).as_ref() != Some(&manifest) {
            self.put(&place, &manifest, !self.has(Bug::ManifestUnsynced))?;
        }
        self.touch(Touch::SyncDirectory(&format!("backup/{stamp}")))?;
        Ok(StepOutput::Nothing)
    }

    fn deploy(&self) -> Result<StepOutput> {
        {
            let mut world = self.world.lock();
            let world = &mut *world;
            world.oracle.sees_deploy(&world.disk);
            world.command = self.scenario.release();
            world.is_up = true;
            if let Some(rotten) = self.scenario.rotten {
                let copy = format!("backup/{}/r{rotten}", world.oracle.backup);
                world.oracle.is_rotten = true;
                world.disk.put(&copy, b"bit rot");
            }
        }
        loop {
            // It is the longest part of a run, so trouble often comes in the middle of it.
            let touched = (0..OPERATIONS).try_for_each(|_| self.touch(Touch::Other));
            let mut world = self.world.lock();
            if !world.is_off && !world.dead.contains(&self.guard) && touched.is_err() {
                // A guard that is alive ends what it has begun.
                world.command.clear();
            }
            touched?;
            if world.stop.is_asked() {
                world.command.clear();
                return Err(Failure {
                    interrupted: true,
                    ..failed("stopped")
                });
            }
            if !world.command_goes_on() {
                break;
            }
        }
        match self.scenario.fate {
            Fate::CommandFails => Err(failed("exit code 3")),
            _ => Ok(StepOutput::Deployed(Deployed::default())),
        }
    }

    fn look(&self, bad: Fate) -> Result<StepOutput> {
        self.touch(Touch::Other)?;
        let world = self.world.lock();
        if world.stop.is_asked() {
            return Err(Failure {
                interrupted: true,
                ..failed("stopped")
            });
        }
        // What does not run does not answer.
        if self.scenario.fate == bad || !world.is_up {
            Err(failed("it is not well"))
        } else {
            Ok(StepOutput::Nothing)
        }
    }

    fn watch(&self) -> Result<StepOutput> {
        self.world.lock().steady += Duration::from_mins(10);
        self.look(Fate::WatchFails)?;
        Ok(StepOutput::Watched {
            tally: Tally::default(),
            inconclusive: (self.scenario.fate == Fate::Inconclusive).then(|| "too few".to_owned()),
            person: None,
        })
    }

    /// What the copy of a resource should hold.
    pub fn wanted(&self, name: &ResourceName, history: &History) -> Result<String> {
        if self.has(Bug::DigestNotCompared) {
            let copy = self.read(&format!("backup/{}/{name}", history.plan().backup));
            return copy.ok_or_else(|| failed("there is no copy"));
        }
        if let Some(copy) = history.artifacts().find(|copy| &copy.resource == name) {
            return Ok(copy.details.as_str().unwrap_or_default().to_owned());
        }
        let manifest = self
            .read(&format!("backup/{}/manifest", history.plan().backup))
            .unwrap_or_default();
        let line = manifest.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.map(str::to_owned).ok_or_else(|| Failure {
            permanent: true,
            ..failed("there is no copy")
        })
    }

    fn prepare(&self, name: &ResourceName, history: &History) -> Result<StepOutput> {
        let wanted = self.wanted(name, history)?;
        let prepared = |work| {
            StepOutput::Prepared(Prepared {
                resource: name.clone(),
                work,
                // Its price is told at the end, which is one step more to be cut off in.
                details: json!({ PRICE_LATER: true }),
                price: Vec::new(),
            })
        };
        let live = self.read(&format!("live/{name}"));
        let copy = self.read(&format!("backup/{}/{name}", self.stamp(history)));
        if copy.as_ref() != Some(&wanted) {
            return Err(Failure {
                permanent: true,
                ..failed("the copy is damaged")
            });
        }
        if live.as_ref() == Some(&wanted) {
            return Ok(prepared(Work::Unchanged));
        }
        if self.scenario.withholds {
            return Ok(prepared(Work::Withheld("rows were written".to_owned())));
        }
        let stage = stage(name, history);
        self.take_load(name);
        if self.is_standing(&stage, &wanted) {
            return Ok(prepared(Work::Changed(vec!["content".to_owned()])));
        }
        if self.read(&mark(&stage)).is_some() {
            self.touch(Touch::Remove(&mark(&stage)))?;
        }
        // What an earlier try has left is built anew: its sync may have failed, and reading it would not tell.
        if self.read(&stage).is_none() || !self.has(Bug::StageTrusted) {
            self.touch(Touch::Create(&stage))?;
            self.touch(Touch::Write(&stage, 0, copy.unwrap_or_default().as_bytes()))?;
        }
        if !self.has(Bug::StageUnsynced) {
            self.touch(Touch::Sync(&stage))?;
        }
        self.touch(Touch::SyncDirectory("stage"))?;
        Ok(prepared(Work::Changed(vec!["content".to_owned()])))
    }

    fn quiesce(&self, history: &History) -> StepOutput {
        let mut world = self.world.lock();
        if let Some(late) = self.scenario.late.filter(|_| world.is_up && !history.has_start_begun()) {
            // The failed release writes until it is stopped.
            world.disk.put(&format!("live/r{late}"), b"written late");
            world.oracle.is_spoiled |= world.oracle.truths[late].displaced.is_some();
        }
        if world.bug != Some(Bug::NotQuiesced) {
            world.is_up = false;
        }
        StepOutput::Quiesced(Vec::new())
    }

    fn recheck(&self, name: &ResourceName, history: &History) -> Result<StepOutput> {
        let is_staged = history
            .prepared_of(name)
            .is_some_and(|prepared| prepared.work.is_needed());
        if is_staged || self.has(Bug::NotRechecked) {
            return Ok(StepOutput::Nothing);
        }
        self.prepare(name, history)
    }

    fn restore(&self, name: &ResourceName, history: &History) -> Result<StepOutput> {
        let nothing = Displaced {
            resource: name.clone(),
            details: Value::Null,
            kept_as: Vec::new(),
        };
        if !history
            .prepared_of(name)
            .is_some_and(|prepared| prepared.work.is_needed())
        {
            return Ok(StepOutput::Displaced(nothing));
        }
        let wanted = self.wanted(name, history)?;
        self.swap(name, &format!("stage/{name}.{}", history.run()), &wanted, history)
    }

    fn undo(&self, name: &ResourceName, history: &History) -> Result<StepOutput> {
        let displaced = self.undoing.iter().find(|displaced| &displaced.resource == name);
        let displaced = displaced.ok_or_else(|| failed("nothing was displaced"))?;
        let text = |key: &str| displaced.details[key].as_str().unwrap_or_default().to_owned();
        self.swap(name, &text("aside"), &text("value"), history)
    }

    /// Exchanges what is live with what lies beside it, and keeps that; finds what an earlier try did.
    fn swap(&self, name: &ResourceName, beside: &str, wanted: &str, history: &History) -> Result<StepOutput> {
        let live = format!("live/{name}");
        let run = if self.has(Bug::DisplacedNameShared) {
            "earlier".to_owned()
        } else {
            history.run().to_string()
        };
        let aside = format!("aside/{name}.{run}");
        if self.has(Bug::WrittenInPlace) {
            self.touch(Touch::Write(&live, 0, wanted.as_bytes()))?;
        }
        let is_done = self.read(beside).is_none() && self.read(&aside).is_some();
        if !is_done {
            let lies_beside = self.read(beside).ok_or_else(|| failed("what was staged is gone"))?;
            if lies_beside == wanted || self.has(Bug::SwapNotProbed) {
                self.touch(Touch::Exchange(beside, &live))?;
            }
            if !self.has(Bug::SwapUnsynced) {
                self.touch(Touch::SyncDirectory("live"))?;
            }
            self.touch(Touch::Rename(beside, &aside))?;
        }
        self.touch(Touch::SyncDirectory("aside"))?;
        if self.has(Bug::DisplacedRemoved) {
            self.touch(Touch::Remove(&aside))?;
        }
        if self.read(&live).as_deref() != Some(wanted) {
            return Err(failed("it was put back and differs"));
        }
        Ok(StepOutput::Displaced(Displaced {
            resource: name.clone(),
            details: json!({ "aside": aside }),
            kept_as: Vec::new(),
        }))
    }

    fn prove(&self, history: &History) -> Result<StepOutput> {
        if self.has(Bug::ProofSkipped) {
            return Ok(StepOutput::Proven(Vec::new()));
        }
        for prepared in history.prepared().filter(|prepared| prepared.work.is_needed()) {
            let name = &prepared.resource;
            if self.read(&format!("live/{name}")) != Some(self.wanted(name, history)?) {
                return Err(failed("it differs"));
            }
        }
        let is_well = self.world.lock().is_up && (self.scenario.is_old_well || history.plan().kind == RunKind::Undo);
        if is_well {
            Ok(StepOutput::Proven(Vec::new()))
        } else {
            Err(failed("the old state is not well"))
        }
    }
}
