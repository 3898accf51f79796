//! What a Compose project shows: databases, volumes, mounted configuration, published addresses.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use regex::Regex;

use super::data;
use super::database::{Server, database, in_memory, keeps_memory};
use super::directory::Configuration;
use super::discovery::Discovery;
use super::found::{Found, Names};
use super::resolved::{Mount, Project, Published, Service};
use guard_system::context::Context;
use guard_system::servers;

/// What is taken up of a Compose project, and where.
pub(super) struct Stack<'s> {
    /// The surroundings.
    pub(super) cx: &'s Context,
    /// What was found so far.
    pub(super) discovery: &'s mut Discovery,
    /// The names that are given.
    pub(super) names: &'s mut Names,
    /// The files of configuration.
    pub(super) configuration: &'s mut Configuration,
}

impl Stack<'_> {
    /// Takes up everything that the services show.
    pub(super) fn take_up(&mut self, project: &Project) {
        let databases: Vec<_> = project
            .services
            .iter()
            .filter(|(_, service)| Server::of(service).is_some())
            .collect();
        for (service, definition) in &databases {
            let wish = if databases.len() == 1 { "db" } else { service.as_str() };
            self.discovery
                .resources
                .extend(database(self.names.give(wish), service, definition));
        }
        let mut seen = BTreeSet::new();
        for (service, definition) in &project.services {
            let memory = in_memory(|| self.names.give(service), service, definition);
            let is_in_memory = memory.is_some();
            self.discovery.resources.extend(memory);
            for mount in &definition.volumes {
                let Some(source) = mount.source.as_deref().filter(|source| !source.is_empty()) else {
                    continue;
                };
                let is_held = Server::of(definition).is_some_and(|server| server.holds(mount));
                if is_held || (is_in_memory && keeps_memory(mount)) || !seen.insert(source.to_owned()) {
                    continue;
                }
                match mount.kind.as_str() {
                    "volume" => self.discovery.resources.push(volume(
                        self.names.give(source),
                        mount,
                        source,
                        (service, definition),
                        project,
                    )),
                    "bind" => self.bind(mount, source, service, definition),
                    _ => {}
                }
            }
        }
        let host = self.cx.environment.text("DOCKER_HOST");
        let is_local = host.is_none_or(|host| host.starts_with("unix://"));
        probes(project, is_local, self.discovery);
    }

    fn bind(&mut self, mount: &Mount, source: &str, service: &str, definition: &Service) {
        let path = Path::new(source);
        // The whole checkout mounted is the code, and a socket is no data.
        if self.cx.directory.starts_with(path) || !(path.is_dir() || path.is_file()) {
            return;
        }
        let Ok(inside) = path.strip_prefix(&self.cx.directory) else {
            if !mount.read_only
                && !["/var/run", "/run", "/proc", "/sys", "/dev", "/etc"]
                    .iter()
                    .any(|root| path.starts_with(root))
            {
                self.discovery.notes.push(format!(
                    "{source} is mounted by {service} and lies outside of this directory; add a resource of kind `volume` with `path` if a deployment changes it"
                ));
            }
            return;
        };
        let inside = inside.display().to_string();
        let is_configuration = mount.read_only || path.is_file() || mount.target.starts_with("/etc/");
        if !is_configuration {
            let found = Found::new(
                self.names.give(&inside.replace('/', "-")),
                "volume",
                format!("The directory {inside}, mounted by {service}."),
            )
            .text("path", &inside, "from this directory");
            let by_image = servers::Server::of_image(definition.image_name());
            let by_content = || {
                servers::Server::in_directory(path, 2)
                    .ok()
                    .flatten()
                    .map(|(server, _)| server)
            };
            let is_of_users = data::is_of_users(&inside) || data::is_of_users(&mount.target);
            let found = of_users(found, is_of_users, by_image.or_else(by_content));
            self.discovery.resources.push(found);
            return;
        }
        self.configuration
            .add(if path.is_dir() { format!("{inside}/**") } else { inside });
        if definition.image_name().contains("nginx") && mount.target.starts_with("/etc/nginx") {
            self.configuration.reloaded_by_nginx(service);
        }
    }
}

/// What every Compose project has.
pub(super) fn of_every_project(names: &mut Names) -> Vec<Found> {
    vec![
        Found::new(
            names.give("compose"),
            "compose",
            "The Compose project: its files, and which of its services were running.",
        ),
        Found::new(
            names.give("images"),
            "images",
            "The images that the services run, so that a moved tag or a prune cannot take them away.",
        ),
    ]
}

fn volume(
    name: String,
    mount: &Mount,
    source: &str,
    (service, definition): (&str, &Service),
    project: &Project,
) -> Found {
    let declared = project.volumes.get(source).and_then(Option::as_ref);
    let external = declared.filter(|volume| !volume.external.is_null() && volume.external != false);
    let is_external = external.is_some();
    // An external volume has a name of its own, which the project does not go before.
    let called = external.and_then(|volume| volume.name.as_deref());
    let mut about = format!("The volume {source} of the service {service}.");
    if is_external {
        about.push_str(" It is external: others may use it too.");
    }
    let found = Found::new(name, "volume", about).text(
        "volume",
        called.unwrap_or(source),
        if called.is_some() {
            "its name in the engine"
        } else {
            "the volume as the compose file names it"
        },
    );
    let is_of_users = data::is_volume_of_users(source) || data::is_of_users(&mount.target);
    of_users(found, is_of_users, servers::Server::of_image(definition.image_name()))
}

