//! Starts what ran before, and only that; what had been stopped stays stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::commands::run_all;
use super::graph::{Needs, containers_and_needs, levels};
use super::unchanged::unchanged;
use super::wait::{self, Wanted};
use super::{Result, ServiceError, Services, conflict};
use serde_json::Value;

use guard_model::event::Level;
use guard_model::text::chain;
use guard_system::context::Context;
use guard_system::docker::{
    self, Compose, Container, DockerError, Recorded, container_by_service, containers_of, explained,
};

/// How long one `up` may take, its own waiting for healthy dependencies included. A guess, on the long side.
const UP_LIMIT: Duration = Duration::from_mins(15);
/// How often a port or a name that is still held is waited for, and how long each time.
const PATIENCE: (u32, Duration) = (5, Duration::from_secs(2));

/// How much of what ran is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// All of it, as the project was recorded: what its files do not name any more is removed.
    Whole,
    /// All of it, of a project of which only is known what ran: nothing is removed, and where its files are refused the
    /// containers are started as they are.
    Noted,
    /// Only what does not run any more: nothing was put back.
    Missing {
        /// The probes answer, so that what the user's own commands start is up.
        answers: bool,
    },
}

impl Services {
    /// Starts the services that ran when `recorded` was made, from images that are there, removes containers of services
    /// that it does not know, runs the user's start commands and takes the maintenance page down. Within `limit` each
    /// service has to run, steadily and healthy. Safe to repeat.
    ///
    /// # Errors
    /// Something holds a port or a name, Compose refuses, a service does not stay up, or a command failed.
    pub fn start(&self, recorded: Option<&Recorded>, limit: Duration, cx: &Context) -> Result<()> {
        self.bring_up(recorded, Wanted::Healthy, limit, cx)?;
        self.await_steady(recorded, Wanted::Healthy, limit, cx)
    }

    /// The same, until each service runs, and is healthy where that is wanted. Whether it stays up is another question, which
    /// other proofs need not wait for.
    ///
    /// # Errors
    /// Something holds a port or a name, Compose refuses, a service does not come up, or a command failed.
    pub fn bring_up(&self, recorded: Option<&Recorded>, wanted: Wanted, limit: Duration, cx: &Context) -> Result<()> {
        self.bring_back(recorded, &Extent::Whole, wanted, limit, cx)?;
        self.maintenance_off(cx)
    }

    /// The same behind the maintenance page, which stays up.
    ///
    /// # Errors
    /// As [`Services::bring_up`].
    pub fn bring_back(
        &self,
        recorded: Option<&Recorded>,
        extent: &Extent,
        wanted: Wanted,
        limit: Duration,
        cx: &Context,
    ) -> Result<()> {
        let narrowed = recorded.map(|recorded| self.narrowed(recorded, cx)).transpose()?;
        let recorded = narrowed.as_ref();
        let unwell = if self.named.is_empty() {
            recorded.map_or(Ok(()), |recorded| bring_containers(recorded, extent, wanted, limit, cx))?;
            Vec::new()
        } else {
            self.bring_in_order(recorded, extent, wanted, limit, cx)?
        };
        if !matches!(extent, Extent::Missing { answers: true }) && self.starts_by_commands(cx) {
            run_all(&self.start, "start", cx)?;
        }
        if !unwell.is_empty() {
            return Err(ServiceError::NotRunning(unwell));
        }
        match recorded {
            Some(recorded) => wait::until_up(&recorded.compose.project, &recorded.running(), wanted, limit, cx),
            None => Ok(()),
        }
    }

    /// What of this has to run again: where a way back is about some services alone, these, and what does not run.
    fn narrowed(&self, recorded: &Recorded, cx: &Context) -> Result<Recorded> {
        let Some(only) = self.only_containers() else {
            return Ok(recorded.clone());
        };
        let now = Recorded::of_containers(cx, &recorded.compose);
        let now = now
            .map_err(ServiceError::engine("see the project's containers"))?
            .running();
        Ok(part(recorded, |service| {
            only.iter().any(|one| one == service) || !now.contains_key(service)
        }))
    }

