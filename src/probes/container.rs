//! `container`: whether the containers of services run, are healthy, stay up, and are the new ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::basics::{Basics, spoken};
use super::{Built, Expectation, Kind, Probe, Site};
use guard_model::health::{Answer, Class, FAILED_FURTHER, Numbers};
use guard_model::name::ProbeName;
use guard_model::section::Section;
use guard_model::text::plural;
use guard_system::context::Context;
use guard_system::docker::{Compose, Container, containers_of};

pub(super) const KIND: Kind = Kind {
    key: "container",
    about: "containers run, are healthy, are not restarted, and are the new ones",
    build,
    numbers: Numbers::None,
};

/// So many restarts are a loop …
const LOOP: u64 = 3;
/// … until it has held out this long since the last. Both are guesses.
const HELD_OUT: Duration = Duration::from_secs(30);
/// Compose's mark on containers of `docker compose run`, which come and go.
const ONE_OFF: &str = "com.docker.compose.oneoff";

struct Containers {
    basics: Basics,
    compose: Compose,
    fresh: Arc<Fresh>,
    memory: Arc<Mutex<Memory>>,
}

/// What is to be new after a deployment.
struct Fresh {
    /// Services that every deployment replaces.
    replaced: Vec<String>,
    /// The image that all of them have to be made of: a name as it was asked for, or an id.
    image: Option<String>,
}

/// What is known from the readings before.
struct Memory {
    /// The services to look at; `None` until the first reading where nobody names them.
    services: Option<Vec<String>>,
    /// Whether somebody has named them: then a release adds none to them and takes none away.
    is_named: bool,
    /// Services that had containers at the first reading, all of them ended where that was behind a deploy command: that they
    /// are down is nothing that a release has done.
    known: Option<BTreeSet<String>>,
    /// By container; `None` until the first reading.
    restarts: Option<BTreeMap<String, Restarts>>,
    /// Since when what is there is what was put back: restarts are counted anew from then on.
    back_since: Option<DateTime<Utc>>,
}

/// How often a container was restarted.
#[derive(Clone, Copy)]
struct Restarts {
    /// As counted at its first reading.
    first: u64,
    /// As counted at its latest reading.
    latest: u64,
    /// When that last grew, by the steady clock.
    grown: Option<Duration>,
}

fn build(name: ProbeName, section: &mut Section<'_>, site: &Site) -> Built {
    let basics = Basics::read(name, section);
    let services = section.texts("services");
    let fresh = Fresh {
        replaced: section.texts("replaced").unwrap_or_default(),
        image: section.text("expect_image"),
    };
    if fresh.image.is_some() && services.is_none() && fresh.replaced.is_empty() {
        section.problem(
            "expect_image",
            "of which services? Name them in `services` or `replaced`",
            None,
        );
        return None;
    }
    let Some(compose) = &site.compose else {
        section.problem(
            "kind",
            "a `container` probe needs a Compose project, and there is none",
            None,
        );
        return None;
    };
    let memory = Memory {
        is_named: services.is_some(),
        services,
        known: None,
        restarts: None,
        back_since: None,
    };
    Some(Box::new(Containers {
        basics,
        compose: compose.clone(),
        fresh: Arc::new(fresh),
        memory: Arc::new(Mutex::new(memory)),
    }))
}

#[async_trait]
impl Probe for Containers {
    fn name(&self) -> &ProbeName {
        &self.basics.name
    }

    fn decides(&self) -> bool {
        self.basics.decides
    }

    fn describe(&self) -> String {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        match &memory.services {
            Some(services) if !services.is_empty() => format!("the containers of {}", services.join(", ")),
            _ => format!("the containers of the project {}", self.compose.project),
        }
    }

