//! A run as it is told: its records folded into what a report tells, stage by stage.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::moment::span;
use guard_model::artifact::{Artifact, Displaced, Prepared};
use guard_model::fact::{Actor, Deployed, Ending, Fact, Failure, Record, RollbackCause, StandbyState, StepOutput};
use guard_model::health::Tally;
use guard_model::intervention::Intervention;
use guard_model::name::{ResourceName, RunId};
use guard_model::now::Now;
use guard_model::plan::{Action, Plan, StageName, Step, StepId};

/// What the records of one run say, up to the last of them.
#[derive(Debug, Clone, Default)]
pub struct RunView {
    /// The run and its plan; `None` before `Opened`.
    pub opened: Option<Opened>,
    /// The stages in order, those ahead first.
    pub stages: Vec<StageView>,
    /// Every failure, in order.
    pub stage_failures: Vec<StageFailure>,
    /// Why and when the run turned back.
    pub turned: Option<(RollbackCause, DateTime<Utc>)>,
    /// How and when it ended; `None` where it is open or was cut off.
    pub ended: Option<(Ending, DateTime<Utc>)>,
    /// What ran and what the probes saw at the end; `None` where nobody looked.
    pub now: Option<Now>,
    /// The copies that were made.
    pub artifacts: Vec<Artifact>,
    /// What was staged for the way back.
    pub prepared: Vec<Prepared>,
    /// What was put aside.
    pub displaced: Vec<Displaced>,
    /// The resources that a person has said to leave as they are.
    pub left_out: Vec<ResourceName>,
    /// The resources that were left alone at first, and put back since what ran before did not come up with them.
    pub widened: Vec<ResourceName>,
    /// What the deploy command announced.
    pub deployed: Deployed,
    /// The last counts of the watch.
    pub tally: Option<Tally>,
    /// Who ended the watch before its time, where a person did.
    pub person: Option<Intervention>,
    /// What the last proof found.
    pub proven: Vec<String>,
    /// Why production was not well before anything happened; empty: it was.
    pub complaints: Vec<String>,
    /// The services that were stopped for the way back.
    pub stopped: Vec<String>,
    /// When the last record was written.
    pub last: Option<DateTime<Utc>>,
    /// Who went on with it last; `None` where one guard drove it from its beginning.
    pub finisher: Option<Actor>,
    began: BTreeMap<StepId, DateTime<Utc>>,
    standby_began: BTreeMap<ResourceName, DateTime<Utc>>,
}

/// The head of a run.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The run.
    pub run: RunId,
    /// Its plan.
    pub plan: Plan,
    /// Who began it.
    pub actor: Actor,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
}

/// One stage of the plan on its way.
#[derive(Debug, Clone)]
pub struct StageView {
    /// Its place in its direction, from 1.
    pub number: usize,
    /// Which stage.
    pub name: StageName,
    /// Whether it belongs to the way back.
    pub is_back: bool,
    /// Its steps and where each stands.
    pub steps: Vec<(Step, State)>,
    /// When its first step began.
    pub began: Option<DateTime<Utc>>,
    /// When its last step ended.
    pub ended: Option<DateTime<Utc>>,
}

/// Where a step or a stage stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Not begun.
    Waiting,
    /// Begun.
    Running,
    /// Done.
    Done,
    /// Failed.
    Failed,
}

impl State {
    /// The state in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// A failure with its place and time.
#[derive(Debug, Clone)]
pub struct StageFailure {
    /// The step.
    pub step: StepId,
    /// Whether the step belongs to the way back.
    pub is_back: bool,
    /// When it was recorded.
    pub at: DateTime<Utc>,
    /// What failed and why.
    pub failure: Failure,
}

impl StageView {
    /// `Step 3: put databases and volumes back`.
    #[must_use]
    pub fn title(&self) -> String {
        format!("Step {}: {}", self.number, self.name.title())
    }

    /// Where the stage stands.
    #[must_use]
    pub fn state(&self) -> State {
        let is = |wanted| move |(_, state): &(Step, State)| *state == wanted;
        if self.steps.iter().any(is(State::Failed)) {
            State::Failed
        } else if self.steps.iter().all(is(State::Done)) {
            State::Done
        } else if self.steps.iter().all(is(State::Waiting)) {
            State::Waiting
        } else {
            State::Running
        }
    }

    /// How long it took; `None` while it has not ended. A clock that was set back gives 0.
    #[must_use]
    pub fn took(&self) -> Option<Duration> {
        Some(span(self.began?, self.ended?))
    }
}

impl RunView {
    /// The course that these records tell.
    #[must_use]
    pub fn of(records: &[Record]) -> Self {
        let mut view = Self::default();
        for record in records {
            view.take(record);
        }
        view
    }

