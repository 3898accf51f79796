//! Each action goes to the one who does it.

use super::step_runner::StepRunner;
use super::{hearing, limit};
use crate::drive::Acts;
use crate::history::History;
use guard_model::fact::{Failure, StandbyState, StepOutput};
use guard_model::name::ResourceName;
use guard_model::now::Now;
use guard_model::plan::{Action, Step};
use guard_system::context::Context;

impl Acts for StepRunner {
    fn act(&self, step: &Step, history: &History) -> Result<StepOutput, Failure> {
        let is_back = history.turned().is_some();
        let cx = self.cx.for_step(&step.id);
        // A signal stops what leads ahead. What leads back is stopped between steps, never inside one.
        let cx = if is_back { cx.unstoppable() } else { cx };
        if is_back {
            let before = *self.asked_before.get_or_init(|| self.cx.stop.times());
            let heard = match step.action {
                Action::Prove => Some("is being proven"),
                Action::Price(_) => Some("what it cost is being told"),
                _ => None,
            };
            if let Some(what) = heard {
                return hearing::proof(&self.cx.stop, before, (what, &cx), || self.does(step, history, &cx));
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

    fn standbys(&self, history: &History) -> Vec<ResourceName> {
        self.wanting_standbys(history)
    }

    fn begin_standby(&self, name: &ResourceName, history: &History) {
        self.begin_to_stand_by(name, history);
    }

    fn ended_standbys(&self) -> Vec<(ResourceName, StandbyState)> {
        self.ended_to_stand_by()
    }

    fn call_off(&self) {
        self.call_off_standbys();
    }
}

impl StepRunner {
    fn does(&self, step: &Step, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        match &step.action {
            Action::Baseline => {
                let seen = self.baseline(history, cx)?;
                let begun = self.services.begin_copy(cx);
                begun.map_err(|error| Failure::from_error(&error))?;
                Ok(seen)
            }
            Action::Capture(name) => self.capture(name, history, cx),
            Action::Seal => self.seal(history, cx),
            Action::Deploy => {
                self.pace.end(&self.runtime);
                self.deploy(history, cx)
            }
            Action::Gate => self.gate(history, cx),
            Action::Verify => self.verify(cx),
            Action::SwitchTraffic => self.switch_traffic(history, cx),
            Action::Watch => self.watch(history, cx),
            Action::Settle => self.settle(history, cx),
            Action::SwitchBack => self.switch_back(history, cx),
            Action::Evidence => self.evidence(history, cx),
            Action::Prepare(name) => self.prepare(name, history, cx),
            Action::Quiesce => self.quiesce(history, cx),
            Action::Recheck(name) => self.recheck(name, history, cx),
            Action::Restore(name) => afterwards(cx, self.restore(name, history, cx)),
            Action::Undo(name) => afterwards(cx, self.undo(name, history, cx)),
            Action::Start => self.start(history, cx),
            Action::Prove => self.prove(history, cx),
            Action::Price(name) => Ok(self.price(name, history, cx)),
        }
    }
}

/// What was put back may be files that Compose reads by a name that nobody can find: they are read anew from here on.
fn afterwards<T>(cx: &Context, done: T) -> T {
    cx.configurations.forget();
    done
}