    async fn read(&self, expectation: &Expectation, cx: &Context) -> Answer {
        let (memory, fresh) = (Arc::clone(&self.memory), Arc::clone(&self.fresh));
        let compose = self.compose.clone();
        let expectation = expectation.clone();
        let answer = self
            .basics
            .blocking(cx, move |cx| match containers_of(cx, &compose.project) {
                Ok(mut found) => {
                    found.retain(|container| container.labels.get(ONE_OFF).is_none_or(|mark| mark != "True"));
                    let lacks_one = |memory: &Memory| {
                        let mut services = memory.services.iter().flatten();
                        services.any(|service| !found.iter().any(|one| &one.service == service))
                    };
                    let has_deployed = expectation.since.is_some();
                    let asks = has_deployed && lacks_one(&memory.lock().unwrap_or_else(PoisonError::into_inner));
                    // Asked once, and while nobody waits for the memory. Files that cannot be read take no service away.
                    let named = asks.then(|| compose.services(cx).ok()).flatten();
                    let is_gone = |service: &str| {
                        let named = named.as_ref();
                        named.is_some_and(|named| !named.iter().any(|one| one == service))
                    };
                    let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                    memory.judge(&found, &expectation, &fresh, cx.clock.steady(), &is_gone)
                }
                Err(error) => Answer::unknown(Class::NoData, spoken(cx, &error.to_string())),
            });
        let answer = answer.await;
        // An engine that does not answer says nothing about the containers.
        if answer.class == Some(Class::TimeoutRead) {
            return Answer::unknown(Class::NoData, "the Docker engine does not answer");
        }
        answer
    }
}

impl Memory {
    /// What the containers say. `is_gone`: whether the files as they are now name no such service any more.
    fn judge(
        &mut self,
        found: &[Container],
        expectation: &Expectation,
        fresh: &Fresh,
        now: Duration,
        is_gone: &dyn Fn(&str) -> bool,
    ) -> Answer {
        let mut services = self.services.get_or_insert_with(|| watched(found, expectation)).clone();
        let added = self.added(found, expectation);
        services.extend(added.into_iter().filter(|service| !fresh.replaced.contains(service)));
        for service in &fresh.replaced {
            if !services.contains(service) {
                services.push(service.clone());
            }
        }
        if !self.is_named && expectation.since.is_some() {
            let has_one = |service: &String| found.iter().any(|container| &container.service == service);
            services.retain(|service| fresh.replaced.contains(service) || has_one(service) || !is_gone(service));
        }
        if expectation.back_since.is_some() && self.back_since != expectation.back_since {
            // How often the failed release was restarted is not held against the old one.
            self.back_since = expectation.back_since;
            self.restarts = None;
        }
        self.count_restarts(found, now);
        let mut mild: Option<Answer> = None;
        for service in &services {
            let mut theirs = found
                .iter()
                .filter(|container| &container.service == service)
                .peekable();
            if theirs.peek().is_none() {
                let answer = Answer::failed(Class::NoData, format!("{service} has no container"));
                mild = graver(mild, Some(answer));
            }
            for container in theirs {
                if let Some(answer) = self.ended(container, now) {
                    return answer;
                }
                mild = graver(mild, fresh.stale(container, expectation));
                mild = graver(
                    mild,
                    unwell(container, expectation, self.has_just_restarted(container, now)),
                );
            }
        }
        mild.unwrap_or_else(|| match services.len() {
            0 => Answer::ok("nothing is running yet"),
            many => Answer::ok(format!("{} well", plural(many as u64, "service"))),
        })
    }

    /// The services that a release has added: they had no container before, and have one now that did not end well. What ran
    /// once and has done its work is well.
    fn added(&mut self, found: &[Container], expectation: &Expectation) -> BTreeSet<String> {
        let known = self.known.get_or_insert_with(|| {
            let is_old = |one: &&Container| expectation.since.is_none() || !one.is_up();
            found.iter().filter(is_old).map(|one| one.service.clone()).collect()
        });
        if self.is_named || expectation.since.is_none() {
            return BTreeSet::new();
        }
        let is_new = |one: &&Container| {
            let is_watched = self
                .services
                .as_ref()
                .is_some_and(|services| services.contains(&one.service));
            let is_done = one.state == "exited" && one.exit_code == 0;
            !(is_watched || is_done || known.contains(&one.service))
        };
        found.iter().filter(is_new).map(|one| one.service.clone()).collect()
    }

    /// Remembers the restart counts. A container that comes up while we watch has begun at 0.
    fn count_restarts(&mut self, found: &[Container], now: Duration) {
        let is_first = self.restarts.is_none();
        let known = self.restarts.get_or_insert_default();
        for container in found {
            let first = if is_first { container.restarts } else { 0 };
            let counted = known.entry(container.id.clone()).or_insert(Restarts {
                first,
                latest: first,
                grown: None,
            });
            if container.restarts > counted.latest {
                counted.grown = Some(now);
            }
            counted.latest = container.restarts;
        }
    }

    fn restarts_of(&self, container: &Container) -> Option<&Restarts> {
        self.restarts.as_ref()?.get(&container.id)
    }

