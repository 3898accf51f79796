//! What has happened in a run, folded from its records; a record that cannot follow is refused.

mod outputs;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use guard_model::fact::{Actor, Ending, Fact, Failure, Record, RollbackCause, StandbyState, StepOutput};
use guard_model::name::{ResourceName, RunId};
use guard_model::plan::{Action, Plan, StageName, Step, StepId};
use guard_model::policy::OnFailure;

/// A record that cannot follow the ones before it: the journal is not guard's, or guard has a bug.
#[derive(Debug, thiserror::Error)]
#[error("record {seq} cannot be: {why}")]
pub struct Impossible {
    /// Its number.
    pub seq: u64,
    /// What is wrong with it.
    pub why: String,
}

/// How far a step has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// Announced, and nothing is known since. Whoever did it is gone when this is read.
    Begun,
    /// Done.
    Done(StepOutput),
    /// Failed.
    Failed(Failure),
}

/// One step's part of the history.
#[derive(Debug, Clone, PartialEq)]
pub struct StepHistory {
    /// How far it has come.
    pub progress: Progress,
    /// When it was first announced.
    pub first_begun: DateTime<Utc>,
    /// How often it failed since the run was last opened.
    pub failures: u32,
}

/// What is known of a copy that stands by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandbyHistory {
    /// How far it has come; `None`: it was being made, and whoever did it is gone.
    pub state: Option<StandbyState>,
    /// When it came so far.
    pub at: DateTime<Utc>,
    /// How often it was begun.
    pub begun: u32,
}

/// The fold of a journal.
#[derive(Debug, Clone)]
pub struct History {
    run: RunId,
    plan: Plan,
    actor: Actor,
    reason: Option<String>,
    opened: DateTime<Utc>,
    reopened: bool,
    steps: BTreeMap<StepId, StepHistory>,
    turned: Option<(RollbackCause, DateTime<Utc>)>,
    response: Option<OnFailure>,
    /// When the way back was last taken up: where it turned, or where somebody went on with it.
    taken_up: Option<DateTime<Utc>>,
    left_out: BTreeSet<ResourceName>,
    widened: BTreeSet<ResourceName>,
    standbys: BTreeMap<ResourceName, StandbyHistory>,
    closed: Option<Ending>,
    next: u64,
}

impl History {
    /// The history that these records tell.
    ///
    /// # Errors
    /// A record cannot follow the ones before it.
    pub fn of(records: &[Record]) -> Result<Self, Impossible> {
        let (first, rest) = records.split_first().ok_or_else(|| Impossible {
            seq: 0,
            why: "there is none".to_owned(),
        })?;
        let Fact::Opened {
            run,
            plan,
            actor,
            reason,
        } = &first.fact
        else {
            return Err(Impossible {
                seq: first.seq,
                why: "a journal begins with `opened`".to_owned(),
            });
        };
        let mut history = Self {
            run: run.clone(),
            plan: plan.as_ref().clone(),
            actor: actor.clone(),
            reason: reason.clone(),
            opened: first.at,
            reopened: false,
            steps: BTreeMap::new(),
            turned: None,
            response: None,
            taken_up: None,
            left_out: BTreeSet::new(),
            widened: BTreeSet::new(),
            standbys: BTreeMap::new(),
            closed: None,
            next: first.seq + 1,
        };
        for record in rest {
            history.take(record)?;
        }
        Ok(history)
    }

