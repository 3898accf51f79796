//! The database servers among the services of a Compose project.

use super::found::Found;
use super::resolved::{Mount, Service};
use guard_system::servers;

/// A database server that guard knows, as its official image shows it.
pub(super) struct Server {
    kind: &'static str,
    /// Words of which one is in the image's name.
    images: &'static [&'static str],
    /// Its variables: a password, where there is one, and the database.
    password: &'static [&'static str],
    database: &'static [&'static str],
    /// Where its files are.
    files: &'static str,
}

const SERVERS: [Server; 3] = [
    Server {
        kind: "postgres",
        images: &["postgres", "postgis", "timescale", "pgvector"],
        password: &["POSTGRES_PASSWORD"],
        database: &["POSTGRES_DB"],
        files: "/var/lib/postgresql",
    },
    Server {
        kind: "mariadb",
        images: &["mariadb"],
        password: &["MARIADB_ROOT_PASSWORD"],
        database: &["MARIADB_DATABASE", "MYSQL_DATABASE"],
        files: "/var/lib/mysql",
    },
    Server {
        kind: "mysql",
        images: &["mysql", "percona"],
        password: &["MYSQL_ROOT_PASSWORD"],
        database: &["MYSQL_DATABASE"],
        files: "/var/lib/mysql",
    },
];

impl Server {
    /// The server that a service runs.
    pub(super) fn of(service: &Service) -> Option<&'static Self> {
        let image = service.image_name().to_ascii_lowercase();
        let is_other = ["exporter", "backup", "admin", "client", "bouncer", "router"];
        if is_other.iter().any(|word| image.contains(word)) {
            return None;
        }
        let told = |names: &[&str]| names.iter().any(|name| service.variable(name).is_some());
        let named = SERVERS
            .iter()
            .find(|server| server.images.iter().any(|word| image.contains(word)));
        // The password alone says nothing: the app is given it as well.
        let found = named.or_else(|| {
            let mut servers = SERVERS.iter();
            servers.find(|server| told(server.password) && service.volumes.iter().any(|mount| server.holds(mount)))
        });
        // Only Postgres has a database of a known name where none is told.
        found.filter(|server| server.kind == "postgres" || told(server.database))
    }

    /// Whether its files are in this mount.
    pub(super) fn holds(&self, mount: &Mount) -> bool {
        mount.target.starts_with(self.files)
    }
}

/// The resource for a service that keeps its keys in memory; `None` where it is none, or mounts nothing that outlives it.
pub(super) fn in_memory(name: impl FnOnce() -> String, service: &str, definition: &Service) -> Option<Found> {
    let server = servers::Server::of_image(definition.image_name()).filter(|server| server.is_in_memory)?;
    let servers::Need::Kind(kind) = server.need else {
        return None;
    };
    let outlives = definition.volumes.iter().any(keeps_memory);
    outlives.then(|| {
        Found::new(
            name(),
            kind,
            format!("The keys of the service {service}, which are in its memory."),
        )
        .text(
            "service",
            service,
            "asked inside its container, and stopped while its files are replaced",
        )
    })
}

/// Whether a mount is where such a server saves.
pub(super) fn keeps_memory(mount: &Mount) -> bool {
    mount.target == "/data" || mount.target.starts_with("/var/lib/") || mount.target.ends_with("/data")
}

/// The resource for a service's database. The defaults are those of the official image.
pub(super) fn database(name: String, service: &str, definition: &Service) -> Option<Found> {
    let server = Server::of(definition)?;
    let user = definition.variable("POSTGRES_USER").unwrap_or("postgres");
    let variable = server.database.iter().find(|name| definition.variable(name).is_some());
    let variable = variable.or(server.database.first())?;
    let database = definition.variable(variable).unwrap_or(user);
    let found = Found::new(name, server.kind, format!("The database of the service {service}."))
        .text(
            "service",
            service,
            "reached inside its container, so no password is needed here",
        )
        .text("database", database, format!("{variable} of the service"));
    Some(if server.kind == "postgres" {
        found.text("user", user, "POSTGRES_USER of the service")
    } else {
        found
    })
}
