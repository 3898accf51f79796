//! Visitors, where a release comes up beside what is live: led to it when it has passed, and back to what was live before.

use std::sync::Arc;

use super::step_runner::StepRunner;
use super::watching::ask_once;
use crate::history::History;
use guard_model::event::Level;
use guard_model::fact::{Failure, StepOutput};
use guard_model::health::{Outcome, Started, Verdict};
use guard_model::name::{ResourceName, RunKind};
use guard_model::plan::{Action, Step};
use guard_model::policy::DataRestore;
use guard_model::text::chain;
use guard_probes::{Expectation, Probe};
use guard_resources::is_other_schema;
use guard_services::{Roles, ServiceError};
use guard_system::context::Context;

use super::probe_loop::StopWhen;

/// What is done where the front cannot be asked or switched.
const HINT: &str =
    "`guard check` asks the front and says what it serves; mend it, then `guard resume` where a run is open";

fn refused(error: &ServiceError) -> Failure {
    Failure::from_error(error).with_hint(HINT)
}

impl StepRunner {
    /// The surroundings with what the user's commands are told of the side that this is about.
    pub(super) fn beside(&self, cx: &Context, of: fn(&Roles) -> &str) -> Result<Context, Failure> {
        let mut cx = cx.clone();
        let Some(sides) = self.services.sides.as_deref().filter(|_| self.strategy.moves_traffic()) else {
            return Ok(cx);
        };
        if let Some(roles) = self.roles(&cx)?
            && let Some((_, side)) = sides.named(of(&roles))
        {
            cx.announced = Arc::new(cx.announced.iter().cloned().chain(side.variables()).collect());
        }
        Ok(cx)
    }

    fn roles(&self, cx: &Context) -> Result<Option<Roles>, Failure> {
        if !self.strategy.moves_traffic() {
            return Ok(None);
        }
        Roles::noted(cx).map_err(|error| Failure::from_error(&error))
    }

    /// The side that visitors are at; `None` where there are no sides, or nobody can tell.
    pub(super) fn side_now(&self, cx: &Context) -> Option<String> {
        match self.strategy.serving(&self.services, cx) {
            Ok(side) => side,
            Err(error) => {
                cx.note(
                    Level::Warn,
                    format!("which side is live is not part of the backup: {}", chain(&error)),
                );
                None
            }
        }
    }

    /// Where visitors are at this moment, as a sentence; `None` where there are no sides.
    pub(super) fn visitors(&self, cx: &Context) -> Option<String> {
        if !self.strategy.moves_traffic() {
            return None;
        }
        match self.strategy.serving(&self.services, cx) {
            Ok(side) => side.map(|side| format!("Visitors are at {side}.")),
            Err(error) => Some(format!(
                "Which side visitors are at could not be asked ({}): `guard check` asks again.",
                cx.redaction.clean(&chain(&error))
            )),
        }
    }

    /// What the gate asks: the release on its own address, where visitors are not at it yet.
    pub(super) fn probes_of_release(&self, cx: &Context) -> Result<Vec<Arc<dyn Probe>>, Failure> {
        Ok(match self.roles(cx)? {
            Some(roles) => self.side_probes.get(&roles.idle).cloned().unwrap_or_default(),
            None => self.probes.clone(),
        })
    }

    /// Leads visitors to the release, which has passed on its own address.
    pub(super) fn switch_traffic(&self, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        let Some(roles) = self.roles(cx)? else {
            return Ok(StepOutput::Nothing);
        };
        // The command may have switched by itself, as older scripts do, and a cut-off try of this step may have as well.
        let serving = self
            .strategy
            .serving(&self.services, cx)
            .map_err(|error| refused(&error))?;
        if serving.as_deref() == Some(roles.live.as_str()) {
            self.tell_changed_schema(history, &roles, cx);
        } else if !was_tried(history) {
            cx.note(
                Level::Warn,
                format!(
                    "the deploy command has led visitors to {} by itself, before it was verified; leave that to guard",
                    roles.idle
                ),
            );
        }
        let led = Roles { led: true, ..roles };
        led.note(cx).map_err(|error| Failure::from_error(&error))?;
        self.lead_to(&led.idle, &cx.unstoppable())
    }

    fn lead_to(&self, side: &str, cx: &Context) -> Result<StepOutput, Failure> {
        let moved = self.strategy.move_traffic(&self.services, side, cx);
        let moved = moved.map_err(|error| refused(&error))?;
        Ok(moved.map_or(StepOutput::Nothing, |moved| StepOutput::Switched {
            to: moved.to,
            from: moved.from,
            moved: moved.moved,
        }))
    }

