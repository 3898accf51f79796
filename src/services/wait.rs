//! Waits until services run, stay up and are healthy: a container that runs between two crashes does not count.

use std::collections::BTreeMap;
use std::time::Duration;

use super::own_check::OwnChecks;
use super::{Result, ServiceError};
use guard_model::event::Level;
use guard_model::text;
use guard_system::context::Context;
use guard_system::docker::{Check, Container, Part, containers_of, has_socket, health_checks, logs, time_to_health};

/// How long a container has to run without a restart. A guess.
const STEADY: Duration = Duration::from_secs(3);
/// How often is looked: where each look is a question to a socket, and where it is a program.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));
/// So many restarts within the wait are a loop: nothing is gained by waiting on. The same as for the probe of containers.
const LOOP: u64 = 3;
const LINES_SHOWN: u32 = 3;
/// How long the engine may take to tell a few lines of a log. A guess.
const LINES_LIMIT: Duration = Duration::from_secs(10);

/// What is asked of a container besides that it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// It is healthy, where it has a check.
    Healthy,
    /// Nothing: the state to be brought back may never have been healthy.
    Running,
}

impl Wanted {
    /// How long one level of services is waited for before those that need it are started.
    pub(super) fn moment(self) -> Duration {
        match self {
            Self::Healthy => Duration::MAX,
            Self::Running => Duration::from_secs(10),
        }
    }
}

/// Lets a moment pass between two looks.
fn rest(cx: &Context) {
    cx.clock.sleep(if has_socket(cx) { PAUSES.0 } else { PAUSES.1 });
}

/// Waits until each health check of a project that has not said anything yet has done so, at most as long as the checks'
/// own settings allow.
pub(super) fn until_health_is_known(project: &str, cx: &Context) -> Result<()> {
    let begun = cx.clock.steady();
    let mut limit = None;
    let mut checks = OwnChecks::default();
    loop {
        let mut starting = starting(project, cx)?;
        checks.hear(&mut starting, cx);
        starting.retain(Container::is_starting);
        if starting.is_empty() || cx.stop.is_asked() {
            return Ok(());
        }
        let limit = if let Some(limit) = limit {
            limit
        } else {
            let most = time_of(&starting, cx)?;
            tell_waiting(&starting, most, cx);
            *limit.insert(most)
        };
        if cx.clock.steady().saturating_sub(begun) >= limit {
            return Ok(());
        }
        rest(cx);
    }
}

fn tell_waiting(starting: &[Container], most: Duration, cx: &Context) {
    let names: Vec<&str> = starting.iter().map(|one| one.name.as_str()).collect();
    let (names, most) = (names.join(", "), text::duration(most));
    cx.note(
        Level::Info,
        format!("waits for the first health check of {names}, {most} at most"),
    );
}

/// The containers of a project whose health checks have not said anything yet.
fn starting(project: &str, cx: &Context) -> Result<Vec<Container>> {
    let mut starting = containers_of(cx, project).map_err(ServiceError::engine("see the project's containers"))?;
    starting.retain(Container::is_starting);
    Ok(starting)
}

fn time_of(starting: &[Container], cx: &Context) -> Result<Duration> {
    if starting.is_empty() {
        return Ok(Duration::ZERO);
    }
    let ids: Vec<String> = starting.iter().map(|one| one.id.clone()).collect();
    time_to_health(cx, &ids).map_err(ServiceError::engine("see the project's containers"))
}

/// How long the containers of a project that are starting at this moment may take until their checks have said anything.
pub(super) fn time_of_starting(project: &str, cx: &Context) -> Result<Duration> {
    time_of(&starting(project, cx)?, cx)
}

/// The health check of a container that runs now that may take the longest, and the container's name.
pub(super) fn slowest_check(project: &str, cx: &Context) -> Result<Option<(String, Check)>> {
    let mut running = containers_of(cx, project).map_err(ServiceError::engine("see the project's containers"))?;
    running.retain(|one| one.is_running() && !one.is_one_off());
    let ids: Vec<String> = running.iter().map(|one| one.id.clone()).collect();
    let checks = health_checks(cx, &ids).map_err(ServiceError::engine("see the project's containers"))?;
    let found = running.into_iter().zip(checks);
    let found = found.filter_map(|(one, check)| Some((one.name, check?)));
    Ok(found.max_by_key(|(_, check)| check.longest()))
}

/// Waits until so many containers of each service run, well as is wanted, none of them started anew for a while. A health check
/// that has not said anything within `limit` is waited for as long as its own settings allow.
pub(super) fn until_steady(
    project: &str,
    counts: &BTreeMap<String, usize>,
    wanted: Wanted,
    limit: Duration,
    cx: &Context,
) -> Result<()> {
    until(project, counts, (wanted, STEADY), limit, cx)
}

/// Waits until so many containers of each service run, well as is wanted.
pub(super) fn until_up(
    project: &str,
    counts: &BTreeMap<String, usize>,
    wanted: Wanted,
    limit: Duration,
    cx: &Context,
) -> Result<()> {
    until(project, counts, (wanted, Duration::ZERO), limit, cx)
}

/// What has to stay as it is for a container to be steady.
type Lives = BTreeMap<String, (String, u64)>;