    fn has_just_restarted(&self, container: &Container, now: Duration) -> bool {
        self.restarts_of(container)
            .is_some_and(|counted| counted.grown == Some(now))
    }

    /// The evidence that there is nothing to wait for.
    fn ended(&self, container: &Container, now: Duration) -> Option<Answer> {
        let service = &container.service;
        let restarted = self
            .restarts_of(container)
            .filter(|counted| counted.grown.is_some_and(|grown| now.saturating_sub(grown) < HELD_OUT))
            .map_or(0, |counted| counted.latest.saturating_sub(counted.first));
        let ended = |note: String| Answer::failed(Class::Container, note);
        match container.state.as_str() {
            "exited" | "dead" => Some(ended(format!("{service} exited with code {}", container.exit_code))),
            "restarting" => {
                let note = format!("{service} is restarting after exit code {}", container.exit_code);
                Some(ended(note).of_restart())
            }
            _ if restarted >= LOOP => Some(ended(format!("{service} restarted {restarted} times")).of_restart()),
            _ => None,
        }
    }
}

impl Fresh {
    /// Whether a container is the one from before, or of another image than it should be.
    fn stale(&self, container: &Container, expectation: &Expectation) -> Option<Answer> {
        let service = &container.service;
        // Before the deployment, nothing has to be new.
        let since = expectation.since?;
        if self.replaced.contains(service) {
            let made = chrono::DateTime::parse_from_rfc3339(&container.created_at).ok()?;
            if made < since {
                let note = format!("{service} is still the container from before the deployment");
                return Some(Answer::failed(Class::Version, note));
            }
        }
        let image = self
            .image
            .as_ref()
            .filter(|_| self.replaced.is_empty() || self.replaced.contains(service))?;
        let is_it = container.image_name == *image || container.image_id == *image;
        (!is_it).then(|| {
            let note = format!("{service} runs {} (expected {image})", container.image_name);
            Answer::failed(Class::Version, note)
        })
    }
}

/// The answer that says more of the release: a container that is starting says the least, one whose check fails on and on the
/// most; of two that are alike, the first.
fn graver(one: Option<Answer>, other: Option<Answer>) -> Option<Answer> {
    let weight = |answer: &Answer| {
        if answer.class == Some(Class::Starting) {
            return -1.0;
        }
        answer.figures.get(FAILED_FURTHER).copied().unwrap_or_default()
    };
    match (one, other) {
        (Some(one), Some(other)) => Some(if weight(&other) > weight(&one) { other } else { one }),
        (one, other) => one.or(other),
    }
}

/// What is wrong with a container that may yet become well.
fn unwell(container: &Container, expectation: &Expectation, has_restarted: bool) -> Option<Answer> {
    let service = &container.service;
    let is_old = expectation
        .replaced
        .iter()
        .any(|(of, id)| of == service && *id == container.id);
    if is_old {
        let note = format!("{service} is still the container from before the deployment");
        return Some(Answer::failed(Class::Version, note));
    }
    if !container.is_running() {
        return Some(Answer::failed(
            Class::Unhealthy,
            format!("{service} is {}", container.state),
        ));
    }
    if has_restarted {
        // It has ended as well, and was started again before anybody looked.
        return Some(Answer::failed(Class::Container, format!("{service} was restarted")).of_restart());
    }
    match container.health.as_deref() {
        Some("unhealthy") => {
            #[expect(clippy::cast_precision_loss, reason = "a count of checks, far below 2^52")]
            let failed = container.failed_further as f64;
            let figures = BTreeMap::from([(FAILED_FURTHER.to_owned(), failed)]);
            Some(Answer::failed(Class::Unhealthy, format!("{service} is unhealthy")).with_figures(figures))
        }
        Some("starting") => Some(starting(container)),
        _ => None,
    }
}

/// A container whose own check has not said anything yet.
pub(super) fn starting(container: &Container) -> Answer {
    Answer::failed(Class::Starting, format!("{} is still starting", container.service))
}

/// The services that run now, and those that the deployment replaced: one of these may be down already.
fn watched(found: &[Container], expectation: &Expectation) -> Vec<String> {
    let running = found.iter().filter(|container| container.is_running());
    let replaced = expectation.replaced.iter().map(|(service, _)| service);
    let mut services: Vec<String> = running
        .map(|container| &container.service)
        .chain(replaced)
        .cloned()
        .collect();
    if services.is_empty() {
        services = found.iter().map(|container| container.service.clone()).collect();
    }
    services.sort();
    services.dedup();
    services
}
