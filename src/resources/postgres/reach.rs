//! How a server is reached: by the programs inside its container, or by the host's own over the network.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::database::{Postgres, Way};
use super::desk::Desk;
use super::pace::{Load, usual_jobs};
use super::sql::{IDENTIFIER, conninfo};
use super::target::Target;
use super::trouble::{Trouble, explained};
use crate::error::Result;
use guard_model::secret::Secret;
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::docker::{self, Container};

/// Text forms that depend on nobody's settings, so that two looks at the same rows see the same.
const PRELUDE: &str = "SET search_path = pg_catalog; SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; \
    SET intervalstyle = 'iso_8601'; SET extra_float_digits = 3; SET bytea_output = 'hex'; SET xmloption = 'content'; \
    SET row_security = off; SET standard_conforming_strings = on; SET statement_timeout = 0; \
    SET idle_in_transaction_session_timeout = 0; SET client_min_messages = warning;\n";

/// Text goes over the line as UTF-8, but for a database that does not know what its bytes mean: those come as they are.
const ENCODING: &str = "SELECT pg_catalog.set_config('client_encoding', \
    CASE pg_catalog.getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END, false) AS guard_encoding \\gset\n";

/// The settings of a session in which no trigger fires but those that are `ENABLE ALWAYS`.
pub(super) const SILENCE: &str = "-c session_replication_role=replica";
/// The same, without event triggers of any sort: from version 17 on.
const SILENCE_OF_ALL: &str = "-c session_replication_role=replica -c event_triggers=off";

/// The database that every server has for nothing in particular: sessions with it are in nobody's way.
const SHARED: &str = "postgres";
/// With these even a dump is soon done: it tells its version, what it holds, or the schema alone.
const SHORT: [&str; 3] = ["--version", "-l", "--schema-only"];

/// A way to a server, found for one act.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    container: Option<String>,
    /// The container's id and start, by which it is told from what it was before it was started anew.
    life: Option<String>,
    target: Target,
    /// Where a server in a container is, in words that stay the same when it is made anew.
    pub(super) place: Option<String>,
    /// The live database.
    pub(super) database: String,
    password: Option<Secret>,
    /// `SET lock_timeout`, in milliseconds.
    lock_wait: u128,
    /// How long a dump may be silent.
    pub(super) stall: Duration,
    /// Whether a backup of another cluster may be restored.
    pub(super) any_server: bool,
    /// How a database is filled.
    pub(super) load: Load,
    /// The session with [`SHARED`].
    desk: Desk,
}