    /// Says what going back means where the release has changed a schema: the old side has to live with it from the switch
    /// back on. Whether it does is asked, since it serves visitors at this moment, on the changed schema.
    fn tell_changed_schema(&self, history: &History, roles: &Roles, cx: &Context) {
        let mut changed = Vec::new();
        for artifact in history
            .artifacts()
            .filter(|artifact| self.data.contains(&artifact.resource))
        {
            let Some(member) = self.resources.get(&artifact.resource) else {
                continue;
            };
            let (resource, there) = member.at(cx);
            match resource.fingerprint(&there) {
                Ok(now) if is_other_schema(&artifact.fingerprint, &now) => changed.push(artifact.resource.to_string()),
                Ok(_) => {}
                Err(error) => cx.note(
                    Level::Warn,
                    format!(
                        "whether the release has changed the schema of {} is not known: {}",
                        artifact.resource,
                        chain(&error)
                    ),
                ),
            }
        }
        if changed.is_empty() {
            return;
        }
        let (names, old) = (changed.join(", "), &roles.live);
        let answers = ask_once(&self.probes, &self.runtime, cx);
        let failing: Vec<String> = answers
            .iter()
            .filter(|(probe, answer)| probe.decides() && answer.outcome != Outcome::Ok)
            .map(|(probe, answer)| format!("{} ({})", probe.name(), answer.note))
            .collect();
        let lives = if self.probes.is_empty() {
            format!("whether {old} lives with it is not known, since no probe is set")
        } else if failing.is_empty() {
            format!("{old} passes its probes with it at this moment")
        } else {
            format!("{old} does not pass its probes with it: {}", failing.join(", "))
        };
        let then = match history.plan().policy.data_restore {
            DataRestore::Never => {
                format!("going back is one switch, and {names} stays as the release made it: {old} has to live with it")
            }
            _ => format!(
                "going back leads visitors to {old} at once; then both sides are stopped behind the maintenance page while {names} goes \
                 back, and what was written since is told as its price (`data_restore = \"never\"` leaves it)"
            ),
        };
        let level = if failing.is_empty() { Level::Info } else { Level::Warn };
        cx.note(
            level,
            format!("the release has changed the schema of {names}: {lives}; {then}"),
        );
    }

    /// Leads visitors back to what was live before, where that is still up: before anything else is done, and whatever the
    /// size of the data. Where it is not up, they are led back when it was started.
    pub(super) fn switch_back(&self, _history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        let Some(roles) = self.roles(cx)? else {
            return Ok(StepOutput::Nothing);
        };
        let serving = self.strategy.serving(&self.services, cx);
        if matches!(&serving, Ok(Some(side)) if *side == roles.live) {
            return self.lead_to(&roles.live, cx);
        }
        if let Some(why) = self.is_down(&roles.live, cx) {
            cx.note(
                Level::Warn,
                format!(
                    "{} does not answer ({why}): visitors are led back when it was started",
                    roles.live
                ),
            );
            return Ok(StepOutput::Nothing);
        }
        let led = self.lead_to(&roles.live, cx);
        if led.is_ok() {
            self.tell_kept(&roles);
        }
        led
    }

    fn tell_kept(&self, roles: &Roles) {
        let Some(sides) = self.services.sides.as_deref().filter(|sides| sides.keeps_failed) else {
            return;
        };
        if let Some((_, side)) = sides.named(&roles.idle).filter(|(_, side)| side.is_reached()) {
            self.tell_at_end(format!(
                "The failed side {} is kept for people to look at, on {}; it may write to data that both sides share",
                side.name, side.address
            ));
        }
    }

    /// Whether a difference of a Compose project is that the failed side goes on running there.
    pub(super) fn is_of_kept_side(&self, name: &ResourceName, part: &str, cx: &Context) -> bool {
        let found = || {
            let sides = self.services.sides.as_deref().filter(|sides| sides.keeps_failed)?;
            let roles = self.roles(cx).ok()??;
            let (_, side) = sides.named(&roles.idle)?;
            let service = part.strip_prefix("service ")?;
            Some(match self.resources.get(name)?.project() {
                Some(project) => side.project.as_deref() == Some(project),
                None => side.services.iter().any(|one| one == service),
            })
        };
        found().unwrap_or(false)
    }

    /// Why a side does not answer by itself, where it does not.
    fn is_down(&self, side: &str, cx: &Context) -> Option<String> {
        let probes = self.side_probes.get(side).map(Vec::as_slice).unwrap_or_default();
        let answers = ask_once(probes, &self.runtime, cx);
        let failed = answers
            .into_iter()
            .find(|(probe, answer)| probe.decides() && answer.outcome != Outcome::Ok);
        failed.map(|(probe, answer)| format!("{}: {}", probe.name(), answer.note))
    }

