//! What runs, around the exchange: who is stopped before it, and what is started, opened and taken up behind it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::failure::failed;
use super::step_runner::StepRunner;
use super::swapping::has_gone_in;
use super::watching::ask_once;
use crate::decide::nothing_changed;
use crate::history::History;
use guard_model::artifact::Displaced;
use guard_model::event::Level;
use guard_model::fact::{Failure, StepOutput};
use guard_model::health::Outcome;
use guard_model::name::{ResourceName, RunKind};
use guard_model::plan::Action;
use guard_resources::abilities::ServiceNeeds;
use guard_services::{Affected, Extent, ServiceError, Wanted, restart_stale};
use guard_system::context::Context;
use guard_system::docker::{Before, Recorded};

/// How long the services may take until they run and are healthy. A guess.
pub(super) const START_LIMIT: Duration = Duration::from_mins(2);
/// The same for an undo, in which they only have to run: it may bring back a release that never becomes healthy. A guess.
const UNDO_START_LIMIT: Duration = Duration::from_secs(30);

/// Something for each project; `None` is the settings' own.
pub(super) type ByProject<T> = BTreeMap<Option<String>, T>;

/// What ran in a project, and is to run again.
pub(super) struct Ran {
    pub(super) recorded: Recorded,
    /// Its files and everything that they declare are known, and are back.
    pub(super) is_whole: bool,
    /// It tells what ran before the release, and not only before a stop.
    pub(super) is_from_before: bool,
}

impl StepRunner {
    /// What has to be stopped before these are put back, by project.
    pub(super) fn affected(
        &self,
        names: impl IntoIterator<Item = ResourceName>,
    ) -> Result<ByProject<Affected>, Failure> {
        let mut all = ByProject::new();
        for name in names {
            let member = self.resource(&name)?;
            let affected: &mut Affected = all.entry(member.project().map(str::to_owned)).or_default();
            if self.data.contains(&name) {
                affected.data = true;
                affected.resources.push(name.to_string());
            }
            let Some(needs) = member.services() else { continue };
            affected.occupied.extend(needs.occupies());
            affected.replaced.extend(needs.stops());
            affected.databases.extend(needs.needs_running());
            affected.keep_running.extend(needs.needs_running());
        }
        Ok(all)
    }

    /// Stops what uses the data that is about to be swapped, and the failed release, which may still change data that is as
    /// it was.
    pub(super) fn quiesce(&self, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        let mut all = self.affected(Self::concerned(history))?;
        for prepared in history.prepared() {
            let member = self.resource(&prepared.resource)?;
            let affected = all.entry(member.project().map(str::to_owned)).or_default();
            let replaced = member.services().map(|needs| needs.replaces(prepared));
            let replaced = replaced.into_iter().flatten();
            // Without data a start replaces what is replaced; what has a name is drained before, and has hooks.
            let is_named = |service: &String| member.project().is_none() && self.services.has_container(service);
            affected
                .replaced
                .extend(replaced.filter(|service| !self.data.is_empty() || is_named(service)));
        }
        for name in &self.data {
            let member = self.resource(name)?;
            let affected = all.entry(member.project().map(str::to_owned)).or_default();
            let needed = member.services().map(ServiceNeeds::needs_running);
            affected.keep_running.extend(needed.into_iter().flatten());
        }
        let failed = |error| Failure::from_error(&error);
        Self::hold_starters(cx);
        // The settings' own project goes first: the page is put up with it, and the user's commands run.
        let mut own = all.remove(&None).unwrap_or_default();
        // Data of a further project is written by whoever reaches it.
        own.data |= all.values().any(|affected| affected.data);
        let is_data = own.data;
        for affected in all.values_mut() {
            affected.data = is_data;
        }
        let mut stopped = self.strategy.stop(&self.services, &own, cx).map_err(failed)?;
        // Those that need others stop before them.
        let order = self.services.projects_in_order();
        let ordered = order.iter().rev().map(|name| Some((*name).to_owned()));
        for (project, affected) in ordered.filter_map(|name| all.get_key_value(&name)) {
            let (services, there) = self.services.of_project(project.as_deref(), cx);
            let names = self.strategy.stop(&services, affected, &there).map_err(failed)?;
            let project = project.as_deref().unwrap_or_default();
            stopped.extend(names.iter().map(|name| format!("{project}/{name}")));
        }
        self.hold_others(history, cx);
        let by_command = self.services.stop.iter().map(|words| format!("`{}`", words.join(" ")));
        Ok(StepOutput::Quiesced(by_command.chain(stopped).collect()))
    }