/// The same, held still while it is copied where a server writes to it; else with people's new files staying where they are.
fn of_users(found: Found, is_of_users: bool, server: Option<&servers::Server>) -> Found {
    data::staying(held_by(found, server), is_of_users && server.is_none())
}

/// The same, held still while it is copied where a server writes to it.
fn held_by(found: Found, server: Option<&servers::Server>) -> Found {
    match server.filter(|server| server.is_torn_by_a_live_copy()) {
        Some(server) => found.text(
            "mode",
            "stop",
            format!(
                "{}: what it has open or in memory is in no copy, so it is stopped for that time",
                server.name
            ),
        ),
        None => found,
    }
}

/// A probe for all containers, and one for each address that looks like a web server's.
fn probes(project: &Project, is_local: bool, discovery: &mut Discovery) {
    if project.services.is_empty() {
        return;
    }
    let mut names = Names::default();
    discovery.probes.push(Found::new(
        names.give("containers"),
        "container",
        "Every container runs, is healthy where it has a health check, and is not restarted again and again.",
    ));
    for (service, definition) in &project.services {
        for published in definition.published() {
            let found = address(service, definition, &published);
            let found = found.or_else(|| (is_local && speaks_http(&published)).then(|| guessed(service, &published)));
            let Some(address) = found else {
                if is_local && !OTHERS.contains(&published.target) {
                    // A release that answers with errors there would be taken for a good one.
                    discovery.notes.push(format!(
                        "{service} publishes port {}, and nothing answers there in HTTP now: add a probe, or only its container \
                         is looked at",
                        published.port
                    ));
                }
                continue;
            };
            if is_local {
                discovery.probes.push(address.probe(names.give(service)));
            } else {
                discovery.notes.push(format!(
                    "{service} publishes port {}, but DOCKER_HOST is another host: add a probe with its address",
                    published.port
                ));
            }
        }
    }
}

struct Address {
    url: String,
    about: String,
    is_guess: bool,
}

impl Address {
    fn probe(self, name: String) -> Found {
        let found = Found::new(name, "http", self.about);
        if !self.is_guess {
            return found.text("url", &self.url, "as the health check of the service asks");
        }
        found
            .text(
                "url",
                &self.url,
                "a guess: an address that also asks the database would tell more",
            )
            .text(
                "expect_status",
                "200-499",
                "a redirect or a missing page is an answer too; a server error is none",
            )
    }
}

/// The address of a published port that speaks HTTP, by what its health check asks, else by its name.
fn address(service: &str, definition: &Service, published: &Published) -> Option<Address> {
    let Published { host, port, target } = published;
    if let Some((asked, path)) = definition.health_check().as_deref().and_then(asked_address)
        && asked == *target
    {
        return Some(Address {
            url: format!("http://{host}:{port}{path}"),
            about: format!("The service {service} answers its own health check from outside as well."),
            is_guess: false,
        });
    }
    let image = definition.image_name();
    let is_web = [
        "nginx", "caddy", "traefik", "httpd", "haproxy", "web", "frontend", "front", "proxy",
    ]
    .iter()
    .any(|word| service.contains(word) || image.contains(word));
    let is_plain_port = matches!(target, 80 | 3000 | 3001 | 5000 | 8000 | 8080 | 8081);
    // Behind 443 a certificate for another name than this address would be refused.
    (is_plain_port && (is_web || definition.health_check().is_some())).then(|| Address {
        url: format!("http://{host}:{port}/"),
        about: format!("The service {service} answers on its published port."),
        is_guess: true,
    })
}

fn guessed(service: &str, published: &Published) -> Address {
    Address {
        url: format!("http://{}:{}/", published.host, published.port),
        about: format!("The service {service} answers on its published port."),
        is_guess: true,
    }
}

/// Ports of servers that take a question in HTTP for a broken client, or for an attack, and write that down.
const OTHERS: [u16; 12] = [22, 25, 53, 1433, 3306, 5432, 5672, 6379, 9092, 11211, 27017, 33060];
/// How long a connection may take.
const MOMENT: Duration = Duration::from_secs(2);
/// How long an answer may take on a busy machine, and how often it is asked for: what is not found here is not watched.
const PATIENCE: Duration = Duration::from_secs(5);
/// Both are guesses.
const ASKED: usize = 2;

/// Whether what is published answers a question in HTTP now, and not with an error of its own.
fn speaks_http(published: &Published) -> bool {
    if OTHERS.contains(&published.target) {
        return false;
    }
    let asked = || {
        let place = (published.host.trim_matches(['[', ']']), published.port);
        let mut stream = TcpStream::connect_timeout(&place.to_socket_addrs().ok()?.next()?, MOMENT).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_write_timeout(Some(MOMENT)).ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).ok()?;
        Some(head)
    };
    // `HTTP/1.1 200`
    let is_well = |head: [u8; 12]| head.starts_with(b"HTTP/1.") && matches!(head.get(9), Some(b'2'..=b'4'));
    (0..ASKED).any(|_| asked().is_some_and(is_well))
}

/// The port and path that a health check asks of its own container.
fn asked_address(check: &str) -> Option<(u16, String)> {
    let pattern =
        Regex::new(r"http://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::(\d+))?(/[A-Za-z0-9_~./%?=&-]*)?").ok()?;
    let found = pattern.captures(check)?;
    let port = found.get(1).map_or(Some(80), |port| port.as_str().parse().ok())?;
    Some((
        port,
        found
            .get(2)
            .map_or_else(|| "/".to_owned(), |path| path.as_str().to_owned()),
    ))
}