    /// Behind what was started again: leads visitors to the side that they are to be at after this way back, when it answers.
    pub(super) fn lead_back(&self, history: &History, cx: &Context) -> Result<(), Failure> {
        let Some(roles) = self.roles_behind(history, cx)? else {
            return Ok(());
        };
        let refused = |error: ServiceError| Failure::from_error(&error);
        let serving = self.strategy.serving(&self.services, cx);
        let is_there = matches!(&serving, Ok(Some(side)) if *side == roles.live);
        if !is_there {
            let led = Roles {
                led: true,
                ..roles.clone()
            };
            led.note(cx).map_err(|error| Failure::from_error(&error))?;
        }
        // A front says where it leads to, and not whether anybody is there: both sides may have been stopped for the data.
        let was_started = self
            .strategy
            .start_side(&self.services, &roles.live, cx)
            .map_err(refused)?;
        if !is_there || was_started {
            self.await_side(&roles.live, cx)?;
        }
        self.lead_to(&roles.live, cx)?;
        self.strategy
            .leave_side(&self.services, &roles.idle, cx)
            .map_err(refused)?;
        self.tell_kept(&roles);
        Ok(())
    }

    /// Which side visitors are to be at after this way back, and which is the other: for a deployment the side that was live
    /// before it, for a rollback that of its backup, for an undo the side that the undone run led them away from.
    fn roles_behind(&self, history: &History, cx: &Context) -> Result<Option<Roles>, Failure> {
        if let Some(roles) = self.roles(cx)? {
            return Ok(Some(roles));
        }
        let Some(sides) = self.services.sides.as_deref().filter(|_| self.strategy.moves_traffic()) else {
            return Ok(None);
        };
        let live = match history.plan().kind {
            RunKind::Rollback => self.backup(history)?.manifest.side,
            RunKind::Undo => {
                let noted = self.undone.as_deref().map(Roles::noted_in).transpose();
                let noted = noted.map_err(|error| Failure::from_error(&error))?;
                noted.flatten().filter(|roles| roles.led).map(|roles| roles.idle)
            }
            RunKind::Deploy | RunKind::Backup => None,
        };
        let Some(live) = live else {
            cx.note(
                Level::Warn,
                "which side was live then is not known, so visitors stay where they are",
            );
            return Ok(None);
        };
        if sides.named(&live).is_none() {
            return Err(Failure {
                permanent: true,
                ..Failure::new(format!(
                    "the side {live} was live then, and the settings have no such side"
                ))
            }
            .with_hint("put it back into [blue_green.sides], then `guard resume`"));
        }
        Ok(Some(Roles {
            idle: sides.other(&live).to_owned(),
            live,
            led: false,
        }))
    }

    /// Waits until a side that was started answers on its own address. One that does not is told, and visitors are led to it
    /// all the same: what is proven behind it says what they see.
    fn await_side(&self, side: &str, cx: &Context) -> Result<(), Failure> {
        let probes = self.side_probes.get(side).cloned().unwrap_or_default();
        if probes.is_empty() {
            return Ok(());
        }
        let mut monitor = self.monitor_of_start(Started::Back, cx);
        monitor.probes = probes;
        let observed = monitor.observe(StopWhen::Gate, Expectation::default(), &[], cx)?;
        if let Verdict::Bad(finding) = observed.verdict {
            cx.note(
                Level::Warn,
                format!("{side} does not pass on its own address: {}", finding.sentence),
            );
        }
        Ok(())
    }

    /// Stops what was live before, once the release is kept. It has passed, so nothing of this can turn it back.
    pub(super) fn settle(&self, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        let begun = history.step(&Step::of(Action::Settle).id).map(|step| step.first_begun);
        let gone = begun
            .and_then(|begun| (cx.clock.now() - begun).to_std().ok())
            .unwrap_or_default();
        let stopped = self.strategy.settle(&self.services, gone, cx);
        if cx.stop.is_asked() {
            return Err(Failure {
                interrupted: true,
                ..Failure::new("interrupted while the old side was still up")
            });
        }
        match stopped {
            Ok(names) => Ok(StepOutput::Quiesced(names)),
            Err(error) => {
                let sentence = format!("The old side still runs: {}", chain(&error));
                cx.note(Level::Warn, &sentence);
                self.tell_at_end(sentence);
                Ok(StepOutput::Quiesced(Vec::new()))
            }
        }
    }
}

/// Whether an earlier try of the switch was cut off.
fn was_tried(history: &History) -> bool {
    history.was_reopened() && history.step(&Step::of(Action::SwitchTraffic).id).is_some()
}