    /// Takes the next record in.
    ///
    /// # Errors
    /// It cannot follow.
    pub fn take(&mut self, record: &Record) -> Result<(), Impossible> {
        let impossible = |why: String| Err(Impossible { seq: record.seq, why });
        if record.seq != self.next {
            return impossible(format!("number {} was expected", self.next));
        }
        if self.closed.is_some() && !matches!(record.fact, Fact::Reopened { .. }) {
            return impossible("the run is closed".to_owned());
        }
        match &record.fact {
            Fact::Opened { .. } => return impossible("the run is open already".to_owned()),
            Fact::Begun { step } => {
                let Some(planned) = self.plan.step(step) else {
                    return impossible(format!("`{step}` is not in the plan"));
                };
                if planned.action == Action::Deploy && self.steps.contains_key(step) {
                    return impossible("the deploy command never runs twice".to_owned());
                }
                let before = self.steps.get(step);
                let entry = StepHistory {
                    progress: Progress::Begun,
                    first_begun: before.map_or(record.at, |before| before.first_begun),
                    failures: before.map_or(0, |before| before.failures),
                };
                self.steps.insert(step.clone(), entry);
            }
            Fact::Done { step, yields } => match self.steps.get_mut(step) {
                Some(entry) if entry.progress == Progress::Begun => {
                    entry.progress = Progress::Done(yields.as_ref().clone());
                }
                _ => return impossible(format!("`{step}` was not begun")),
            },
            Fact::Failed { step, failure } => match self.steps.get_mut(step) {
                Some(entry) if entry.progress == Progress::Begun => {
                    entry.progress = Progress::Failed(failure.clone());
                    entry.failures += 1;
                }
                _ => return impossible(format!("`{step}` was not begun")),
            },
            Fact::RollbackBegan { .. } if self.turned.is_some() => {
                return impossible("the run has turned already".to_owned());
            }
            Fact::RollbackBegan { why, then } => {
                self.turned = Some((*why, record.at));
                self.taken_up = Some(record.at);
                self.response = *then;
            }
            Fact::LeftOut { resources } => self.left_out.extend(resources.iter().cloned()),
            Fact::Limited { rollback_timeout } => self.plan.policy.rollback_timeout = *rollback_timeout,
            Fact::Widened { .. } if self.turned.is_none() => return impossible("the run goes ahead".to_owned()),
            Fact::Widened { resources } => self.widen(resources),
            Fact::Standby { resource, state } => {
                if let Err(why) = self.stand_by(resource, state, record.at) {
                    return impossible(why);
                }
            }
            Fact::Reopened { actor } => {
                self.actor = actor.clone();
                self.reopened = true;
                self.closed = None;
                self.taken_up = Some(record.at);
                for entry in self.steps.values_mut() {
                    entry.failures = 0;
                }
                for standby in self.standbys.values_mut() {
                    standby.state.take_if(|state| *state == StandbyState::Loading);
                }
                self.forget_what_ran();
            }
            Fact::Closed { ending, .. } => self.closed = Some(*ending),
        }
        self.next += 1;
        Ok(())
    }

    /// Takes in how far a copy that stands by has come.
    fn stand_by(&mut self, resource: &ResourceName, state: &StandbyState, at: DateTime<Utc>) -> Result<(), String> {
        let before = self.standbys.get(resource);
        let is_loading = before.is_some_and(|before| before.state == Some(StandbyState::Loading));
        let begins = *state == StandbyState::Loading;
        if begins && (is_loading || self.turned.is_some() || !self.has_deploy_begun()) {
            return Err(format!("no copy of `{resource}` is made to stand by here"));
        }
        if !begins && !is_loading {
            return Err(format!("no copy of `{resource}` was made to stand by"));
        }
        let standby = StandbyHistory {
            state: Some(state.clone()),
            at,
            begun: before.map_or(0, |before| before.begun) + u32::from(begins),
        };
        self.standbys.insert(resource.clone(), standby);
        Ok(())
    }

    /// Takes these as not looked at yet, and what follows from them as cut off: it is done again. That the services were started
    /// stays known: what they wrote to data that is back is not put aside.
    fn widen(&mut self, resources: &[ResourceName]) {
        self.widened.extend(resources.iter().cloned());
        for name in resources {
            for act in [Action::Prepare, Action::Recheck, Action::Restore, Action::Price] {
                self.steps.remove(&Step::of(act(name.clone())).id);
            }
        }
        for action in [Action::Quiesce, Action::Start, Action::Prove] {
            if let Some(entry) = self.steps.get_mut(&Step::of(action).id) {
                (entry.progress, entry.failures) = (Progress::Begun, 0);
            }
        }
    }