impl Reach {
    /// Finds the way: the service's running container, or the URL.
    pub(super) fn open(of: &Postgres, cx: &Context) -> Result<Self> {
        let mut target = Target::default();
        let (mut container, mut life) = (None, None);
        let mut inside = Vec::new();
        let mut place = None;
        match &of.way {
            Way::Service { service, project } => {
                let found = docker::container_by_service(cx, project, service).map_err(Trouble::engine)?;
                let Some(running) = found.as_ref().filter(|found| found.is_running()) else {
                    return Err(Trouble::no_container(found.as_ref(), project, service));
                };
                inside = variables(running, cx)?;
                let engine =
                    ["DOCKER_HOST", "DOCKER_CONTEXT"].map(|name| cx.environment.text(name).unwrap_or_default());
                place = Some(format!(
                    "service {service} of project {project} {}",
                    engine.join(" ").trim()
                ));
                container = Some(running.id.clone());
                life = Some(life_of(running));
            }
            Way::Url(url) => target = Target::of_url(url.expose()).map_err(|why| Trouble::bad_url(&why))?,
            Way::Environment => {}
        }
        let outside = |name: &str| container.is_none().then(|| cx.environment.text(name)).flatten();
        let told = |name: &str| {
            let found = inside.iter().find(|(known, value)| known == name && !value.is_empty());
            found.map(|(_, value)| value.clone())
        };
        let user = of.user.clone().or_else(|| target.parameter("user").map(str::to_owned));
        let user = user.or_else(|| told("PGUSER")).or_else(|| told("POSTGRES_USER"));
        let user = user.or_else(|| container.is_some().then(|| "postgres".to_owned()));
        target.put("user", user.as_deref().unwrap_or_default());
        // Where the server in the container listens, unless it is as usual: its socket has another name then.
        let port = of.port.map(|port| port.to_string());
        target.put("port", &port.or_else(|| told(PORT)).unwrap_or_default());
        target.put("host", &told(SOCKET).unwrap_or_default());
        let database = of.database.clone().or_else(|| target.database.clone());
        let database = database.or_else(|| told("PGDATABASE")).or_else(|| told("POSTGRES_DB"));
        let database = database.or_else(|| outside("PGDATABASE").map(str::to_owned)).or(user);
        let named = of.password_env.as_deref().and_then(|name| cx.environment.text(name));
        let password = named.map(Secret::new).or_else(|| target.password.clone());
        let password = password.or_else(|| {
            told("PGPASSWORD")
                .or_else(|| told("POSTGRES_PASSWORD"))
                .map(Secret::new)
        });
        for secret in password.iter().map(Secret::expose).chain(outside("PGPASSWORD")) {
            cx.redaction.learn(secret);
        }
        // A silent network must not hold a run for ever.
        for (key, value) in [
            ("connect_timeout", "10"),
            ("keepalives_idle", "30"),
            ("keepalives_interval", "10"),
        ] {
            if container.is_none() && target.parameter(key).is_none() && outside("PGCONNECT_TIMEOUT").is_none() {
                target.put(key, value);
            }
        }
        Ok(Self {
            container,
            life,
            target,
            place,
            database: database.ok_or_else(Trouble::no_database_named)?,
            password,
            lock_wait: of.lock_wait.as_millis(),
            stall: of.stall,
            any_server: of.any_server,
            load: Load::full(of.jobs.unwrap_or_else(usual_jobs)),
            desk: of.desk.clone(),
        })
    }

    /// The container, where the server is in one.
    pub(super) fn container(&self) -> Option<&str> {
        self.container.as_deref()
    }

    /// Whether the server shares this host's disk: reached by a socket or a loopback address.
    pub(super) fn is_local(&self) -> bool {
        let host = self.target.parameter("host").unwrap_or("localhost");
        self.container.is_none() && (host.starts_with('/') || matches!(host, "localhost" | "127.0.0.1" | "::1"))
    }

    /// The connection to a database as libpq reads it; no password is in it.
    pub(super) fn connection(&self, database: &str) -> String {
        let pairs = self.target.parameters.iter();
        let pairs = pairs.map(|(key, value)| (key.as_str(), value.as_str()));
        conninfo(pairs.chain([("dbname", database), ("application_name", "guard")]))
    }

    /// A call of one of Postgres' programs; the password travels in its environment.
    pub(super) fn program(&self, program: &str, reads: bool, args: &[&str]) -> Call {
        let mut env = vec![("LC_ALL", "C")];
        if program == "psql" {
            // What dumps and restores keeps to the database's own encoding: a conversion can fail, and none is needed.
            env.push(("PGCLIENTENCODING", "UTF8"));
        }
        if let Some(password) = &self.password {
            env.push(("PGPASSWORD", password.expose()));
        }
        if let Some(container) = &self.container {
            let words: Vec<&str> = std::iter::once(program).chain(args.iter().copied()).collect();
            let call = docker::exec(container, &env, reads, &words);
            let is_long =
                matches!(program, "pg_dump" | "pg_restore" | "tar") && !args.iter().any(|arg| SHORT.contains(arg));
            return if is_long { call.by_program() } else { call };
        }
        env.iter().fold(Call::new(program).args(args), |call, (name, value)| {
            call.env(name, value)
        })
    }