    /// Starts containers and named services in the order of their needs: each level when the one before is well. Returns what
    /// is not well, the rest being started all the same.
    fn bring_in_order(
        &self,
        recorded: Option<&Recorded>,
        extent: &Extent,
        wanted: Wanted,
        limit: Duration,
        cx: &Context,
    ) -> Result<Vec<String>> {
        let found = self.compose.as_ref().map(|compose| containers_and_needs(compose, cx));
        let (containers, mut needs) = found.transpose()?.unwrap_or_default();
        self.add_needs(&mut needs);
        let mut nodes: BTreeSet<String> = recorded
            .into_iter()
            .flat_map(Recorded::running)
            .map(|(one, _)| one)
            .collect();
        nodes.extend(self.to_start(cx));
        let (trusts, reloads) = match extent {
            Extent::Missing { answers } => (*answers, false),
            Extent::Whole | Extent::Noted => (true, true),
        };
        let mut unwell = Vec::new();
        for level in levels(&nodes, &needs).into_iter().rev() {
            let stood = self.before_start(&level, trusts, cx)?;
            let part = recorded.map(|recorded| part(recorded, |service| level.iter().any(|one| one == service)));
            if let Some(part) = part.filter(|part| !part.containers.is_empty()) {
                let brought = match extent {
                    // What its files name no more goes when all is up.
                    Extent::Whole => up_all(&part, false, wanted, limit, cx),
                    _ => bring_containers(&part, extent, wanted, limit, cx),
                };
                let limit = limit.min(wanted.moment());
                let up =
                    brought.and_then(|()| wait::until_up(&part.compose.project, &part.running(), wanted, limit, cx));
                match up {
                    Err(ServiceError::NotRunning(mut told)) => unwell.append(&mut told),
                    other => other?,
                }
            }
            self.start_level(&level, &stood, reloads, cx)?;
            unwell.extend(self.after_start(&level, &stood, wanted, cx)?);
        }
        if let Some(recorded) = recorded
            && *extent == Extent::Whole
            && has_orphans(recorded, &containers, self.only.is_empty())
        {
            up_all(recorded, true, wanted, limit, cx)?;
        }
        Ok(unwell)
    }

    /// Waits until what was brought up has run for a while without a restart.
    ///
    /// # Errors
    /// The engine does not answer, or a service does not stay up.
    pub fn await_steady(
        &self,
        recorded: Option<&Recorded>,
        wanted: Wanted,
        limit: Duration,
        cx: &Context,
    ) -> Result<()> {
        let Some(recorded) = recorded else { return Ok(()) };
        wait::until_steady(&recorded.compose.project, &recorded.running(), wanted, limit, cx)
    }

    /// Sees to it that these services run and are healthy, as a restore through a database's own container needs. A
    /// container that is there is started as it is; where all run and are healthy, nothing is waited for. Safe to repeat.
    ///
    /// # Errors
    /// One cannot be started, or is not healthy within `limit`.
    pub fn ensure_running(&self, services: &[String], limit: Duration, cx: &Context) -> Result<()> {
        let Some(compose) = &self.compose else {
            return Ok(());
        };
        let mut started = BTreeMap::new();
        for service in services {
            let found = container_by_service(cx, &compose.project, service)
                .map_err(ServiceError::engine(format!("see {service}")))?;
            let start: &dyn Fn() -> std::result::Result<(), DockerError> = match &found {
                Some(container) if container.is_running() => {
                    if !container.is_well() {
                        started.insert(service.clone(), 1);
                    }
                    continue;
                }
                Some(container) if container.state == "paused" => &|| docker::unpause(cx, &[&container.id]),
                Some(container) => &|| docker::start(cx, &[&container.id], Some(UP_LIMIT)),
                None => &|| {
                    let words = [
                        "up",
                        "--detach",
                        "--no-build",
                        "--pull",
                        "never",
                        "--no-deps",
                        "--",
                        service,
                    ];
                    let call = compose.call(words).timeout(UP_LIMIT);
                    cx.output(&call).map(drop).map_err(explained)
                },
            };
            cx.note(Level::Info, format!("starts {service}, which the work needs"));
            conflict::tried(start, PATIENCE, cx)?;
            started.insert(service.clone(), 1);
        }
        if started.is_empty() {
            return Ok(());
        }
        wait::until_up(&compose.project, &started, Wanted::Healthy, limit, cx)
    }
}

/// Starts containers as far as the extent says.
fn bring_containers(recorded: &Recorded, extent: &Extent, wanted: Wanted, limit: Duration, cx: &Context) -> Result<()> {
    match extent {
        Extent::Missing { .. } if runs(recorded, cx)? => Ok(()),
        Extent::Whole => up_all(recorded, true, wanted, limit, cx),
        Extent::Noted | Extent::Missing { .. } => match up_all(recorded, false, wanted, limit, cx) {
            Ok(()) => Ok(()),
            Err(error) => start_containers(recorded, error, cx),
        },
    }
}

