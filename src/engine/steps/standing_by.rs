//! Copies that are made to stand by, aside of the steps: which want to, and who makes them.

use std::sync::Arc;

use super::failure::failed;
use super::standbys::CALLED_OFF;
use super::step_runner::StepRunner;
use crate::history::History;
use guard_model::artifact::Artifact;
use guard_model::fact::{Failure, StandbyState};
use guard_model::name::ResourceName;
use guard_model::policy::OnFailure;
use guard_resources::abilities::{Occasion, StandingBy};
use guard_resources::{Member, Slot};
use guard_system::context::Context;
use guard_system::stop::Stop;

impl StepRunner {
    /// The resources that want a copy to stand by.
    pub(super) fn wanting_standbys(&self, history: &History) -> Vec<ResourceName> {
        let occasion = self.occasion(history);
        let wants = |artifact: &&Artifact| {
            let member = self.resources.get(&artifact.resource);
            member.is_some_and(|member| member.wants_standby(artifact, &occasion))
        };
        let artifacts = history.artifacts().filter(wants);
        artifacts.map(|artifact| artifact.resource.clone()).collect()
    }

    fn occasion(&self, history: &History) -> Occasion {
        Occasion {
            time: self.rule.window,
            goes_back_unasked: history.plan().policy.on_failure == OnFailure::Rollback,
        }
    }

    /// Begins one, aside.
    pub(super) fn begin_to_stand_by(&self, name: &ResourceName, history: &History) {
        let stop = Stop::default();
        let cx = Context {
            stop: stop.clone(),
            ..self.cx.expendable()
        };
        let occasion = self.occasion(history);
        let found = self
            .resources
            .get(name)
            .map(Arc::clone)
            .zip(history.artifacts().find(|artifact| &artifact.resource == name).cloned());
        let slot = self.slot(history, name);
        self.standbys.begin(name, stop, move || match found {
            Some((member, artifact)) => make(&member, &artifact, &slot, &occasion, &cx),
            None => StandbyState::Failed {
                why: "there is no copy".to_owned(),
            },
        });
    }

    pub(super) fn ended_to_stand_by(&self) -> Vec<(ResourceName, StandbyState)> {
        self.standbys.ended()
    }

    pub(super) fn call_off_standbys(&self) {
        self.standbys.call_off();
    }
}

/// Makes a copy that stands by, and says what has become of it.
fn make(member: &Member, artifact: &Artifact, slot: &Slot, occasion: &Occasion, cx: &Context) -> StandbyState {
    let (resource, there) = member.at(cx);
    match resource.stand_by(artifact, slot, occasion, &there) {
        Ok(StandingBy::Ready { kept_as }) => StandbyState::Ready { kept_as },
        Ok(StandingBy::Without { why }) => StandbyState::Without { why },
        Err(_) if cx.stop.is_asked() => StandbyState::Without {
            why: CALLED_OFF.to_owned(),
        },
        Err(error) => {
            let failure: Failure = failed(&error, cx);
            StandbyState::Failed {
                why: failure.sentence(),
            }
        }
    }
}
