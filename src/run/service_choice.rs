//! `--service`: which resources and probes belong to a service, by its name in the settings or in the Compose project.

use std::sync::Arc;

use crate::assembly::Owned;
use crate::narrowing::container;
use crate::outcome::Refusal;
use crate::project::Project;
use guard_config::Declared;
use guard_model::exit::ExitCode;
use guard_model::name::{ProbeName, ResourceName};
use guard_model::plan::StageName;
use guard_model::setting::{Value, nearest_or_all};
use guard_probes::Probe;
use guard_resources::abilities::ServiceNeeds;

/// What belongs to one service.
pub struct Belonging {
    service: String,
    /// The Compose service that it is.
    container: Option<String>,
    /// Whether it is the server of some data: these are what belongs to it alone, as they are to a database.
    is_server: bool,
    /// The resources that it needs.
    needs: Vec<ResourceName>,
}

impl Belonging {
    /// What belongs to this service, of these resources.
    #[must_use]
    pub fn of(service: &str, resources: &[Owned], project: &Project) -> Self {
        let settings = &project.settings;
        let container = container(service, settings);
        let named = settings.services.named.iter().find(|one| one.name == service);
        let serves = |owned: &Owned| is_server(owned, service, container.as_deref());
        Self {
            is_server: resources.iter().any(serves),
            service: service.to_owned(),
            container: container.filter(|name| is_known(name, project)),
            needs: named.map(|one| one.resources.clone()).unwrap_or_default(),
        }
    }

    /// The service's name.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Whether a resource belongs to it: the data of a server, else its image, and what it needs; of that data only where they are
    /// wanted.
    #[must_use]
    pub fn takes(&self, owned: &Owned, with_data: bool) -> bool {
        let is_data = owned.kind.restored_in == StageName::Data;
        let is_needed = self.needs.contains(owned.resource.name()) && (with_data || !is_data);
        self.serves(owned) || self.has_image(owned) || is_needed
    }

    /// Whether a resource has anything to do with it.
    #[must_use]
    pub fn concerns(&self, owned: &Owned) -> bool {
        self.takes(owned, true)
    }

    fn serves(&self, owned: &Owned) -> bool {
        is_server(owned, &self.service, self.container.as_deref())
    }

    /// Whether its image is kept by this resource, and goes back with it.
    #[must_use]
    pub fn has_image(&self, owned: &Owned) -> bool {
        owned.kind.key == "images" && owned.resource.project().is_none() && self.container.is_some() && !self.is_server
    }
}

/// Whether a resource is called as the service, or is restored through it.
fn is_server(owned: &Owned, service: &str, container: Option<&str>) -> bool {
    let needs = owned.resource.services().map(ServiceNeeds::needs_running);
    let is_reached = |name: &String| Some(name.as_str()) == container || name == service;
    owned.resource.name().as_str() == service || needs.is_some_and(|needs| needs.iter().any(is_reached))
}

/// Whether the settings or the Compose project name this Compose service. Files that a release has broken name none, so a container
/// of that name does.
fn is_known(container: &str, project: &Project) -> bool {
    let named = project.settings.services.named.iter();
    let mut named = named.filter_map(|one| crate::narrowing::container(&one.name, &project.settings));
    named.any(|name| name == container) || compose_services(project).iter().any(|name| name == container)
}

fn compose_services(project: &Project) -> Vec<String> {
    let Some(compose) = &project.compose else {
        return Vec::new();
    };
    let mut found = compose.services(&project.cx).unwrap_or_default();
    let containers = guard_system::docker::containers_of(&project.cx, &compose.project).unwrap_or_default();
    found.extend(containers.into_iter().map(|one| one.service));
    found
}

/// All services that a person may name, sorted.
#[must_use]
pub fn known(project: &Project) -> Vec<String> {
    let mut names = compose_services(project);
    names.extend(project.settings.services.named.iter().map(|one| one.name.clone()));
    names.sort();
    names.dedup();
    names
}

/// The probes of some services; all of them where none is named.
///
/// # Errors
/// A service has no probe.
pub fn of_services(
    probes: Vec<Arc<dyn Probe>>,
    services: &[String],
    project: &Project,
) -> Result<Vec<Arc<dyn Probe>>, Refusal> {
    if services.is_empty() {
        return Ok(probes);
    }
    let mut chosen: Vec<ProbeName> = Vec::new();
    for service in services {
        let own = probes_of(service, project);
        let there = probes
            .iter()
            .map(|probe| probe.name())
            .filter(|name| own.contains(name));
        let before = chosen.len();
        chosen.extend(there.cloned());
        if chosen.len() == before {
            let known = known(project);
            let refusal = Refusal::new(ExitCode::USAGE, format!("no probe is about a service {service:?}"));
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let hint = if known.contains(&service.as_str()) {
                format!("name one by `health` in [services.{service}]")
            } else {
                nearest_or_all(service, &known)
            };
            return Err(refusal.because(hint));
        }
    }
    Ok(probes
        .into_iter()
        .filter(|probe| chosen.contains(probe.name()))
        .collect())
}

/// The names of the probes that are about a service: its own health, one that is called as it is, and those that name it.
fn probes_of(service: &str, project: &Project) -> Vec<ProbeName> {
    let settings = &project.settings;
    let named = settings.services.named.iter().find(|one| one.name == service);
    let container = container(service, settings);
    let unit = named.and_then(|one| match &one.behind {
        guard_config::BehindSettings::Systemd(unit) => Some(unit.as_str()),
        _ => None,
    });
    let health = named.and_then(|one| one.health.clone());
    let is_about = |declared: &&Declared<ProbeName>| {
        let tells = |key: &str, wanted: Option<&str>| wanted.is_some_and(|wanted| mentions(declared, key, wanted));
        declared.name.as_str() == service
            || ["service", "services", "replaced"]
                .iter()
                .any(|key| tells(key, container.as_deref()))
            || tells("units", unit)
    };
    let about = settings
        .probes
        .iter()
        .filter(is_about)
        .map(|declared| declared.name.clone());
    health.into_iter().chain(about).collect()
}

/// Whether a key of a probe's table is this text, or a list that holds it.
fn mentions(declared: &Declared<ProbeName>, key: &str, wanted: &str) -> bool {
    let Value::Table(entries) = &declared.item.value else {
        return false;
    };
    let is_it = |value: &Value| matches!(value, Value::Text(text) if text == wanted);
    entries.get(key).is_some_and(|(_, item)| match &item.value {
        Value::List(items) => items.iter().any(|item| is_it(&item.value)),
        other => is_it(other),
    })
}