/// The same project with these services alone.
fn part(recorded: &Recorded, keeps: impl Fn(&str) -> bool) -> Recorded {
    let containers = recorded.containers.iter().filter(|one| keeps(&one.service));
    let declared = recorded.declared.iter().filter(|one| keeps(one));
    Recorded {
        compose: recorded.compose.clone(),
        declared: declared.cloned().collect(),
        containers: containers.cloned().collect(),
    }
}

/// Whether as many containers of each service run as were recorded.
fn runs(recorded: &Recorded, cx: &Context) -> Result<bool> {
    let now = Recorded::of_containers(cx, &recorded.compose);
    let now = now
        .map_err(ServiceError::engine("see the project's containers"))?
        .running();
    let is_there = |(service, count): (String, usize)| now.get(&service).is_some_and(|there| *there >= count);
    Ok(recorded.running().into_iter().all(is_there))
}

/// Starts the containers that ran as they are, where Compose could not: those that are gone are told by its error.
fn start_containers(recorded: &Recorded, error: ServiceError, cx: &Context) -> Result<()> {
    let there = containers_of(cx, &recorded.compose.project).map_err(ServiceError::engine("see the containers"))?;
    let ran: Vec<&str> = recorded
        .containers
        .iter()
        .filter(|one| one.is_up())
        .map(|one| one.id.as_str())
        .collect();
    if ran.iter().any(|id| !there.iter().any(|one| one.id == **id)) {
        return Err(error);
    }
    cx.note(
        Level::Warn,
        format!("{}; the containers are started as they are", chain(&error)),
    );
    conflict::tried(&|| docker::start(cx, &ran, Some(UP_LIMIT)), PATIENCE, cx)
}

fn up_all(recorded: &Recorded, orphans: bool, wanted: Wanted, limit: Duration, cx: &Context) -> Result<()> {
    let compose = &recorded.compose;
    let running = recorded.running();
    if running.is_empty() {
        return Ok(());
    }
    // What the containers say is the failed release's word; only the files', which are back by now, counts.
    let is_by_socket = wanted == Wanted::Healthy && docker::has_socket(cx);
    // Compose is asked both side by side: it takes longer to begin than to answer.
    let (known, hashes) = std::thread::scope(|scope| {
        let hashes = is_by_socket.then(|| scope.spawn(|| compose.configuration_hashes(cx)));
        let known = containers_and_needs(compose, cx);
        (known, hashes.and_then(|hashes| hashes.join().ok()))
    });
    let (containers, needs) = known?;
    // Files that Compose refuses are told by the start itself.
    let hashes = hashes.and_then(std::result::Result::ok).unwrap_or_default();
    unpause(&containers, &running, cx)?;
    let services: BTreeSet<String> = running.keys().cloned().collect();
    if is_by_socket && !has_orphans(recorded, &containers, orphans) {
        match start_and_up(recorded, (&containers, &hashes), &needs, limit, cx) {
            // A network or a volume that is gone is made by Compose. One that others wait for and that does not become healthy
            // is told by Compose as well.
            Err(ServiceError::Engine { .. } | ServiceError::NotRunning(_)) => {}
            outcome => return outcome,
        }
    }
    let is_closed = services
        .iter()
        .all(|service| needs.get(service).is_none_or(|on| on.is_subset(&services)));
    if is_closed && wanted == Wanted::Healthy {
        return up(
            recorded,
            &services.iter().cloned().collect::<Vec<_>>(),
            &running,
            (false, orphans),
            cx,
        );
    }
    // Compose would start whatever these wait for, also what had been stopped, as a finished migration is. So each level
    // is started without its dependencies, after the level that it waits for is steady. It would also refuse to start what
    // waits for a service that never becomes healthy: that one is given a moment, and the rest is started all the same.
    let levels: Vec<Vec<String>> = levels(&services, &needs).into_iter().rev().collect();
    for (number, level) in levels.iter().enumerate() {
        up(recorded, level, &running, (true, orphans), cx)?;
        if wanted == Wanted::Running && number + 1 == levels.len() {
            break;
        }
        let counts = level
            .iter()
            .filter_map(|service| Some((service.clone(), *running.get(service)?)))
            .collect();
        match (
            wanted,
            wait::until_up(
                &compose.project,
                &counts,
                Wanted::Healthy,
                limit.min(wanted.moment()),
                cx,
            ),
        ) {
            (Wanted::Running, Err(ServiceError::NotRunning(_))) => {}
            (_, outcome) => outcome?,
        }
    }
    Ok(())
}