    /// Takes what was seen running, stopped and started as cut off: the host may have come up again in between, and with it what is set
    /// to restart. Data that was put back before that is looked at again, which is what a repeated restore does. Once the
    /// start has begun, all this is over, but for data that did not get back: what uses it is stopped once more. What was
    /// found to need work keeps it: it may be swapped.
    fn forget_what_ran(&mut self) {
        let has_started = self.has_start_begun();
        let steps = self.plan.ahead.iter().chain(&self.plan.back);
        for (stage, step) in steps.flat_map(|stage| stage.steps.iter().map(move |step| (stage.name, step))) {
            let Some(entry) = self.steps.get_mut(&step.id) else {
                continue;
            };
            let found_work =
                matches!(&entry.progress, Progress::Done(StepOutput::Prepared(prepared)) if prepared.work.is_needed());
            let is_forgotten = match step.action {
                Action::Recheck(_) => !has_started && !found_work,
                Action::Restore(_) => !has_started && stage == StageName::Data,
                Action::Quiesce | Action::Gate | Action::SwitchBack | Action::Start | Action::Prove => true,
                _ => false,
            };
            if is_forgotten && matches!(entry.progress, Progress::Done(_)) {
                entry.progress = Progress::Begun;
            }
        }
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// What it may do.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Who drove it last.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Why it was started, where somebody said.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// When it began.
    #[must_use]
    pub fn opened(&self) -> DateTime<Utc> {
        self.opened
    }

    /// Whether somebody went on with it after it was cut off or closed.
    #[must_use]
    pub fn was_reopened(&self) -> bool {
        self.reopened
    }

    /// The number of the next record.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// Why it went back, where it did.
    #[must_use]
    pub fn turned(&self) -> Option<RollbackCause> {
        self.turned.map(|(turn, _)| turn)
    }

    /// What was decided to follow the turn; `None` before it, and in journals of before that was written down.
    #[must_use]
    pub fn response(&self) -> Option<OnFailure> {
        self.response
    }

    /// When it went back, where it did.
    #[must_use]
    pub fn turned_at(&self) -> Option<DateTime<Utc>> {
        self.turned.map(|(_, at)| at)
    }

    /// How it ended, where it has.
    #[must_use]
    pub fn closed(&self) -> Option<Ending> {
        self.closed
    }

    /// A step's part; `None` before it was begun.
    #[must_use]
    pub fn step(&self, step: &StepId) -> Option<&StepHistory> {
        self.steps.get(step)
    }

    /// What a step brought, where it is done.
    #[must_use]
    pub fn yielded(&self, action: &Action) -> Option<&StepOutput> {
        match &self.steps.get(&Step::of(action.clone()).id)?.progress {
            Progress::Done(yields) => Some(yields),
            _ => None,
        }
    }

    /// When the way back was last taken up, by its turn or by a person; `None` before that.
    #[must_use]
    pub fn taken_up(&self) -> Option<DateTime<Utc>> {
        self.taken_up
    }

    /// The resources that a person has said to leave as they are.
    pub fn left_out(&self) -> impl Iterator<Item = &ResourceName> {
        self.left_out.iter()
    }

    /// Whether a person has said to leave this resource as it is.
    #[must_use]
    pub fn is_left_out(&self, resource: &ResourceName) -> bool {
        self.left_out.contains(resource)
    }

    /// The resources that were left alone at first, and are put back since what ran before does not come up with them.
    pub fn widened(&self) -> impl Iterator<Item = &ResourceName> {
        self.widened.iter()
    }

    /// Whether this resource was left alone at first, and is put back since what ran before does not come up with it.
    #[must_use]
    pub fn is_widened(&self, resource: &ResourceName) -> bool {
        self.widened.contains(resource)
    }

    /// The copies that stand by, or were to.
    pub fn standbys(&self) -> impl Iterator<Item = (&ResourceName, &StandbyHistory)> {
        self.standbys.iter()
    }

    /// What is known of a copy of this resource that stands by; `None` where none was ever begun.
    #[must_use]
    pub fn standby(&self, resource: &ResourceName) -> Option<&StandbyHistory> {
        self.standbys.get(resource)
    }

    /// Whether the services were about to be started on the way back.
    #[must_use]
    pub fn has_start_begun(&self) -> bool {
        self.steps.contains_key(&Step::of(Action::Start).id)
    }

    /// Whether the deploy command was begun: from then on production may be different.
    #[must_use]
    pub fn has_deploy_begun(&self) -> bool {
        self.steps.contains_key(&Step::of(Action::Deploy).id)
    }
}
