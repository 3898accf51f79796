//! What the steps of a run have brought, as the history tells it.

use super::{History, Progress};
use guard_model::artifact::{Artifact, Displaced, Prepared};
use guard_model::fact::{Deployed, Failure, StepOutput};
use guard_model::name::ResourceName;
use guard_model::plan::{Action, Step};

impl History {
    /// The copies that were made.
    pub fn artifacts(&self) -> impl Iterator<Item = &Artifact> {
        self.yields().filter_map(|yields| {
            if let StepOutput::Captured(artifact) = yields {
                Some(artifact)
            } else {
                None
            }
        })
    }

    /// What was staged, or found to need nothing: for each resource what was found last.
    pub fn prepared(&self) -> impl Iterator<Item = &Prepared> {
        let found = |action: &Action| match self.yielded(action) {
            Some(StepOutput::Prepared(prepared)) => Some(prepared),
            _ => None,
        };
        self.plan.steps().filter_map(move |step| match &step.action {
            Action::Prepare(name) => found(&Action::Recheck(name.clone())).or_else(|| found(&step.action)),
            _ => None,
        })
    }

    /// What was put aside; of a resource that was exchanged more than once, the failed release's state comes first.
    pub fn displaced(&self) -> impl Iterator<Item = &Displaced> {
        self.yields().flat_map(|yields| match yields {
            StepOutput::Displaced(displaced) => std::slice::from_ref(displaced),
            StepOutput::DisplacedAgain(all) => all.as_slice(),
            _ => &[],
        })
    }

    /// What is staged for one resource.
    #[must_use]
    pub fn prepared_of(&self, resource: &ResourceName) -> Option<&Prepared> {
        self.prepared().find(|prepared| &prepared.resource == resource)
    }

    /// What the deploy command announced, whether it ended well or not.
    #[must_use]
    pub fn deployed(&self) -> Deployed {
        match self.steps.get(&Step::of(Action::Deploy).id).map(|step| &step.progress) {
            Some(Progress::Done(StepOutput::Deployed(deployed))) => deployed.clone(),
            Some(Progress::Failed(failure)) => failure.deployed.clone().unwrap_or_default(),
            _ => Deployed::default(),
        }
    }

    /// The failures that stand, in the order of the plan.
    pub fn failures(&self) -> impl Iterator<Item = (&Step, &Failure)> {
        self.plan
            .steps()
            .filter_map(|step| match &self.steps.get(&step.id)?.progress {
                Progress::Failed(failure) => Some((step, failure)),
                _ => None,
            })
    }

    fn yields(&self) -> impl Iterator<Item = &StepOutput> {
        self.plan
            .steps()
            .filter_map(|step| match &self.steps.get(&step.id)?.progress {
                Progress::Done(yields) => Some(yields),
                _ => None,
            })
    }
}