    /// Takes the next record.
    pub fn take(&mut self, record: &Record) {
        self.last = Some(record.at);
        match &record.fact {
            Fact::Opened {
                run,
                plan,
                actor,
                reason,
            } => self.open(run, plan, actor, reason.as_ref(), record.at),
            Fact::Begun { step } => {
                self.began.insert(step.clone(), record.at);
                self.mark(step, State::Running, record.at);
            }
            Fact::Done { step, yields } => {
                self.mark(step, State::Done, record.at);
                self.keep(yields);
            }
            Fact::Failed { step, failure } => {
                self.mark(step, State::Failed, record.at);
                if let Some(deployed) = &failure.deployed {
                    self.deployed = deployed.clone();
                }
                self.person = failure.person.as_deref().cloned().or(self.person.take());
                self.stage_failures.push(StageFailure {
                    step: step.clone(),
                    is_back: self.stage_of(step).is_some_and(|stage| stage.is_back),
                    at: record.at,
                    failure: failure.clone(),
                });
            }
            Fact::RollbackBegan { why, .. } => self.turned = Some((*why, record.at)),
            Fact::Reopened { actor } => {
                self.ended = None;
                self.finisher = Some(actor.clone());
            }
            Fact::LeftOut { resources } => self.left_out.extend(resources.iter().cloned()),
            Fact::Limited { rollback_timeout } => {
                if let Some(opened) = &mut self.opened {
                    opened.plan.policy.rollback_timeout = *rollback_timeout;
                }
            }
            Fact::Widened { resources } => self.widened.extend(resources.iter().cloned()),
            Fact::Standby { resource, state } => {
                if *state == StandbyState::Loading {
                    self.standby_began.insert(resource.clone(), record.at);
                }
            }
            Fact::Closed { ending, now } => {
                self.ended = Some((*ending, record.at));
                self.now = now.as_deref().cloned();
            }
        }
    }

    fn open(&mut self, run: &RunId, plan: &Plan, actor: &Actor, reason: Option<&String>, at: DateTime<Utc>) {
        for (stages, is_back) in [(&plan.ahead, false), (&plan.back, true)] {
            self.stages
                .extend(stages.iter().enumerate().map(|(index, stage)| StageView {
                    number: index + 1,
                    name: stage.name,
                    is_back,
                    steps: stage.steps.iter().map(|step| (step.clone(), State::Waiting)).collect(),
                    began: None,
                    ended: None,
                }));
        }
        self.opened = Some(Opened {
            run: run.clone(),
            plan: plan.clone(),
            actor: actor.clone(),
            reason: reason.cloned(),
            at,
        });
    }

    fn mark(&mut self, id: &StepId, state: State, at: DateTime<Utc>) {
        for stage in &mut self.stages {
            let Some(entry) = stage.steps.iter_mut().find(|(step, _)| step.id == *id) else {
                continue;
            };
            entry.1 = state;
            if state == State::Running {
                stage.began.get_or_insert(at);
                stage.ended = None;
            } else if stage
                .steps
                .iter()
                .all(|(_, state)| matches!(state, State::Done | State::Failed))
            {
                stage.ended = Some(at);
            }
            return;
        }
    }

    fn keep(&mut self, yields: &StepOutput) {
        match yields {
            StepOutput::Nothing | StepOutput::Switched { .. } => {}
            StepOutput::Baseline { complaints, .. } => self.complaints.clone_from(complaints),
            // A resumed run stops what it stopped before once more.
            StepOutput::Quiesced(services) => {
                for service in services {
                    if !self.stopped.contains(service) {
                        self.stopped.push(service.clone());
                    }
                }
            }
            StepOutput::Captured(artifact) => self.artifacts.push(artifact.clone()),
            StepOutput::Deployed(deployed) => self.deployed = deployed.clone(),
            StepOutput::Watched { tally, person, .. } => {
                (self.tally, self.person) = (Some(*tally), person.as_deref().cloned());
            }
            // A resumed run repeats steps: the last word on a resource stands.
            StepOutput::Prepared(prepared) => {
                self.prepared.retain(|known| known.resource != prepared.resource);
                self.prepared.push(prepared.clone());
            }
            StepOutput::Displaced(displaced) => {
                self.displaced.retain(|known| known.resource != displaced.resource);
                self.displaced.push(displaced.clone());
            }
            StepOutput::DisplacedAgain(all) => {
                self.displaced
                    .retain(|known| all.iter().all(|one| one.resource != known.resource));
                self.displaced.extend(all.iter().cloned());
            }
            StepOutput::Proven(findings) => self.proven.clone_from(findings),
            StepOutput::Priced { resource, price } => {
                let known = self.prepared.iter_mut().find(|known| &known.resource == resource);
                if let Some(known) = known {
                    known.tell_price(price);
                }
            }
        }
    }

