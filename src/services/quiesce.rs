//! Stops what uses the data that is about to be put back, and nothing else: dependents first.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::commands::run_all;
use super::graph::{Needs, containers_and_needs, levels};
use super::{Result, ServiceError, Services};
use guard_model::event::Level;
use guard_system::context::Context;
use guard_system::docker::{self, Before, Container, Recorded, containers_of};

/// What is about to be put back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Affected {
    /// Docker volumes, by their full name or their name in the project, and host paths.
    pub occupied: Vec<String>,
    /// The services of databases.
    pub databases: Vec<String>,
    /// Services whose containers are replaced or removed: they are the failed release.
    pub replaced: Vec<String>,
    /// Services that must go on running, since the restore goes through them.
    pub keep_running: Vec<String>,
    /// The names of the resources with data that are put back.
    pub resources: Vec<String>,
    /// Whether any of it holds data, and not only code, images or settings.
    pub data: bool,
    /// Whether every service of the project is stopped, but those that must go on.
    pub all: bool,
}

/// How long the engine may take to stop one level of services; each has its own grace period within. A guess, on the long side.
const STOP_LIMIT: Duration = Duration::from_mins(5);

impl Services {
    /// Puts the maintenance page up, runs the user's stop commands, and stops the services that mount something that is
    /// put back, or depend on such a service or on a database that is put back. Returns those services, dependents
    /// first, whether they ran or not. Safe to repeat.
    ///
    /// # Errors
    /// A stop command failed, or a service could not be stopped: it may still write.
    pub fn quiesce(&self, affected: &Affected, cx: &Context) -> Result<Vec<String>> {
        self.maintenance_on(cx);
        // Where only some services go back, what stops everything is for data alone.
        if self.only.is_empty() || affected.data {
            self.note_commands(cx)?;
            run_all(&self.stop, "stop", cx)?;
        }
        self.stop_users(affected, cx)
    }

    /// Only the services: what a quiesce that has run before does for something more.
    ///
    /// # Errors
    /// A service could not be stopped: it may still write.
    pub fn stop_users(&self, affected: &Affected, cx: &Context) -> Result<Vec<String>> {
        let found = self.compose.as_ref().map(|compose| containers_and_needs(compose, cx));
        let (containers, mut needs) = found.transpose()?.unwrap_or_default();
        for container in &containers {
            let on = container.depends_on();
            needs.entry(container.service.clone()).or_default().extend(on);
        }
        self.add_needs(&mut needs);
        let project = self.compose.as_ref().map_or("", |compose| &compose.project);
        let mut users: BTreeSet<String> = self.users_of(&affected.resources).collect();
        let others: Vec<String> = self.stopped_always(affected.data).collect();
        // Where some services go back alone, what needs them goes on, as it does beside a container that is replaced.
        if self.only.is_empty() {
            users.extend(others.iter().cloned());
        }
        let mut chosen = choose(&containers, &needs, affected, users, project);
        chosen.extend(others);
        let levels = levels(&chosen, &needs);
        if self.compose.is_some() {
            // An undo of this run has to start what ran until here.
            Recorded::note(Before::Stop, project, &containers, cx).map_err(ServiceError::Note)?;
        }
        for level in &levels {
            self.before_stop(level, &containers, cx)?;
            stop(&containers, level, cx)?;
            self.after_stop(level, cx)?;
        }
        Ok(levels.iter().flatten().map(|node| Self::shown(node)).collect())
    }
}

impl Services {
    /// Writes down which services run, before anything is deployed: they are what runs again after a way back.
    ///
    /// # Errors
    /// The engine does not answer, or the note cannot be written.
    pub fn note_what_runs(&self, cx: &Context) -> Result<()> {
        self.note_named(cx)?;
        let Some(compose) = &self.compose else {
            return Ok(());
        };
        let containers = containers_of(cx, &compose.project);
        let containers = containers.map_err(ServiceError::engine("see the project's containers"))?;
        Recorded::note(Before::Deploy, &compose.project, &containers, cx).map_err(ServiceError::Note)
    }

    /// Stops the services that run now and did not when this was recorded: what a release has added beside the old, as the
    /// other colour is. Dependents first. Returns them.
    ///
    /// # Errors
    /// The engine does not answer, or one cannot be stopped.
    pub fn stop_added(&self, recorded: &Recorded, cx: &Context) -> Result<Vec<String>> {
        self.stop_added_but(recorded, &[], cx)
    }