    /// The resources that this run puts back or swaps back.
    pub(super) fn concerned(history: &History) -> Vec<ResourceName> {
        let undone = history
            .plan()
            .back
            .iter()
            .flat_map(|stage| &stage.steps)
            .filter_map(|step| match &step.action {
                Action::Undo(name) => Some(name.clone()),
                _ => None,
            });
        let restored = history
            .prepared()
            .filter(|prepared| prepared.work.is_needed())
            .map(|prepared| prepared.resource.clone());
        restored.chain(undone).collect()
    }

    /// Whether clients are kept out of any of the data.
    pub(super) fn is_any_shut(&self, cx: &Context) -> bool {
        let data = self.data.iter().filter_map(|name| self.resources.get(name));
        data.into_iter().any(|member| {
            let (resource, there) = member.at(cx);
            resource.is_shut(&there).unwrap_or(false)
        })
    }

    /// Lets clients into the data that this run has put in, or was about to: code and images are old by now, or stay as they
    /// are. Returns the first that stays shut.
    pub(super) fn let_in(&self, history: &History, cx: &Context) -> Result<(), Failure> {
        let mut outcome = Ok(());
        for name in &self.data {
            let Some(member) = self.resources.get(name) else {
                continue;
            };
            if !has_gone_in(name, history) {
                continue;
            }
            let opened = self.reach(member, cx).and_then(|()| {
                let (resource, there) = member.at(cx);
                let was_shut = resource.let_in(&there).map_err(|error| failed(&error, cx))?;
                // A health check that asks the database itself has to see that it is open, before others wait for it.
                if was_shut { self.reach(member, cx) } else { Ok(()) }
            });
            if let (Err(failure), true) = (opened, outcome.is_ok()) {
                outcome = Err(failure.with_hint(format!(
                    "clients may be kept out of {name} until `guard resume` has gone on"
                )));
            }
        }
        outcome
    }

    /// Starts what ran when the backup was taken, or before the deploy command began; then what was put back is taken up by
    /// the services, and what the release has added beside them is stopped. In this order blue answers again before green goes.
    pub(super) fn start(&self, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        let mut all = self.ran(history, cx)?;
        let (wanted, limit) = Self::wanted(history);
        let answers = nothing_changed(history) && self.answer(cx);
        // The settings' own project comes last: with it the page is taken down.
        let own = all.remove(&None);
        let order = self.services.projects_in_order();
        let order = order.into_iter().map(|name| Some(name.to_owned()));
        let further = order.filter_map(|project| all.remove_entry(&project));
        let further = further.map(|(project, ran)| (project, Some(ran)));
        let ordered: Vec<_> = further.chain([(None, own)]).collect();
        // What cannot be opened keeps nothing else down: it is told at the end.
        let let_in = self.let_in(history, cx);
        self.release_restarts(cx);
        let mut is_up = true;
        for (project, ran) in &ordered {
            let (services, there) = self.services.of_project(project.as_deref(), cx);
            let extent = match ran {
                _ if nothing_changed(history) => Extent::Missing { answers },
                Some(Ran { is_whole: false, .. }) => Extent::Noted,
                _ => Extent::Whole,
            };
            let recorded = ran.as_ref().map(|ran| &ran.recorded);
            let started = self.strategy.start(&services, recorded, &extent, wanted, limit, &there);
            match started {
                // They were started, and starting them again would not make them well: the proof says what they are.
                Err(error @ ServiceError::NotRunning(_)) => {
                    is_up = false;
                    cx.note(Level::Warn, error.to_string());
                }
                brought => brought.map_err(|error| Failure::from_error(&error))?,
            }
        }
        self.release_starters(cx);
        self.switch(history, cx)?;
        let moved = self.lead_back(history, cx);
        for (project, ran) in &ordered {
            let (services, there) = self.services.of_project(project.as_deref(), cx);
            let recorded = ran.as_ref().filter(|ran| ran.is_from_before).map(|ran| &ran.recorded);
            let added = recorded.map_or(Ok(Vec::new()), |recorded| {
                self.strategy.retire(&services, recorded, &there)
            });
            added.map_err(|error| Failure::from_error(&error))?;
        }
        for sentence in self.release_others(cx) {
            cx.note(Level::Warn, &sentence);
            self.tell_at_end(sentence);
        }
        let_in?;
        moved?;
        if is_up {
            let down = self.strategy.admit_traffic(&self.services, cx);
            down.map_err(|error| Failure::from_error(&error))?;
        }
        Ok(StepOutput::Nothing)
    }