    /// A call of psql that reads a script and stops at its first error.
    pub(super) fn psql(&self, database: &str) -> Call {
        let connection = self.connection(database);
        let flags = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "--no-password", "-d"];
        let args: Vec<&str> = flags.into_iter().chain([connection.as_str()]).collect();
        self.program("psql", true, &args)
    }

    /// A script with what has to stand before it.
    pub(super) fn script(&self, body: &str) -> String {
        format!("{PRELUDE}{ENCODING}SET lock_timeout = {};\n{body}\n", self.lock_wait)
    }

    /// How long `pg_dump` waits for a lock.
    pub(super) fn wait_flag(&self) -> String {
        format!("--lock-wait-timeout={}", self.lock_wait)
    }

    /// Runs a script as in a session of its own.
    pub(super) fn run(&self, database: &str, body: &str, cx: &Context) -> Result<String> {
        let call = self.psql(database);
        // A session that stays in any other database would keep it from being renamed, dropped or copied.
        if database == SHARED
            && self.database != SHARED
            && let Some(told) = self.desk.ask(&call, &self.script(body), cx)
        {
            return told.map_err(|error| explained(error, database));
        }
        let call = call.input(self.script(body));
        let output = cx.output(&call).map_err(|error| explained(error, database))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Opens the session for looks at the server, which will be needed soon; waits for nothing.
    pub(super) fn expects(&self, cx: &Context) {
        if self.database != SHARED {
            self.desk.open(&self.psql(SHARED), cx);
        }
    }

    /// Runs a script that selects one JSON value to a row.
    pub(super) fn rows<T: DeserializeOwned>(&self, database: &str, body: &str, cx: &Context) -> Result<Vec<T>> {
        let text = self.run(database, body, cx)?;
        let lines = text.lines().filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_str(line).map_err(|error| Trouble::unread(line, error)))
            .collect()
    }

    /// The database from which the others are renamed, made and dropped: `postgres`, else `template1`.
    pub(super) fn maintenance(&self, cx: &Context) -> Result<&'static str> {
        if self.database != SHARED {
            match self.run(SHARED, "SELECT 1;", cx) {
                Ok(_) => return Ok(SHARED),
                Err(error) if super::trouble::is_no_database(&error) => {}
                Err(error) => return Err(error),
            }
        }
        self.run("template1", "SELECT 1;", cx).map(|_| "template1")
    }

    /// Whether the user is a superuser, who may turn triggers off.
    pub(super) fn may_all(&self, cx: &Context) -> Result<bool> {
        let script = "SELECT to_jsonb(rolsuper) FROM pg_roles WHERE rolname = current_user;";
        let told: Vec<bool> = match self.rows(SHARED, script, cx) {
            Err(error) if super::trouble::is_no_database(&error) => self.rows("template1", script, cx)?,
            other => other?,
        };
        Ok(told.first().copied().unwrap_or_default())
    }

    /// The settings of a session in which no event trigger fires, as far as the server knows such; `None` where the user may not
    /// turn any off. Before version 17 one that is `ENABLE ALWAYS` fires all the same.
    pub(super) fn silence(&self, cx: &Context) -> Result<Option<&'static str>> {
        if !self.may_all(cx)? {
            return Ok(None);
        }
        let script = "SELECT to_jsonb(current_setting('event_triggers', true) IS NOT NULL);";
        let told: Vec<bool> = self.rows(self.maintenance(cx)?, script, cx)?;
        let is_known = told.first().copied().unwrap_or_default();
        Ok(Some(if is_known { SILENCE_OF_ALL } else { SILENCE }))
    }

    /// The names of all databases.
    pub(super) fn databases(&self, maintenance: &str, cx: &Context) -> Result<Vec<String>> {
        self.rows(maintenance, "SELECT to_jsonb(datname::text) FROM pg_database;", cx)
    }

    /// The version that a program tells: `17.6`. One in a container is asked once in the container's life.
    pub(super) fn version(&self, program: &str, cx: &Context) -> Result<String> {
        let key = self.life.as_ref().map(|life| format!("{life} {program}"));
        let known = || VERSIONS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(version) = key.as_ref().and_then(|key| known().get(key).cloned()) {
            return Ok(version);
        }
        let call = self.program(program, false, &["--version"]);
        let output = cx.output(&call).map_err(|error| explained(error, &self.database))?;
        // `pg_dump (PostgreSQL) 17.6 (Debian 17.6-1)`
        let text = output.text();
        let version = text.split(") ").nth(1).and_then(|rest| rest.split(' ').next());
        let version = version.unwrap_or(&text).to_owned();
        if let Some(key) = key {
            known().insert(key, version.clone());
        }
        Ok(version)
    }
}