fn until(
    project: &str,
    counts: &BTreeMap<String, usize>,
    (wanted, steady): (Wanted, Duration),
    limit: Duration,
    cx: &Context,
) -> Result<()> {
    let begun = cx.clock.steady();
    let mut first: BTreeMap<String, u64> = BTreeMap::new();
    let mut lives = Lives::new();
    let mut since = begun;
    let mut patience = None;
    let mut checks = OwnChecks::default();
    loop {
        let mut containers =
            containers_of(cx, project).map_err(ServiceError::engine("see the project's containers"))?;
        containers.retain(|container| !container.is_one_off() && counts.contains_key(&container.service));
        if wanted == Wanted::Healthy {
            checks.hear(&mut containers, cx);
        }
        let now = cx.clock.steady();
        let lives_now: Lives = containers
            .iter()
            .map(|one| (one.id.clone(), (one.started_at.clone(), one.restarts)))
            .collect();
        if lives_now != lives {
            lives = lives_now;
            since = now;
        }
        let complaints = complaints(&containers, counts, wanted);
        // What has run for long before anybody looked need not be looked at for as long again; and what its own check
        // calls healthy has shown more than that it runs.
        let has_shown = |one: &Container| wanted == Wanted::Healthy && one.health.is_some();
        let is_old = containers
            .iter()
            .all(|one| has_shown(one) || age(one, cx).is_some_and(|age| age >= steady));
        if complaints.is_empty() && (is_old || now.saturating_sub(since) >= steady) {
            return Ok(());
        }
        let looping = containers.iter().any(|one| {
            let before = *first.entry(one.id.clone()).or_insert(one.restarts);
            one.restarts.saturating_sub(before) >= LOOP
        });
        let mut is_late = now.saturating_sub(begun) >= limit;
        // A health check that has not said anything is given the time that its own settings give it.
        let starting: Vec<Container> = containers.iter().filter(|one| one.is_starting()).cloned().collect();
        if is_late && wanted == Wanted::Healthy && !starting.is_empty() {
            let most = if let Some(most) = patience {
                most
            } else {
                let most = time_of(&starting, cx)?;
                tell_waiting(&starting, most, cx);
                *patience.insert(most)
            };
            is_late = now.saturating_sub(begun) >= limit.saturating_add(most);
        }
        if looping || is_late || cx.stop.is_asked() {
            return Err(ServiceError::NotRunning(explained(&containers, complaints, &first, cx)));
        }
        rest(cx);
    }
}

/// How long ago a container was started, by the wall clock; `None` where that cannot be said.
fn age(container: &Container, cx: &Context) -> Option<Duration> {
    let started = chrono::DateTime::parse_from_rfc3339(&container.started_at).ok()?;
    (cx.clock.now() - started.to_utc()).to_std().ok()
}

fn complaints(containers: &[Container], counts: &BTreeMap<String, usize>, wanted: Wanted) -> Vec<String> {
    let mut complaints = Vec::new();
    for (service, count) in counts {
        let running = containers
            .iter()
            .filter(|one| &one.service == service && one.is_running())
            .count();
        if running < *count {
            complaints.push(format!("{service}: {running} of {count} running"));
        }
    }
    let unwell = containers
        .iter()
        .filter(|one| one.is_running() && wanted == Wanted::Healthy);
    complaints.extend(unwell.filter_map(|one| match one.health.as_deref() {
        Some(health) if health != "healthy" => Some(format!("{} is {health}", one.name)),
        _ => None,
    }));
    complaints
}

/// The last lines that a container wrote, without secrets; empty where it wrote none, or the engine does not tell.
fn last_lines(id: &str, cx: &Context) -> String {
    let part = Part {
        last: Some(LINES_SHOWN),
        ..Part::default()
    };
    let mut kept = Vec::new();
    let told = logs(cx, id, part, Some(LINES_LIMIT), &mut |bytes| {
        kept.extend_from_slice(bytes);
        Ok(())
    });
    let text = told.map(|()| String::from_utf8_lossy(&kept).trim().to_owned());
    cx.redaction.clean(&text.unwrap_or_default())
}

/// What is wrong, with how each container ended and the last lines that it wrote.
fn explained(
    containers: &[Container],
    complaints: Vec<String>,
    first: &BTreeMap<String, u64>,
    cx: &Context,
) -> Vec<String> {
    let mut told = complaints;
    for one in containers {
        let restarts = one
            .restarts
            .saturating_sub(first.get(&one.id).copied().unwrap_or_default());
        if one.is_running() && restarts == 0 && one.health.as_deref().is_none_or(|health| health == "healthy") {
            continue;
        }
        let mut text = format!("{} is {}", one.name, one.state);
        // Of one that runs at this moment the engine tells 0, whatever it has ended with before.
        if !one.is_running() {
            text = format!("{text}, its last exit code {}", one.exit_code);
        }
        if restarts > 0 {
            text = format!("{text}, restarted {restarts} times");
        }
        let lines = last_lines(&one.id, cx);
        if !lines.is_empty() {
            let lines = guard_model::text::sanitised(&lines.replace('\n', " | "));
            text = format!("{text}; it wrote: {}", guard_model::text::shortened(&lines, 300));
        }
        told.push(text);
    }
    if told.is_empty() {
        told.push("they were started anew again and again".to_owned());
    }
    told
}
