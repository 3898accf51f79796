//! The way back: evidence, staging, stopping, swapping, starting.

use std::collections::BTreeMap;
use std::time::Duration;

use super::failure::failed;
use super::step_runner::StepRunner;
use super::watching::ask_once;
use crate::decide::nothing_changed;
use crate::history::History;
use guard_model::artifact::{Artifact, Displaced, Live, Prepared, Work};
use guard_model::event::Level;
use guard_model::fact::{Failure, StepOutput};
use guard_model::health::Outcome;
use guard_model::name::{ResourceName, RunId, RunKind, Timestamp};
use guard_model::plan::{Action, Step};
use guard_model::policy::DataRestore;
use guard_resources::abilities::ServiceNeeds;
use guard_resources::{Group, Member, Resource, Slot};
use guard_services::{Affected, Extent, ServiceError, Wanted, keep_evidence, restart_stale};
use guard_store::Backup;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::docker::{Before, Recorded};

/// How long the services may take until they run and are healthy. A guess.
const START_LIMIT: Duration = Duration::from_mins(2);
/// The same for an undo, in which they only have to run: it may bring back a release that never becomes healthy. A guess.
const UNDO_START_LIMIT: Duration = Duration::from_secs(30);

/// How long data has to stay as it is where somebody has just written to it. A guess.
const STILL: Duration = Duration::from_secs(1);
/// How often data is exchanged again in one try, where somebody writes to it meanwhile. A guess.
const EXCHANGES: usize = 2;
/// From here on the names of further exchanges are counted: no two runs begin in one second so often.
const FURTHER: u32 = 900;

/// The surroundings of a further exchange: what it makes outside has names of its own, in the form of a run's.
fn again(number: usize, cx: &Context) -> Context {
    let place = FURTHER.saturating_add(u32::try_from(number).unwrap_or(u32::MAX));
    let named = cx.run.as_ref().map(|run| {
        let timestamp = Timestamp::at(run.timestamp().moment(), place.saturating_sub(1));
        RunId::new(&timestamp, run.kind())
    });
    Context {
        run: named,
        ..cx.clone()
    }
}