    /// The stage that a step belongs to.
    #[must_use]
    pub fn stage_of(&self, step: &StepId) -> Option<&StageView> {
        let mut stages = self.stages.iter();
        stages.find(|stage| stage.steps.iter().any(|(known, _)| known.id == *step))
    }

    /// When a step began, last.
    #[must_use]
    pub fn began(&self, step: &StepId) -> Option<DateTime<Utc>> {
        self.began.get(step).copied()
    }

    /// When a copy that stands by was begun, last.
    #[must_use]
    pub fn standby_began(&self, resource: &ResourceName) -> Option<DateTime<Utc>> {
        self.standby_began.get(resource).copied()
    }

    /// What turned the run back: the last failure on the way ahead.
    #[must_use]
    pub fn cause(&self) -> Option<&StageFailure> {
        self.stage_failures
            .iter()
            .rev()
            .find(|stage_failure| !stage_failure.is_back)
    }

    /// What stands in the way of going back: the last failure of a step back that has not been done since.
    #[must_use]
    pub fn obstacle(&self) -> Option<&StageFailure> {
        // What keeps something from going back comes before a proof that fails for it.
        let (_, not) = self.back_and_not();
        not.first().copied().or_else(|| {
            self.stage_failures.iter().rev().find(|stage_failure| {
                stage_failure.is_back
                    && self
                        .stages
                        .iter()
                        .flat_map(|stage| &stage.steps)
                        .any(|(step, state)| step.id == stage_failure.step && *state == State::Failed)
            })
        })
    }

    /// The resources of which rows were discarded that `guard salvage` can bring back.
    #[must_use]
    pub fn salvageable(&self) -> Vec<&ResourceName> {
        let loses = |name: &ResourceName| {
            let of_it = self
                .prepared
                .iter()
                .filter(|prepared| prepared.work.is_needed() && &prepared.resource == name);
            // What is told once it is back may be rows, until it is told.
            of_it.clone().any(Prepared::is_priced_later)
                || of_it.flat_map(|prepared| &prepared.price).any(|price| {
                    let drops = price.starts_with("drops the new table ") && !price.ends_with(" 0 rows");
                    drops || price.starts_with("discards ") || price.starts_with("undoes changes ")
                })
        };
        let held = self.displaced.iter().filter(|displaced| displaced.holds_rows());
        held.map(|displaced| &displaced.resource)
            .filter(|name| loses(name))
            .collect()
    }

    /// What of files was put aside that `guard salvage` can give back, each `13 files (2.0 MB) of uploads`.
    #[must_use]
    pub fn files_aside(&self) -> Vec<String> {
        let told = |displaced: &Displaced| Some(format!("{} of {}", displaced.files()?, displaced.resource));
        self.displaced.iter().filter_map(told).collect()
    }

    /// What is back, by resource, and the failures that keep the rest from it, evidence and the proof aside.
    #[must_use]
    pub fn back_and_not(&self) -> (Vec<String>, Vec<&StageFailure>) {
        let steps = || {
            self.stages
                .iter()
                .filter(|stage| stage.is_back)
                .flat_map(|stage| &stage.steps)
        };
        let is_needed = |name: &ResourceName| {
            let mut prepared = self.prepared.iter();
            prepared.any(|one| &one.resource == name && one.work.is_needed())
        };
        let back = steps().filter_map(|(step, state)| match &step.action {
            Action::Restore(name) if *state == State::Done && is_needed(name) => Some(name.to_string()),
            Action::Undo(name) if *state == State::Done => Some(name.to_string()),
            _ => None,
        });
        let failed = steps().filter(|(step, state)| {
            *state == State::Failed && !matches!(step.action, Action::Evidence | Action::Prove | Action::Price(_))
        });
        let last = |step: &Step| {
            self.stage_failures
                .iter()
                .rev()
                .find(|stage_failure| stage_failure.step == step.id)
        };
        (back.collect(), failed.filter_map(|(step, _)| last(step)).collect())
    }

    /// What going back costs, resource by resource, each a sentence.
    #[must_use]
    pub fn price(&self) -> Vec<String> {
        self.prepared
            .iter()
            .filter(|prepared| prepared.work.is_needed())
            .flat_map(|prepared| {
                prepared
                    .price
                    .iter()
                    .map(|price| format!("{}: {price}", prepared.resource))
            })
            .collect()
    }
}
