//! The way back while nothing is down yet: evidence, the copies staged and priced beside what is live.

use super::failure::failed;
use super::services::START_LIMIT;
use super::step_runner::StepRunner;
use crate::history::History;
use guard_model::artifact::{Artifact, Prepared, Work};
use guard_model::event::Level;
use guard_model::fact::{Failure, StepOutput};
use guard_model::name::ResourceName;
use guard_model::plan::{Action, Step};
use guard_model::policy::DataRestore;
use guard_resources::Member;
use guard_resources::abilities::ServiceNeeds;
use guard_services::{ServiceError, keep_evidence};
use guard_store::Backup;
use guard_system::context::Context;
use guard_system::disk;

impl StepRunner {
    /// Keeps what explains the failure, before anything is put back.
    pub(super) fn evidence(&self, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        self.learn_secrets(cx);
        let directory = cx.scratch.join("evidence");
        disk::create_private_dir(&directory).map_err(|error| Failure::from_error(&error))?;
        let further = self.services.further.iter().map(|further| Some(further.name.as_str()));
        for name in std::iter::once(None).chain(further) {
            let (services, there) = self.services.of_project(name, cx);
            let place = name.map_or(directory.clone(), |name| directory.join(name));
            let project = services.compose.as_ref().map(|compose| compose.project.as_str());
            for note in keep_evidence(&place, project, &services.units(), history.opened(), &there) {
                cx.note(Level::Warn, format!("evidence: {note}"));
            }
        }
        Ok(StepOutput::Nothing)
    }

    /// The backup that this run goes back to.
    pub(super) fn backup(&self, history: &History) -> Result<Backup, Failure> {
        let found = self.store.get(&history.plan().backup);
        found.map_err(|error| Failure {
            permanent: true,
            ..Failure::from_error(&error)
        })
    }

    /// The copy of a resource in the backup that this run goes back to.
    pub(super) fn artifact(&self, name: &ResourceName, history: &History) -> Result<Artifact, Failure> {
        if let Some(artifact) = history.artifacts().find(|artifact| &artifact.resource == name) {
            return Ok(artifact.clone());
        }
        let found = self.backup(history)?.manifest.artifact(name).cloned();
        found.ok_or_else(|| Failure {
            permanent: true,
            ..Failure::new(format!("backup {} holds no copy of `{name}`", history.plan().backup))
        })
    }

    /// Proves the copy once more, and stages it beside what is live.
    pub(super) fn prepare(&self, name: &ResourceName, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        if let Some(withheld) = self.withheld_for_drift(name, history, cx) {
            return Ok(StepOutput::Prepared(withheld));
        }
        if let Some(why) = self.way_back_is_gone(history) {
            return Ok(StepOutput::Prepared(Prepared {
                resource: name.clone(),
                work: Work::Gone(why),
                details: serde_json::Value::Null,
                price: Vec::new(),
            }));
        }
        self.stage(name, history, cx).map(StepOutput::Prepared)
    }

    /// Sees to it that the services run through which a resource is put back.
    pub(super) fn reach(&self, member: &Member, cx: &Context) -> Result<(), Failure> {
        let (services, there) = self.services.of_project(member.project(), cx);
        let needed = member.services().map(ServiceNeeds::needs_running);
        match services.ensure_running(&needed.unwrap_or_default(), START_LIMIT, &there) {
            // A health check that asks the database itself fails for as long as nobody is let in.
            Err(ServiceError::NotRunning(_)) if self.is_any_shut(cx) => Ok(()),
            other => other.map_err(|error| Failure::from_error(&error)),
        }
    }

    pub(super) fn stage(&self, name: &ResourceName, history: &History, cx: &Context) -> Result<Prepared, Failure> {
        let member = self.resource(name)?;
        let artifact = self.artifact(name, history)?;
        let slot = self.slot(history, name);
        self.reach(member, cx)?;
        let (resource, there) = member.at(cx);
        if !resource.compares_copies() {
            slot.compare(&artifact).map_err(|error| failed(&error, cx))?;
        }
        // What goes back goes back whatever it costs: whoever could be asked was asked before the run.
        let is_told_later = history.plan().step(&Step::of(Action::Price(name.clone())).id).is_some();
        let there = if is_told_later { there.prices_later() } else { there };
        let policy = if history.is_widened(name) {
            DataRestore::Always
        } else {
            history.plan().policy.data_restore
        };
        resource
            .prepare(&artifact, &slot, policy, &there)
            .map_err(|error| failed(&error, cx))
    }

    /// Tells what going back cost, from what was put aside; where that cannot be done, that it is not known.
    pub(super) fn price(&self, name: &ResourceName, history: &History, cx: &Context) -> StepOutput {
        let told = || -> Result<Vec<String>, Failure> {
            let (Some(prepared), Some(displaced)) = (
                history.prepared_of(name),
                history.displaced().find(|displaced| &displaced.resource == name),
            ) else {
                return Err(Failure::new("nothing was put aside"));
            };
            let artifact = self.artifact(name, history)?;
            let (resource, there) = self.resource(name)?.at(cx);
            resource
                .price_after(prepared, displaced, &artifact, &there)
                .map_err(|error| failed(&error, cx))
        };
        let price = told().unwrap_or_else(|failure| {
            let why = failure.sentence();
            vec![format!(
                "what going back cost is not known: {why}; what was put aside has all of it"
            )]
        });
        StepOutput::Priced {
            resource: name.clone(),
            price,
        }
    }

    /// Compares data again that needed nothing while the failed release still ran: a migration may have come after that.
    pub(super) fn recheck(&self, name: &ResourceName, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        if let Some(prepared) = history.prepared_of(name).filter(|prepared| prepared.work.is_needed()) {
            return self.reprice(prepared, history, cx);
        }
        let prepared = self.stage(name, history, cx)?;
        match &prepared.work {
            Work::Unchanged | Work::Left(_) => {}
            Work::Changed(parts) => {
                cx.note(
                    Level::Warn,
                    format!("{name} was changed until now, in: {}", parts.join(", ")),
                );
                for (project, affected) in self.affected([name.clone()])? {
                    let (services, there) = self.services.of_project(project.as_deref(), cx);
                    self.strategy
                        .stop_more(&services, &affected, &there)
                        .map_err(|error| Failure::from_error(&error))?;
                }
            }
            // Services are stopped by now: leaving the new state alone is not open any more.
            Work::Withheld(why) | Work::Gone(why) => {
                let failure = Failure {
                    permanent: true,
                    ..Failure::new(format!("{name} was changed until now, and must not be put back: {why}"))
                };
                return Err(failure.with_hint("`guard rollback --data-restore always` puts it back all the same"));
            }
        }
        Ok(StepOutput::Prepared(prepared))
    }

    /// Tells the price anew, now that nobody writes any more: it may have risen since the copy was staged.
    pub(super) fn reprice(&self, prepared: &Prepared, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        let name = &prepared.resource;
        let artifact = self.artifact(name, history)?;
        let (resource, there) = self.resource(name)?.at(cx);
        match resource.reprice(prepared, &artifact, &self.slot(history, name), &there) {
            Ok(Some(price)) if price != prepared.price => Ok(StepOutput::Prepared(Prepared {
                price,
                ..prepared.clone()
            })),
            Ok(_) => Ok(StepOutput::Nothing),
            Err(error) => {
                let why = failed(&error, cx).sentence();
                cx.note(
                    Level::Warn,
                    format!("{name}: what going back costs may have risen: {why}"),
                );
                Ok(StepOutput::Nothing)
            }
        }
    }
}
