//! What a fault hits: which container, which process, which probes.

use std::collections::BTreeSet;

use url::Url;

use crate::project::Project;
use guard_config::Declared;
use guard_model::setting::Value;
use guard_system::docker::{Container, containers_of};
use guard_system::{docker, listeners};

/// What is killed or stopped.
pub enum Target {
    /// A container.
    Container(Box<Container>),
    /// Processes of this host.
    Processes(Vec<u32>),
}

/// A key of a declared table, where it is a text.
fn text<'d, N>(declared: &'d Declared<N>, key: &str) -> Option<&'d str> {
    let Value::Table(keys) = &declared.item.value else {
        return None;
    };
    match keys.get(key).map(|(_, item)| &item.value) {
        Some(Value::Text(text)) => Some(text.as_str()),
        _ => None,
    }
}

/// The kinds whose service is a database's server.
const DATABASES: [&str; 4] = ["postgres", "mariadb", "mysql", "redis"];

/// The services that hold data: named by a database, or with a volume of a resource mounted.
fn data_services(project: &Project, containers: &[Container]) -> BTreeSet<String> {
    let named = project
        .settings
        .resources
        .iter()
        .filter_map(|declared| text(declared, "service"));
    let mut found: BTreeSet<String> = named.map(str::to_owned).collect();
    let volumes: Vec<&str> = project
        .settings
        .resources
        .iter()
        .filter_map(|declared| text(declared, "volume"))
        .collect();
    let holds = |container: &&Container| {
        let mut mounts = container.mounts.iter();
        mounts.any(|mount| {
            volumes
                .iter()
                .any(|volume| mount.source == *volume || mount.source.ends_with(&format!("_{volume}")))
        })
    };
    found.extend(
        containers
            .iter()
            .filter(holds)
            .map(|container| container.service.clone()),
    );
    found
}

fn running(project: &Project) -> Vec<Container> {
    let Some(compose) = &project.compose else {
        return Vec::new();
    };
    let mut all = containers_of(&project.cx, &compose.project).unwrap_or_default();
    all.retain(|container| container.is_running() && !container.is_one_off());
    all.sort_by(|one, other| (&one.service, &one.name).cmp(&(&other.service, &other.name)));
    all
}

/// What runs and holds no data: of the containers the one that needs most others, which is the application; without containers
/// the processes that listen where the probes ask.
///
/// # Errors
/// There is none; a sentence.
pub fn application(project: &Project) -> Result<Target, String> {
    let containers = running(project);
    let data = data_services(project, &containers);
    let mut candidates: Vec<Container> = containers
        .into_iter()
        .filter(|one| !data.contains(&one.service))
        .collect();
    candidates.sort_by_key(|one| std::cmp::Reverse(one.depends_on().len()));
    if let Some(container) = candidates.into_iter().next() {
        return Ok(Target::Container(Box::new(container)));
    }
    let ports = urls(project)
        .into_iter()
        .filter_map(|(_, url)| is_here(&url).then(|| url.port_or_known_default())?);
    let mut processes: Vec<u32> = ports.flat_map(listeners::at_port).collect();
    processes.sort_unstable();
    processes.dedup();
    processes.retain(|pid| *pid != std::process::id());
    if processes.is_empty() {
        return Err("no service runs in a container, and nobody listens where the probes ask".to_owned());
    }
    Ok(Target::Processes(processes))
}

/// All containers that hold no data, which are restarted to take up what was broken.
#[must_use]
pub fn restartable(project: &Project) -> Vec<Container> {
    let containers = running(project);
    let data = data_services(project, &containers);
    containers
        .into_iter()
        .filter(|one| !data.contains(&one.service))
        .collect()
}

/// The running container of the database's server.
///
/// # Errors
/// No database is in a container of the project; a sentence.
pub fn database(project: &Project) -> Result<Container, String> {
    let Some(compose) = &project.compose else {
        return Err("there is no Compose project, so no network can be cut".to_owned());
    };
    let of_databases = project
        .settings
        .resources
        .iter()
        .filter(|declared| DATABASES.contains(&declared.kind.as_str()));
    let mut services = of_databases.filter_map(|declared| text(declared, "service"));
    let found = services.find_map(|service| {
        let found = docker::container_by_service(&project.cx, &compose.project, service);
        found.ok().flatten().filter(Container::is_running)
    });
    found.ok_or_else(|| "no database is in a running container of the project (`service`)".to_owned())
}

/// The addresses that probes ask by HTTP, by the probe's name.
#[must_use]
pub fn urls(project: &Project) -> Vec<(String, Url)> {
    let http = project
        .settings
        .probes
        .iter()
        .filter(|declared| declared.kind == "http");
    http.filter_map(|declared| Some((declared.name.to_string(), Url::parse(text(declared, "url")?).ok()?)))
        .collect()
}

/// The addresses that a proxy can stand before: plain HTTP.
#[must_use]
pub fn proxied(project: &Project) -> Vec<(String, Url)> {
    let mut all = urls(project);
    all.retain(|(_, url)| url.scheme() == "http");
    all
}

fn is_here(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}