    /// The same without these services, which go on.
    ///
    /// # Errors
    /// As [`Services::stop_added`].
    pub fn stop_added_but(&self, recorded: &Recorded, kept: &[String], cx: &Context) -> Result<Vec<String>> {
        let compose = &recorded.compose;
        let (containers, needs) = containers_and_needs(compose, cx)?;
        let ran = recorded.running();
        let is_added = |one: &&Container| {
            one.is_up() && !one.is_one_off() && !ran.contains_key(&one.service) && !kept.contains(&one.service)
        };
        let added = containers
            .iter()
            .filter(is_added)
            .map(|one| one.service.clone())
            .collect();
        let levels = levels(&added, &needs);
        for level in &levels {
            stop(&containers, level, cx)?;
        }
        Ok(levels.into_iter().flatten().collect())
    }
}

impl Services {
    /// Stops these services, `None`: all of the project, dependents first. Returns those that there are.
    ///
    /// # Errors
    /// The engine does not answer, or one cannot be stopped.
    pub fn stop_named(&self, names: Option<&[String]>, cx: &Context) -> Result<Vec<String>> {
        let Some(compose) = &self.compose else {
            return Ok(Vec::new());
        };
        let (containers, needs) = containers_and_needs(compose, cx)?;
        let is_meant = |one: &&Container| names.is_none_or(|names| names.contains(&one.service)) && !one.is_one_off();
        let meant = containers
            .iter()
            .filter(is_meant)
            .map(|one| one.service.clone())
            .collect();
        let levels = levels(&meant, &needs);
        for level in &levels {
            stop(&containers, level, cx)?;
        }
        Ok(levels.into_iter().flatten().collect())
    }
}

/// Stops the containers of these services by their ids and not through Compose: the files may be the failed release's,
/// and may know nothing of a service that runs.
fn stop(containers: &[Container], services: &[String], cx: &Context) -> Result<()> {
    let ids: Vec<&str> = containers
        .iter()
        .filter(|container| services.contains(&container.service) && container.is_up())
        .map(|container| container.id.as_str())
        .collect();
    if ids.is_empty() {
        return Ok(());
    }
    cx.note(Level::Info, format!("stops {}", services.join(", ")));
    match docker::stop(cx, &ids, Some(STOP_LIMIT)) {
        Ok(()) => Ok(()),
        // One that is gone does not write either.
        Err(error) if error.is_missing() => Ok(()),
        Err(error) => Err(ServiceError::engine(format!("stop {}", services.join(", ")))(error)),
    }
}

fn choose(
    containers: &[Container],
    needs: &Needs,
    affected: &Affected,
    seeds: BTreeSet<String>,
    project: &str,
) -> BTreeSet<String> {
    let mut chosen = seeds;
    chosen.extend(affected.databases.iter().cloned());
    for container in containers {
        let uses = |occupied: &String| {
            container
                .mounts
                .iter()
                .any(|mount| is_same(&mount.kind, &mount.source, occupied, project))
        };
        if affected.occupied.iter().any(uses) {
            chosen.insert(container.service.clone());
        }
    }
    loop {
        let more: Vec<String> = needs
            .iter()
            .filter(|(service, on)| !chosen.contains(*service) && !on.is_disjoint(&chosen))
            .map(|(service, _)| service.clone())
            .collect();
        if more.is_empty() {
            break;
        }
        chosen.extend(more);
    }
    let is_replaced = |container: &&Container| affected.all || affected.replaced.contains(&container.service);
    let replaced = containers.iter().filter(is_replaced);
    chosen.extend(replaced.map(|container| container.service.clone()));
    chosen.retain(|service| !affected.keep_running.contains(service));
    chosen
}

/// Whether a mount shows what is occupied: the same volume, or one path inside of the other.
fn is_same(kind: &str, source: &str, occupied: &str, project: &str) -> bool {
    if kind == "volume" {
        return source == occupied || source == format!("{project}_{occupied}");
    }
    let (source, occupied) = (Path::new(source), Path::new(occupied));
    occupied.is_absolute() && (source.starts_with(occupied) || occupied.starts_with(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_compared_as_what_they_are() {
        assert!(is_same("volume", "shop_data", "data", "shop"));
        assert!(is_same("volume", "shop_data", "shop_data", "shop"));
        assert!(!is_same("volume", "data2", "data", "shop"));
        assert!(is_same("bind", "/srv/objects/sub", "/srv/objects", "shop"));
        assert!(!is_same("bind", "/srv/objects2", "/srv/objects", "shop"));
    }
}
