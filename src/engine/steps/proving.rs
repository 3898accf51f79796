//! The proof at the end of the way back: resources and services side by side, then the probes.

use super::failure::failed;
use super::services::ByProject;
use super::step_runner::StepRunner;
use crate::decide::nothing_changed;
use crate::history::History;
use guard_model::artifact::{Artifact, Live, Prepared};
use guard_model::event::Level;
use guard_model::fact::{Failure, StepOutput};
use guard_model::name::{ResourceName, RunKind};
use guard_model::plan::{Action, Step};
use guard_resources::compose;
use guard_services::ServiceError;
use guard_system::context::Context;
use guard_system::docker::Recorded;

/// Whether a resource was put back: one that could not be is named by the end of the run, and proves nothing.
fn is_back(name: &ResourceName, history: &History) -> bool {
    history.yielded(&Action::Restore(name.clone())).is_some()
}

impl StepRunner {
    /// Asks everything that can be asked: each resource that nobody writes to, and the probes.
    pub(super) fn prove(&self, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        if nothing_changed(history) && history.step(&Step::of(Action::Start).id).is_none() {
            // Nothing was started, and the probes have to see what is there.
            self.take_page_down(cx);
        }
        let lost = |_| Err(Failure::new("a bug in guard: a proof panicked"));
        let found = std::thread::scope(|scope| {
            let steady = scope.spawn(|| self.prove_steady(history, cx).map(|()| Vec::new()));
            let asked: Vec<_> = history
                .prepared()
                .filter(|prepared| prepared.work.is_needed() && is_back(&prepared.resource, history))
                .map(|prepared| scope.spawn(|| self.prove_one(prepared, history, cx)))
                .collect();
            let mut answers: Vec<Result<Vec<String>, Failure>> =
                asked.into_iter().map(|one| one.join().unwrap_or_else(lost)).collect();
            // The probes have a time to pass in, and do not share it with comparisons that keep the machine busy.
            if answers.iter().all(Result::is_ok) {
                answers.push(self.prove_by_probes(history, cx));
            }
            // A smoke test may change something, so it comes last.
            if answers.iter().all(Result::is_ok) {
                answers.push(self.prove_by_checks(cx));
            }
            answers.push(steady.join().unwrap_or_else(lost));
            answers.into_iter().collect::<Result<Vec<_>, Failure>>()
        });
        let mut proven = found?.concat();
        proven.extend(self.prove_beside_others(history, cx)?);
        Ok(StepOutput::Proven(proven))
    }

    /// Compares data once more where something of the failed release goes on: it may have changed what was put back.
    fn prove_beside_others(&self, history: &History, cx: &Context) -> Result<Vec<String>, Failure> {
        let others = self.services.leftovers_that_go_on(cx).join(", ");
        if others.is_empty() {
            return Ok(Vec::new());
        }
        for name in self.data.iter().filter(|name| is_back(name, history)) {
            if history
                .prepared_of(name)
                .is_none_or(|prepared| !prepared.work.is_needed())
            {
                continue;
            }
            let (resource, there) = self.resource(name)?.at(cx);
            let artifact = self.artifact(name, history)?;
            let displaced = history.displaced().filter(|one| &one.resource == name).last();
            let carried = displaced.and_then(|one| resource.carried(one));
            let meant = Artifact {
                fingerprint: carried.map_or(artifact.fingerprint.clone(), |carried| carried.becomes),
                ..artifact
            };
            if let Live::Differs(parts) = resource.check(&meant, &there).map_err(|error| failed(&error, cx))? {
                let what = format!("{name} was put back and differs again, in: {}", parts.join(", "));
                let failure = Failure::new(what).with_cause(format!("of the failed release there is still: {others}"));
                return Err(
                    failure.with_hint("end it, then `guard rollback` to the same backup puts the data back again")
                );
            }
        }
        Ok(vec![format!("of the failed release there is still: {others}")])
    }