/// Whether there are containers that Compose has to remove: of services that were not there.
fn has_orphans(recorded: &Recorded, containers: &[Container], removes: bool) -> bool {
    removes
        && containers
            .iter()
            .any(|one| !one.is_one_off() && !recorded.has(&one.service))
}

/// Starts the services in the order in which they wait for each other: through the engine those whose containers need no more
/// than that, by Compose the others. Compose would wait for the engine's word on each that another waits for, which comes only
/// when its check's interval has passed; here the check is asked itself.
fn start_and_up(
    recorded: &Recorded,
    (containers, hashes): (&[Container], &BTreeMap<String, String>),
    needs: &Needs,
    limit: Duration,
    cx: &Context,
) -> Result<()> {
    let running = recorded.running();
    let services: BTreeSet<String> = running.keys().cloned().collect();
    let unchanged = unchanged(recorded, containers, hashes, cx);
    let awaited = awaited(&recorded.compose, cx);
    for level in levels(&services, needs).into_iter().rev() {
        let (same, changed): (Vec<String>, Vec<String>) =
            level.iter().cloned().partition(|service| unchanged.contains(service));
        let stopped: Vec<&Container> = containers
            .iter()
            .filter(|one| same.contains(&one.service) && !one.is_one_off() && !one.is_up())
            .collect();
        if !stopped.is_empty() {
            let names: BTreeSet<&str> = stopped.iter().map(|one| one.service.as_str()).collect();
            let names: Vec<&str> = names.into_iter().collect();
            cx.note(Level::Info, format!("starts {}", names.join(", ")));
            let ids: Vec<&str> = stopped.iter().map(|one| one.id.as_str()).collect();
            conflict::tried(&|| docker::start(cx, &ids, Some(UP_LIMIT)), PATIENCE, cx)?;
        }
        if !changed.is_empty() {
            up(recorded, &changed, &running, (true, false), cx)?;
        }
        let counts = running
            .iter()
            .filter(|(service, _)| level.contains(service) && awaited.contains(*service));
        let counts: BTreeMap<String, usize> = counts.map(|(service, count)| (service.clone(), *count)).collect();
        if !counts.is_empty() {
            wait::until_up(&recorded.compose.project, &counts, Wanted::Healthy, limit, cx)?;
        }
    }
    Ok(())
}

/// The services that others wait for until they are healthy, as the files say.
fn awaited(compose: &Compose, cx: &Context) -> BTreeSet<String> {
    // Files that Compose refuses are told by the start itself.
    let resolved = compose.resolved(cx).unwrap_or_default();
    let services = resolved
        .get("services")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let waits = services.filter_map(|(_, service)| service.get("depends_on")?.as_object());
    waits
        .flatten()
        .filter(|(_, how)| how.get("condition").and_then(Value::as_str) == Some("service_healthy"))
        .map(|(service, _)| service.clone())
        .collect()
}

fn up(
    recorded: &Recorded,
    services: &[String],
    running: &BTreeMap<String, usize>,
    (is_alone, orphans): (bool, bool),
    cx: &Context,
) -> Result<()> {
    let mut call = recorded
        .compose
        .call(["up", "--detach", "--no-build", "--pull", "never"]);
    if orphans {
        call = call.arg("--remove-orphans");
    }
    if is_alone {
        call = call.arg("--no-deps");
    }
    for (service, count) in running
        .iter()
        .filter(|(service, count)| **count > 1 && services.contains(service))
    {
        call = call.arg("--scale").arg(format!("{service}={count}"));
    }
    cx.note(Level::Info, format!("starts {}", services.join(", ")));
    conflict::run(&call.arg("--").args(services).timeout(UP_LIMIT), PATIENCE, cx)
}

/// Compose takes a paused container for a running one.
fn unpause(containers: &[Container], running: &BTreeMap<String, usize>, cx: &Context) -> Result<()> {
    for container in containers
        .iter()
        .filter(|one| one.state == "paused" && running.contains_key(&one.service))
    {
        docker::unpause(cx, &[&container.id]).map_err(ServiceError::engine(format!("unpause {}", container.name)))?;
    }
    Ok(())
}