/// Whether something was put into this resource by the run, or was about to be.
#[must_use]
pub fn has_gone_in(name: &ResourceName, history: &History) -> bool {
    let is_begun = |act: Action| history.step(&Step::of(act).id).is_some();
    let is_needed = || {
        history
            .prepared_of(name)
            .is_some_and(|prepared| prepared.work.is_needed())
    };
    is_begun(Action::Undo(name.clone())) || (is_needed() && is_begun(Action::Restore(name.clone())))
}

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
            for note in keep_evidence(&place, project, history.opened(), &there) {
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
    fn reach(&self, member: &Member, cx: &Context) -> Result<(), Failure> {
        let (services, there) = self.services.of_project(member.project(), cx);
        let needed = member.services().map(ServiceNeeds::needs_running);
        match services.ensure_running(&needed.unwrap_or_default(), START_LIMIT, &there) {
            // A health check that asks the database itself fails for as long as nobody is let in.
            Err(ServiceError::NotRunning(_)) if self.is_any_shut(cx) => Ok(()),
            other => other.map_err(|error| Failure::from_error(&error)),
        }
    }

    fn stage(&self, name: &ResourceName, history: &History, cx: &Context) -> Result<Prepared, Failure> {
        let member = self.resource(name)?;
        let artifact = self.artifact(name, history)?;
        let slot = self.slot(history, name);
        self.reach(member, cx)?;
        let (resource, there) = member.at(cx);
        if !resource.compares_copies() {
            slot.compare(&artifact).map_err(|error| failed(&error, cx))?;
        }
        let policy = if history.is_widened(name) {
            DataRestore::Always
        } else {
            history.plan().policy.data_restore
        };
        resource
            .prepare(&artifact, &slot, policy, &there)
            .map_err(|error| failed(&error, cx))
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
    fn reprice(&self, prepared: &Prepared, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
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

    /// What has to be stopped before these are put back, by project.
    fn affected(&self, names: impl IntoIterator<Item = ResourceName>) -> Result<ByProject<Affected>, Failure> {
        let mut all = ByProject::new();
        for name in names {
            let member = self.resource(&name)?;
            let affected: &mut Affected = all.entry(member.project().map(str::to_owned)).or_default();
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
        for prepared in history.prepared().filter(|_| !self.data.is_empty()) {
            let member = self.resource(&prepared.resource)?;
            let affected = all.entry(member.project().map(str::to_owned)).or_default();
            let replaced = member.services().map(|needs| needs.replaces(prepared));
            affected.replaced.extend(replaced.into_iter().flatten());
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
        let own = all.remove(&None).unwrap_or_default();
        let mut stopped = self.strategy.stop(&self.services, &own, cx).map_err(failed)?;
        for (project, affected) in &all {
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
    fn concerned(history: &History) -> Vec<ResourceName> {
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

    /// Swaps a prepared copy in, and looks whether the resource is as the copy then.
    pub(super) fn restore(&self, name: &ResourceName, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        let nothing = Displaced {
            resource: name.clone(),
            details: serde_json::Value::Null,
            kept_as: Vec::new(),
        };
        let Some(prepared) = history.prepared_of(name).filter(|prepared| prepared.work.is_needed()) else {
            return Ok(StepOutput::Displaced(nothing));
        };
        let member = self.resource(name)?;
        let artifact = self.artifact(name, history)?;
        self.reach(member, cx)?;
        let slot = self.slot(history, name);
        // Code and images are still the failed release's: nobody writes into data that is back before they are old.
        let (resource, there) = member.at(&cx.fenced());
        let cx = &there;
        let beside: Vec<&Prepared> = history
            .prepared()
            .filter(|other| &other.resource != name && other.work.is_needed())
            .filter(|other| !history.displaced().any(|done| done.resource == other.resource))
            .collect();
        let group = Group {
            others: &beside,
            barrier: &self.barrier,
        };
        let displaced = resource
            .restore_together(prepared, &artifact, &slot, &group, cx)
            .map_err(|error| failed(&error, cx))?;
        if !self.data.contains(name) {
            // What runs comes up later: the rest is compared when everything is started.
            return Ok(StepOutput::Displaced(displaced));
        }
        let carried = resource.carried(&displaced);
        for sentence in carried.iter().flat_map(|carried| &carried.sentences) {
            cx.note(Level::Info, format!("{name}: {sentence}"));
        }
        if resource.is_compared(&displaced) {
            Self::shut_out(resource, cx);
            return Ok(StepOutput::Displaced(displaced));
        }
        let meant = Artifact {
            fingerprint: carried.map_or(artifact.fingerprint.clone(), |carried| carried.becomes),
            ..artifact.clone()
        };
        let brought = match resource
            .compare(&meant, &slot, cx)
            .map_err(|error| failed(&error, cx))?
        {
            Live::Matches => Ok(StepOutput::Displaced(displaced)),
            Live::Differs(parts) => Self::exchange_again(resource, &artifact, &slot, (displaced, parts), cx),
            Live::Unknown(why) => Err(Failure::new(format!(
                "{name} was put back and cannot be compared: {why}"
            ))),
        };
        if brought.is_ok() {
            Self::shut_out(resource, cx);
        }
        brought
    }

    /// Exchanges data again that differs although it was swapped in: somebody writes to it. What each exchange puts aside is
    /// kept. A try that comes later finds what the ones before have staged, so it never only looks at what was done.
    fn exchange_again(
        resource: &dyn Resource,
        artifact: &Artifact,
        slot: &Slot,
        (first, mut parts): (Displaced, Vec<String>),
        cx: &Context,
    ) -> Result<StepOutput, Failure> {
        let name = resource.name();
        let record = cx.scratch.join(format!("again-{name}.json"));
        let bytes = disk::read_optional(&record).map_err(|error| Failure::from_error(&error))?;
        let mut staged: Vec<Prepared> = bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let mut all = vec![first];
        for (number, prepared) in staged.iter().enumerate() {
            let swapped = resource.restore(prepared, artifact, slot, &again(number, cx));
            all.push(swapped.map_err(|error| failed(&error, cx))?);
        }
        // The caller has just looked.
        let mut is_fresh = staged.is_empty();
        for round in 0..=EXCHANGES {
            if !staged.is_empty() && all.last().is_some_and(|last| resource.is_compared(last)) {
                // What was swapped in was compared before, and nobody was let in since.
                return Ok(StepOutput::DisplacedAgain(all));
            }
            if !std::mem::take(&mut is_fresh) {
                let carried = all.last().and_then(|last| resource.carried(last));
                let meant = Artifact {
                    fingerprint: carried.map_or(artifact.fingerprint.clone(), |carried| carried.becomes),
                    ..artifact.clone()
                };
                match resource.compare(&meant, slot, cx).map_err(|error| failed(&error, cx))? {
                    Live::Matches if Self::is_still(resource, &meant, slot, cx)? => {
                        return Ok(StepOutput::DisplacedAgain(all));
                    }
                    Live::Matches => {}
                    Live::Differs(differs) => parts = differs,
                    Live::Unknown(why) => {
                        return Err(Failure::new(format!(
                            "{name} was put back and cannot be compared: {why}"
                        )));
                    }
                }
            }
            if round == EXCHANGES {
                break;
            }
            let note = format!(
                "{name} was written to while it was put back, in: {}; it is exchanged again",
                parts.join(", ")
            );
            cx.note(Level::Warn, note);
            let there = again(staged.len(), cx);
            let prepared = resource.prepare(artifact, slot, DataRestore::Always, &there);
            let prepared = prepared.map_err(|error| failed(&error, cx))?;
            if !prepared.work.is_needed() {
                continue;
            }
            staged.push(prepared.clone());
            let bytes = serde_json::to_vec(&staged).unwrap_or_default();
            disk::write_whole(&record, &bytes).map_err(|error| Failure::from_error(&error))?;
            let swapped = resource.restore(&prepared, artifact, slot, &there);
            all.push(swapped.map_err(|error| failed(&error, cx))?);
        }
        let failure = Failure::new(format!(
            "{name} was put back and still differs in: {}",
            parts.join(", ")
        ));
        let failure = failure.with_cause("something goes on writing to it");
        Err(failure.with_hint(format!(
            "stop what writes to {name}; `guard resume` exchanges it again then"
        )))
    }

    /// Whether data that somebody wrote to a moment ago stays as it is for a while: nothing that is to write runs yet.
    fn is_still(resource: &dyn Resource, meant: &Artifact, slot: &Slot, cx: &Context) -> Result<bool, Failure> {
        cx.clock.sleep(STILL);
        let look = resource.compare(meant, slot, cx).map_err(|error| failed(&error, cx))?;
        Ok(look == Live::Matches)
    }

    /// Swaps back what the rollback before this run displaced.
    pub(super) fn undo(&self, name: &ResourceName, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        let member = self.resource(name)?;
        self.reach(member, cx)?;
        let (resource, there) = member.at(cx);
        let Some(displaced) = self.undoing.iter().find(|displaced| &displaced.resource == name) else {
            return Err(Failure {
                permanent: true,
                ..Failure::new(format!("the run before displaced nothing of `{name}`"))
            });
        };
        let others = self.undoing.iter().filter(|other| &other.resource != name);
        let beside: Vec<&Displaced> = others
            .filter(|other| !history.displaced().any(|done| done.resource == other.resource))
            .collect();
        let is_data = self.data.contains(name);
        let cx = if is_data { &there.fenced() } else { &there };
        let group = Group {
            others: &beside,
            barrier: &self.barrier,
        };
        let undone = resource.undo_together(displaced, &group, cx);
        if is_data && undone.is_ok() {
            Self::shut_out(resource, cx);
        }
        undone.map(StepOutput::Displaced).map_err(|error| failed(&error, cx))
    }

    /// Keeps clients out of what was put in. Where that cannot be done the way back goes on, as it does for kinds that
    /// cannot: it is told.
    fn shut_out(resource: &dyn Resource, cx: &Context) {
        if let Err(error) = resource.shut_out(cx) {
            let why = failed(&error, cx).sentence();
            let note = format!(
                "{}: clients could not be kept out while code and images go back: {why}",
                resource.name()
            );
            cx.note(Level::Warn, note);
        }
    }

    /// Whether clients are kept out of any of the data.
    fn is_any_shut(&self, cx: &Context) -> bool {
        let data = self.data.iter().filter_map(|name| self.resources.get(name));
        data.into_iter().any(|member| {
            let (resource, there) = member.at(cx);
            resource.is_shut(&there).unwrap_or(false)
        })
    }

    /// Lets clients into the data that this run has put in, or was about to: code and images are old by now, or stay as they
    /// are. Returns the first that stays shut.
    fn let_in(&self, history: &History, cx: &Context) -> Result<(), Failure> {
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
        let further = all.into_iter().map(|(project, ran)| (project, Some(ran)));
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
        if is_up {
            let down = self.strategy.admit_traffic(&self.services, cx);
            down.map_err(|error| Failure::from_error(&error))?;
        }
        Ok(StepOutput::Nothing)
    }

    /// Makes the services take up what was put back: containers that still see a file which was replaced are restarted, then
    /// the resources' own tests and reloads are run.
    fn switch(&self, history: &History, cx: &Context) -> Result<(), Failure> {
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
    fn answer(&self, cx: &Context) -> bool {
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