    fn prove_one(&self, prepared: &Prepared, history: &History, cx: &Context) -> Result<Vec<String>, Failure> {
        let name = &prepared.resource;
        let backup = &history.plan().backup;
        if self.data.contains(name) {
            return self.proven_before(name, history);
        }
        let artifact = self.artifact(name, history)?;
        let (resource, there) = self.resource(name)?.at(cx);
        match resource
            .compare(&artifact, &self.slot(history, name), &there)
            .map_err(|error| failed(&error, cx))?
        {
            Live::Matches => Ok(vec![format!("{name} is as in backup {backup}")]),
            Live::Differs(parts) => {
                // What the failed side makes different is there on purpose.
                let (kept, other): (Vec<String>, Vec<String>) =
                    parts.into_iter().partition(|part| self.is_of_kept_side(name, part, cx));
                if other.is_empty() {
                    let kept = kept.join(", ");
                    return Ok(vec![format!(
                        "{name} is as in backup {backup} but for the failed side, which is kept: {kept}"
                    )]);
                }
                Err(Failure::new(format!("{name} differs in: {}", other.join(", "))))
            }
            Live::Unknown(why) => Err(Failure::new(format!("{name} cannot be compared: {why}"))),
        }
    }

    /// Data was compared when it was put back, before the services started: by now they write to it.
    fn proven_before(&self, name: &ResourceName, history: &History) -> Result<Vec<String>, Failure> {
        let displaced = history.displaced().find(|displaced| &displaced.resource == name);
        let carried = displaced.and_then(|displaced| self.resource(name).ok()?.account()?.carried(displaced));
        let backup = self.artifact(name, history)?.fingerprint;
        let differs = carried.as_ref().is_some_and(|carried| carried.becomes != backup);
        let with = if differs { ", with what was carried over," } else { "" };
        let was = format!(
            "{name} was as in backup {}{with} when the services started",
            history.plan().backup
        );
        let sentences = carried.into_iter().flat_map(|carried| carried.sentences);
        let sentences = sentences.map(|sentence| format!("{name}: {sentence}"));
        Ok(std::iter::once(was).chain(sentences).collect())
    }

    /// Whether what was started stays up; where it does not, that is told, and the probes say what it means.
    fn prove_steady(&self, history: &History, cx: &Context) -> Result<(), Failure> {
        let was_started = history.step(&Step::of(Action::Start).id).is_some();
        let all = if was_started {
            self.ran(history, cx)?
        } else {
            ByProject::new()
        };
        let (wanted, limit) = Self::wanted(history);
        for (project, ran) in &all {
            let (services, there) = self.services.of_project(project.as_deref(), cx);
            match services.await_steady(Some(&ran.recorded), wanted, limit, &there) {
                // Nobody waited for it to the end.
                Err(ServiceError::NotRunning(_)) if cx.stop.is_asked() => {}
                Err(error @ ServiceError::NotRunning(_)) => cx.note(Level::Warn, error.to_string()),
                steady => steady.map_err(|error| Failure::from_error(&error))?,
            }
        }
        Ok(())
    }

    /// What ran when the backup was taken, or, for an undo, when the rollback displaced it; by project.
    pub(super) fn recorded(&self, history: &History) -> Result<ByProject<Recorded>, Failure> {
        let project = |name: &ResourceName| {
            let resource = self.resources.get(name)?;
            resource.project().map(str::to_owned)
        };
        let mut all = ByProject::new();
        if history.plan().kind == RunKind::Undo {
            let displaced = self.undoing.iter();
            all.extend(displaced.filter_map(|one| Some((project(&one.resource), compose::recorded_in(one)?))));
            if self.services.further.is_empty() && !all.is_empty() {
                return Ok(all);
            }
        }
        let artifacts: Vec<Artifact> = match history.artifacts().next() {
            Some(_) => history.artifacts().cloned().collect(),
            // A rollback that found a project as in the backup displaced nothing of it: the backup says what ran.
            None => self.backup(history)?.manifest.artifacts,
        };
        for artifact in &artifacts {
            if let Some(recorded) = compose::recorded(artifact) {
                // What is not asked for is no resource of this run; its copy tells where it belongs.
                let of = artifact.project.clone().or_else(|| project(&artifact.resource));
                all.entry(of).or_insert(recorded);
            }
        }
        Ok(all)
    }
}
