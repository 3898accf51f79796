//! What a drill does beside the steps of its run, in whichever process drives it: it counts, lifts the fault, and decides where
//! nobody notices.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::drill::counts::{Counts, When};
use crate::drill::lift::lift;
use crate::drill::record::DrillRecord;
use guard_engine::history::History;
use guard_engine::steps::leave;
use guard_journal::Run;
use guard_model::drill::Lasts;
use guard_model::event::Level;
use guard_model::fact::{Failure, StepOutput};
use guard_model::intervention::{Choice, Intervention, Via};
use guard_model::name::ResourceName;
use guard_model::plan::{Action, Step};
use guard_resources::Member;
use guard_system::context::Context;

/// How often is looked whether a watch has ended.
const TICK: Duration = Duration::from_millis(50);
/// Who decides where no probe notices.
const DRILL: &str = "guard drill";

/// The hooks of one run.
pub struct Hooks {
    run: PathBuf,
    cx: Context,
}

impl Hooks {
    /// Those of this run; `None` where it is no drill.
    #[must_use]
    pub fn of(run: &Run, cx: &Context) -> Option<Self> {
        let hooks = Self {
            run: run.directory.clone(),
            cx: cx.clone(),
        };
        hooks.record().map(|_| hooks)
    }

    /// The record as it is by now: the deploy command writes on it.
    fn record(&self) -> Option<DrillRecord> {
        let record = DrillRecord::of(&self.run);
        record
            .map_err(|error| {
                self.cx
                    .note(Level::Warn, format!("the drill's own record is lost: {error}"));
            })
            .ok()
            .flatten()
    }

    /// Before these steps: on the way back the fault is lifted when its time has come, and what is there is counted before
    /// anything of it goes back.
    pub fn expect(&self, steps: &[Step], history: &History, resources: &BTreeMap<ResourceName, Arc<Member>>) {
        if history.turned().is_none() {
            return;
        }
        let Some(record) = self.record() else { return };
        let lasts = record.fault().map_or(Lasts::UntilTurn, |fault| fault.lasts);
        let is_start = steps.iter().any(|step| step.action == Action::Start);
        if lasts == Lasts::UntilTurn || (is_start && lasts == Lasts::UntilStart) {
            lift(&self.run, &record, &self.cx);
        }
        let is_before_data = steps
            .iter()
            .any(|step| matches!(step.action, Action::Recheck(_) | Action::Restore(_) | Action::Start));
        let is_counted = || !matches!(Counts::kept(When::Failed, &self.run), Ok(None));
        // Behind the first swap it would be too late.
        if !is_before_data || history.displaced().next().is_some() || is_counted() {
            return;
        }
        let before = Counts::kept(When::Before, &self.run).ok().flatten();
        let counts = Counts::of(resources, (before.as_ref(), &record.ignored), &self.cx.unstoppable());
        if let Err(error) = counts.keep(When::Failed, &self.run) {
            self.cx.note(
                Level::Warn,
                format!("what was written since the backup is not known: {error}"),
            );
        }
    }

    /// Does a step. A watch ends after the time in which the probes had to notice the fault: a drill always goes back.
    ///
    /// # Errors
    /// As the step; and a watch that has found nothing.
    pub fn act(
        &self,
        step: &Step,
        history: &History,
        act: impl FnOnce() -> Result<StepOutput, Failure>,
    ) -> Result<StepOutput, Failure> {
        if step.action != Action::Watch || history.turned().is_some() {
            return act();
        }
        let within = self.record().map(|record| record.within).unwrap_or_default();
        let is_over = AtomicBool::new(false);
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| self.decide_after(within, &is_over));
            let outcome = act();
            is_over.store(true, Ordering::SeqCst);
            outcome
        });
        match outcome {
            Ok(_) => {
                let decision = self.decision();
                Err(Failure {
                    person: Some(Box::new(decision.clone())),
                    ..Failure::new(decision.sentence())
                })
            }
            failed => failed,
        }
    }

    fn decision(&self) -> Intervention {
        Intervention {
            choice: Choice::Rollback,
            by: DRILL.to_owned(),
            at: self.cx.clock.now(),
            via: Via::Command,
            reason: Some("no probe has noticed the fault".to_owned()),
        }
    }

    fn decide_after(&self, within: Duration, is_over: &AtomicBool) {
        let begun = self.cx.clock.steady();
        while self.cx.clock.steady().saturating_sub(begun) < within {
            if is_over.load(Ordering::SeqCst) {
                return;
            }
            self.cx.clock.sleep(TICK);
        }
        if !is_over.load(Ordering::SeqCst)
            && let Err(error) = leave(&self.decision(), &self.run)
        {
            self.cx
                .note(Level::Warn, format!("the watch goes on to its end: {error}"));
        }
    }
}