    /// Makes the services take up what was put back: containers that still see a file which was replaced are restarted, then
    /// the resources' own tests and reloads are run.
    pub(super) fn switch(&self, history: &History, cx: &Context) -> Result<(), Failure> {
        let changed: Vec<&Displaced> = history.displaced().filter(|one| !one.details.is_null()).collect();
        if changed.is_empty() {
            return Ok(());
        }
        let further = self.services.further.iter().map(|further| Some(further.name.as_str()));
        for name in std::iter::once(None).chain(further) {
            let (services, there) = self.services.of_project(name, cx);
            if let Some(compose) = &services.compose {
                restart_stale(compose, &there).map_err(|error| Failure::from_error(&error))?;
            }
        }
        for displaced in changed {
            // What an older run displaced may belong to a resource that the settings name no more.
            let Some(member) = self.resources.get(&displaced.resource) else {
                continue;
            };
            let (resource, there) = member.at(cx);
            match resource.take_up(displaced, &there) {
                Ok(unasked) => unasked.iter().for_each(|sentence| cx.note(Level::Warn, sentence)),
                // An undo may bring back what was never sound.
                Err(error) if history.plan().kind == RunKind::Undo => {
                    cx.note(Level::Warn, failed(&error, cx).sentence());
                }
                Err(error) => return Err(failed(&error, cx)),
            }
        }
        Ok(())
    }

    /// Whether every probe that decides answers now; `false` where there is none.
    pub(super) fn answer(&self, cx: &Context) -> bool {
        let answers = ask_once(&self.probes, &self.runtime, cx);
        let mut deciding = answers.iter().filter(|(probe, _)| probe.decides()).peekable();
        deciding.peek().is_some() && deciding.all(|(_, answer)| answer.outcome == Outcome::Ok)
    }

    /// What runs again after the way back, by project: what ran when the backup was taken, and where no copy tells that, what
    /// ran before the deploy command began, or before anything was stopped.
    pub(super) fn ran(&self, history: &History, cx: &Context) -> Result<ByProject<Ran>, Failure> {
        let whole = |(project, recorded)| {
            let ran = Ran {
                recorded,
                is_whole: true,
                is_from_before: true,
            };
            (project, ran)
        };
        let mut all: ByProject<Ran> = self.recorded(history)?.into_iter().map(whole).collect();
        let further = self.services.further.iter().map(|further| Some(further.name.as_str()));
        for name in std::iter::once(None).chain(further) {
            let (services, there) = self.services.of_project(name, cx);
            let Some(compose) = services.compose.filter(|_| !all.contains_key(&name.map(str::to_owned))) else {
                continue;
            };
            let noted = |before| Recorded::noted(before, &compose, &there).map_err(|error| Failure::from_error(&error));
            let from_before = noted(Before::Deploy)?;
            let is_from_before = from_before.is_some();
            let recorded = match from_before {
                Some(recorded) => Some(recorded),
                None => noted(Before::Stop)?,
            };
            if let Some(recorded) = recorded {
                let ran = Ran {
                    recorded,
                    is_whole: false,
                    is_from_before,
                };
                all.insert(name.map(str::to_owned), ran);
            }
        }
        Ok(all)
    }

    /// What the services have to be after the way back, and within which time.
    pub(super) fn wanted(history: &History) -> (Wanted, Duration) {
        if history.plan().kind == RunKind::Undo {
            (Wanted::Running, UNDO_START_LIMIT)
        } else {
            (Wanted::Healthy, START_LIMIT)
        }
    }
}