/// What [`variables`] calls the port and the directory of the server's socket where they are not the usual ones.
const PORT: &str = " port";
const SOCKET: &str = " socket";
const USUAL_PORT: &str = "5432";
const USUAL_SOCKETS: [&str; 3] = ["", "/var/run/postgresql", "/tmp"];

/// What is known of containers that were asked before, by their id and start.
static KNOWN: LazyLock<Mutex<BTreeMap<String, Variables>>> = LazyLock::new(Mutex::default);
/// The versions that programs in containers have told, by the container's id and start and the program.
static VERSIONS: LazyLock<Mutex<BTreeMap<String, String>>> = LazyLock::new(Mutex::default);

/// Names and values.
type Variables = Vec<(String, String)>;

fn life_of(container: &Container) -> String {
    format!("{} {}", container.id, container.started_at)
}

/// The variables of a container, as a program in it sees them; a password kept in a file is read from there, and where the
/// server listens from the file that it writes when it starts.
fn variables(container: &Container, cx: &Context) -> Result<Vec<(String, String)>> {
    let key = life_of(container);
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pairs) = known().get(&key) {
        return Ok(pairs.clone());
    }
    let read = |words: &[&str]| {
        let output = cx.output(&docker::exec(&container.id, &[], false, words));
        output.map_err(|error| Trouble::engine(docker::explained(error)))
    };
    let text = String::from_utf8_lossy(&read(&["env"])?.stdout).into_owned();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let mut pairs: Vec<(String, String)> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let told = |name: &str| {
        pairs
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    };
    let file = told("POSTGRES_PASSWORD_FILE");
    let data = told("PGDATA").unwrap_or_else(|| "/var/lib/postgresql/data".to_owned());
    if let Some(file) = file {
        pairs.push(("POSTGRES_PASSWORD".to_owned(), read(&["cat", "--", &file])?.text()));
    }
    // Process, directory, start, port, socket's directory; whoever may not read it goes by what is usual.
    let Ok(standing) = read(&["cat", "--", &format!("{data}/postmaster.pid")]) else {
        return Ok(pairs);
    };
    let standing = standing.text();
    let mut lines = standing.lines().skip(3).map(str::trim);
    let (port, socket) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    if !port.is_empty() && port != USUAL_PORT {
        pairs.push((PORT.to_owned(), port.to_owned()));
    }
    if !USUAL_SOCKETS.contains(&socket) {
        pairs.push((SOCKET.to_owned(), socket.to_owned()));
    }
    known().insert(key, pairs.clone());
    Ok(pairs)
}

/// The names that tell a database from every other one: its cluster's identifier, where the server tells it, and its
/// address. A server that has moved keeps the one, and one that was made anew at the same place the other.
pub(super) fn identity(of: &Postgres, cx: &Context) -> Vec<String> {
    let reach = Reach::open(of, cx);
    let told = reach.as_ref().ok().map(|reach| reach.database.clone());
    let Some(database) = told.or_else(|| of.database.clone()) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    if let Ok(reach) = &reach {
        let script = format!("{IDENTIFIER}SELECT jsonb_build_object('identifier', :known::text);");
        let told: Vec<Identifier> = reach.rows(&reach.database, &script, cx).unwrap_or_default();
        let told = told.into_iter().find_map(|one| one.identifier);
        names.extend(told.map(|cluster| format!("cluster {cluster}, database {database}")));
    }
    let address = match (&of.way, &reach) {
        (Way::Service { service, project }, _) => docker::named_in_engine(cx, &format!("service {project}/{service}")),
        (_, Ok(reach)) => {
            let told = |key: &str, variable: &str| {
                let set = reach.target.parameter(key).map(str::to_owned);
                set.or_else(|| cx.environment.text(variable).map(str::to_owned))
            };
            let host = told("host", "PGHOST").unwrap_or_else(|| "localhost".to_owned());
            let port = told("port", "PGPORT").unwrap_or_else(|| "5432".to_owned());
            format!("server {host}:{port}")
        }
        _ => return names,
    };
    names.push(format!("{address}, database {database}"));
    names
}

#[derive(serde::Deserialize)]
struct Identifier {
    identifier: Option<String>,
}
