//! Named services on the way back, until they run again: which are to run, their hooks, their start or reload, their health.

use std::collections::BTreeMap;

use super::acts::Standing;
use super::note::{Note, Progress};
use super::service::{Behind, Named};
use crate::wait::Wanted;
use crate::{Result, Services};
use guard_model::event::Level;
use guard_model::now::Service;
use guard_system::context::Context;
use guard_system::docker::Container;
use guard_system::systemd;

/// Whether the act of a start is done.
fn has_started(start: Progress) -> bool {
    matches!(start, Progress::Acted | Progress::Done)
}

/// How the named services of one level stood before they were started, by name.
pub(crate) struct Stood {
    were_up: BTreeMap<String, bool>,
}

impl Services {
    /// The nodes of what is no container and has to run.
    pub(crate) fn to_start(&self, cx: &Context) -> Vec<String> {
        let note = Note::read(cx);
        let is_to_run = |service: &&Named| {
            let before = note.before_deploy.as_ref().and_then(|before| before.get(&service.name));
            let ran = note.services.get(&service.name).map(|entry| entry.ran);
            // What nobody has looked at was not stopped either; it may have to be reloaded.
            service.container().is_none() && before.copied().or(ran).unwrap_or(!service.reload.is_empty())
        };
        self.named.iter().filter(is_to_run).map(Named::node).collect()
    }

    /// Runs the `before_start` of those services of one level that do not run yet. What nobody can tell of, and was not stopped,
    /// runs where that can be trusted.
    ///
    /// # Errors
    /// One failed, or nobody can tell how a service stands.
    pub(crate) fn before_start(&self, level: &[String], trusts: bool, cx: &Context) -> Result<Stood> {
        let mut were_up = BTreeMap::new();
        let mut named = self.named_among(level).peekable();
        if named.peek().is_none() {
            return Ok(Stood { were_up });
        }
        let containers = self.containers(cx)?;
        for service in named {
            let is_up = Self::is_up(service, &containers, trusts, cx)?;
            were_up.insert(service.name.clone(), is_up);
            if is_up {
                continue;
            }
            let mut note = Note::read(cx);
            note.services.entry(service.name.clone()).or_default().start = Progress::Begun;
            note.write(cx)?;
            service.run(&service.hooks.before_start, "before_start", cx)?;
        }
        Ok(Stood { were_up })
    }

    /// Whether a service runs, as far as its start is concerned: what nobody can tell of is down when it was stopped.
    fn is_up(service: &Named, containers: &[Container], trusts: bool, cx: &Context) -> Result<bool> {
        Ok(match service.standing(containers, cx)? {
            Standing::Up => true,
            Standing::Failed | Standing::Down => false,
            Standing::Unknown => {
                let note = Note::read(cx);
                let entry = note.services.get(&service.name);
                trusts && entry.is_none_or(|entry| entry.stop == Progress::None || has_started(entry.start))
            }
        })
    }

    /// Starts what is no container, and reloads what ran all the while, where something was put back.
    ///
    /// # Errors
    /// A command failed, or the manager does not answer.
    pub(crate) fn start_level(&self, level: &[String], stood: &Stood, reloads: bool, cx: &Context) -> Result<()> {
        for service in self.named_among(level) {
            let was_up = stood.were_up.get(&service.name).copied().unwrap_or_default();
            let note = Note::read(cx);
            let entry = note.services.get(&service.name).cloned().unwrap_or_default();
            if !was_up {
                service.start(&entry.triggers, cx)?;
                let mut note = note;
                note.services.entry(service.name.clone()).or_default().start = Progress::Acted;
                note.write(cx)?;
                continue;
            }
            let is_asked = self.only.is_empty() || self.only.contains(&service.name);
            let is_due = reloads && is_asked && entry.start == Progress::None && entry.reload != Progress::Done;
            if is_due && !service.reload.is_empty() {
                let mut note = note;
                note.services.entry(service.name.clone()).or_default().reload = Progress::Begun;
                note.write(cx)?;
                cx.note(Level::Info, format!("reloads {}", service.name));
                service.run(&service.reload, "reload", cx)?;
            }
        }
        Ok(())
    }

    /// Waits until the services of one level are well, and runs the `after_start` of those that are. Returns what is not well: the
    /// others are started all the same.
    ///
    /// # Errors
    /// A command failed, or the manager does not answer.
    pub(crate) fn after_start(
        &self,
        level: &[String],
        stood: &Stood,
        wanted: Wanted,
        cx: &Context,
    ) -> Result<Vec<String>> {
        let mut unwell = Vec::new();
        for service in self.named_among(level) {
            let was_up = stood.were_up.get(&service.name).copied().unwrap_or_default();
            let mut note = Note::read(cx);
            let entry = note.services.entry(service.name.clone()).or_default();
            let started = matches!(entry.start, Progress::Begun | Progress::Acted);
            let reloaded = entry.reload == Progress::Begun;
            if was_up && !started && !reloaded {
                continue;
            }
            if let Some(trouble) = service.await_well(wanted, cx)? {
                if wanted == Wanted::Healthy {
                    unwell.push(trouble);
                }
                continue;
            }
            if started {
                service.run(&service.hooks.after_start, "after_start", cx)?;
                entry.start = Progress::Done;
            }
            if reloaded {
                entry.reload = Progress::Done;
            }
            note.write(cx)?;
        }
        Ok(unwell)
    }

    /// The named services that are no containers, as they stand now.
    pub(crate) fn named_standing(&self, cx: &Context) -> Vec<Service> {
        let others = self.named.iter().filter(|service| service.container().is_none());
        let told = others.filter_map(|service| {
            let (runs, how) = match &service.behind {
                Behind::Systemd(unit) => match systemd::state(unit, None, cx) {
                    Ok(state) if state.trouble().is_some() => (false, state.trouble().unwrap_or_default()),
                    Ok(state) if state.is_running() => (true, String::new()),
                    Ok(state) => (state.is_done(), state.words()),
                    Err(error) => (false, cx.redaction.clean(&error.to_string())),
                },
                _ => match service.standing(&[], cx) {
                    Ok(Standing::Up) => (true, String::new()),
                    Ok(Standing::Unknown) => return None,
                    Ok(_) => (false, "stopped".to_owned()),
                    Err(error) => (false, cx.redaction.clean(&guard_model::text::chain(&error))),
                },
            };
            Some(Service {
                name: service.name.clone(),
                runs,
                how,
            })
        });
        told.collect()
    }
}
