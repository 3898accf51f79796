//! Named services on the way back, until they stand: which ran, their hooks, their drain, their stop.

use std::time::Duration;

use super::acts::Standing;
use super::note::{Note, Progress};
use super::service::{Behind, Drain, Named};
use crate::{Result, ServiceError, Services};
use guard_model::event::Level;
use guard_model::text;
use guard_system::context::Context;
use guard_system::docker::{Container, containers_of};
use guard_system::systemd;

/// How often it is looked, while a service drains, whether somebody wants to stop.
const GLANCE: Duration = Duration::from_millis(200);

impl Services {
    /// Notes which named services run before anything is deployed: these run again after a way back.
    pub(crate) fn note_named(&self, cx: &Context) -> Result<()> {
        if self.named.is_empty() {
            return Ok(());
        }
        let containers = self.containers(cx)?;
        let mut note = Note::read(cx);
        if note.before_deploy.is_some() {
            return Ok(());
        }
        let mut ran = std::collections::BTreeMap::new();
        for service in &self.named {
            ran.insert(
                service.name.clone(),
                service.standing(&containers, cx)? != Standing::Down,
            );
        }
        note.before_deploy = Some(ran);
        note.write(cx)
    }

    /// Notes that the commands of `[services]` itself stop what they stop.
    pub(crate) fn note_commands(&self, cx: &Context) -> Result<()> {
        if self.stop.is_empty() || self.only.is_empty() {
            return Ok(());
        }
        let mut note = Note::read(cx);
        note.by_commands = true;
        note.write(cx)
    }

    /// Whether what the commands of `[services]` itself stop was stopped by this run, or is not for it to say.
    pub(crate) fn starts_by_commands(&self, cx: &Context) -> bool {
        self.only.is_empty() || Note::read(cx).by_commands
    }

    pub(super) fn containers(&self, cx: &Context) -> Result<Vec<Container>> {
        match &self.compose {
            Some(compose) => {
                containers_of(cx, &compose.project).map_err(ServiceError::engine("see the project's containers"))
            }
            None => Ok(Vec::new()),
        }
    }

    /// Gets the named services of one level ready to stand, and stops those that are no containers. [`Services::after_stop`]
    /// follows when the containers stand.
    pub(crate) fn before_stop(&self, level: &[String], containers: &[Container], cx: &Context) -> Result<()> {
        for service in self.named_among(level) {
            let standing = service.standing(containers, cx)?;
            let mut note = Note::read(cx);
            let is_first = !note.services.contains_key(&service.name);
            let entry = note.services.entry(service.name.clone()).or_default();
            if is_first {
                entry.ran = is_meant_to_run(service, standing);
            }
            let is_up = matches!(standing, Standing::Up | Standing::Unknown);
            let is_begun = matches!(entry.stop, Progress::Begun | Progress::Acted);
            if !(is_up || standing == Standing::Failed || is_begun) {
                note.write(cx)?;
                continue;
            }
            // What nobody can tell of, and stood already in this run, is stopped once more without its hooks.
            let has_stood = matches!(entry.stop, Progress::Acted | Progress::Done) && entry.start == Progress::None;
            let is_ready = has_stood && standing == Standing::Unknown;
            if !is_ready {
                entry.stop = Progress::Begun;
            }
            (entry.start, entry.reload) = (Progress::None, Progress::None);
            entry.triggers.extend(triggers(service, &entry.triggers, cx)?);
            let triggers = entry.triggers.clone();
            note.write(cx)?;
            if is_up && !is_ready {
                service.try_run(&service.hooks.before_stop, "before_stop", cx);
                drain(service, cx);
            }
            // What is known to stand need not be stopped once more; a unit may be about to be started by another.
            if standing != Standing::Down || service.unit().is_some() {
                service.stop(&triggers, cx)?;
            }
            if service.container().is_none() && !is_ready {
                Self::note_stands(service, cx)?;
            }
        }
        Ok(())
    }

    fn note_stands(service: &Named, cx: &Context) -> Result<()> {
        let mut note = Note::read(cx);
        note.services.entry(service.name.clone()).or_default().stop = Progress::Acted;
        note.write(cx)
    }

    /// Runs what is due when the named services of one level stand.
    pub(crate) fn after_stop(&self, level: &[String], cx: &Context) -> Result<()> {
        for service in self.named_among(level) {
            let mut note = Note::read(cx);
            let Some(entry) = note.services.get_mut(&service.name) else {
                continue;
            };
            if matches!(entry.stop, Progress::Begun | Progress::Acted) {
                service.try_run(&service.hooks.after_stop, "after_stop", cx);
                entry.stop = Progress::Done;
                note.write(cx)?;
            }
        }
        Ok(())
    }
}

/// Whether a service that stands so is one that has to run again: what has failed is, since a bad release is why one goes back.
fn is_meant_to_run(service: &Named, standing: Standing) -> bool {
    // Whether somebody has stopped it, or it has died, a command cannot tell.
    standing != Standing::Down || matches!(service.behind, Behind::Commands { .. })
}

/// The active units that would start this one again, without those that are known.
fn triggers(service: &Named, known: &[String], cx: &Context) -> Result<Vec<String>> {
    let Some(unit) = service.unit() else {
        return Ok(Vec::new());
    };
    let mut active = Vec::new();
    for trigger in service.state(unit, cx)?.triggers {
        let is_active = |state: systemd::UnitState| state.is_up();
        if !known.contains(&trigger) && systemd::state(&trigger, None, cx).is_ok_and(is_active) {
            active.push(trigger);
        }
    }
    Ok(active)
}

/// Lets a service finish its work.
fn drain(service: &Named, cx: &Context) {
    match &service.drain {
        None => {}
        Some(Drain::Run(commands)) => {
            cx.note(Level::Info, format!("drains {}", service.name));
            service.try_run(commands, "drain", cx);
        }
        Some(Drain::Wait(time)) => {
            let note = format!("drains {} for {}", service.name, text::duration(*time));
            cx.note(Level::Info, note);
            let begun = cx.clock.steady();
            while cx.clock.steady().saturating_sub(begun) < *time && !cx.stop.is_asked() {
                cx.clock.sleep(GLANCE.min(*time));
            }
        }
    }
}
