//! How a server is reached: by the programs inside its container, or by the host's own over the network or a socket.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::database::{MariaDb, Product};
use super::target::Target;
use super::trouble;
use crate::error::{ResourceError, Result};
use crate::way::Way;
use guard_model::secret::Secret;
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::docker;

/// The programs' own limit for one row: the most that there is, so that only the server's counts.
const PACKET: &str = "--max-allowed-packet=1G";

/// A way to a server, found for one act.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    container: Option<String>,
    flags: Vec<String>,
    password: Option<Secret>,
    pub(super) product: &'static Product,
    /// The live database.
    pub(super) database: String,
    /// How long is waited for a lock.
    lock_wait: Duration,
    /// How long a dump may be silent.
    pub(super) stall: Duration,
    /// The server's directory can be looked at from here.
    pub(super) is_local: bool,
}

impl Reach {
    /// Finds the way: the service's running container, or the URL.
    pub(super) fn open(of: &MariaDb, cx: &Context) -> Result<Self> {
        let (mut target, mut container, mut inside) = (Target::default(), None, Vec::new());
        match &of.way {
            Way::Url(url) => {
                let unread = |why| ResourceError::new(format!("could not read the `url`: {why}"));
                target = Target::of_url(url.expose()).map_err(unread)?;
            }
            Way::Service { service, project } => {
                let found = docker::container_by_service(cx, project, service).map_err(trouble::engine)?;
                let running = found.as_ref().filter(|found| found.is_running());
                let id = running.map(|found| found.id.clone()).ok_or_else(|| {
                    let (what, hint) = docker::not_running(found.as_ref(), project, service);
                    ResourceError::new(what).with_hint(hint)
                })?;
                inside = variables(&id, cx)?;
                container = Some(id);
            }
        }
        let told = |name: &str| {
            let names = [format!("MARIADB_{name}"), format!("MYSQL_{name}")];
            let found = inside
                .iter()
                .find(|(known, value)| names.contains(known) && !value.is_empty());
            found.map(|(_, value)| value.clone())
        };
        let root = told("ROOT_PASSWORD");
        let user = of.user.clone().or(target.user);
        // Only root may make the databases beside the live one, unless somebody was given the right.
        let user = user
            .or_else(|| root.as_ref().map(|_| "root".to_owned()))
            .or_else(|| told("USER"));
        let user = user.or_else(|| container.is_some().then(|| "root".to_owned()));
        let named = of.password_env.as_deref().and_then(|name| cx.environment.text(name));
        let password = named.map(Secret::new).or(target.password);
        let password = password.or_else(|| {
            let is_root = user.as_deref() == Some("root");
            let known = if is_root { root } else { told("PASSWORD") };
            known.map(Secret::new)
        });
        for secret in password.iter().map(Secret::expose) {
            cx.redaction.learn(secret);
        }
        let mut flags = target.flags;
        flags.extend(user.map(|user| format!("--user={user}")));
        let database = of.database.clone().or(target.database).or_else(|| told("DATABASE"));
        let nameless =
            || ResourceError::new("no database is named").with_hint("set `database`, or end the `url` with /DATABASE");
        Ok(Self {
            is_local: container.is_none() && target.is_local,
            container,
            flags,
            password,
            product: of.product,
            database: database.ok_or_else(nameless)?,
            lock_wait: of.lock_wait,
            stall: of.stall,
        })
    }

    /// The container, where the server is in one.
    pub(super) fn container(&self) -> Option<&str> {
        self.container.as_deref()
    }

    /// A call of one of the server's programs; the password travels in its environment.
    pub(super) fn program(&self, program: &str, reads: bool, args: &[&str]) -> Call {
        let mut env = vec![("LC_ALL", "C")];
        if let Some(password) = &self.password {
            env.push(("MYSQL_PWD", password.expose()));
        }
        // What a person has set for their own sessions is not for these, but for those in a container, where the image knows.
        let mut words = Vec::new();
        if self.container.is_none() {
            words.push("--no-defaults");
        }
        words.extend(self.flags.iter().map(String::as_str).chain(args.iter().copied()));
        if let Some(container) = &self.container {
            let words: Vec<&str> = std::iter::once(program).chain(words).collect();
            return docker::exec(container, &env, reads, &words);
        }
        let call = Call::new(program).args(words);
        env.iter().fold(call, |call, (name, value)| call.env(name, value))
    }

    /// A call of the client that reads a script and stops at its first error.
    pub(super) fn client(&self, database: Option<&str>) -> Call {
        let chosen = database.map(|database| format!("--database={database}"));
        let mut args = vec![
            "--batch",
            "--raw",
            "--skip-column-names",
            "--default-character-set=utf8mb4",
        ];
        args.push("--connect-timeout=10");
        args.push(PACKET);
        args.extend(chosen.as_deref());
        self.program(self.product.client, true, &args)
    }

    /// What has to stand before a script: forms of text that depend on nobody's settings.
    pub(super) fn prelude(&self) -> String {
        let seconds = self.lock_wait.as_secs().max(1);
        format!(
            "SET SESSION time_zone = '+00:00', sql_mode = '', lock_wait_timeout = {seconds}, \
             innodb_lock_wait_timeout = {seconds}, net_write_timeout = 600;\n"
        )
    }

    /// Runs a script in one session.
    pub(super) fn run(&self, database: Option<&str>, body: &str, cx: &Context) -> Result<String> {
        let call = self.client(database).input(format!("{}{body}\n", self.prelude()));
        let output = cx
            .output(&call)
            .map_err(|error| trouble::explained(error, &self.database))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a script that selects one JSON value to a row.
    pub(super) fn rows<T: DeserializeOwned>(&self, body: &str, cx: &Context) -> Result<Vec<T>> {
        let text = self.run(None, body, cx)?;
        let lines = text.lines().filter(|line| !line.is_empty());
        let read = |line: &str| serde_json::from_str(line).map_err(|error| trouble::unread(line, error));
        lines.map(read).collect()
    }

    /// A call of the dump program: what is common to all its uses.
    pub(super) fn dump(&self, args: &[&str], database: &str, tables: &[String]) -> Call {
        let mut words = vec![
            "--default-character-set=utf8mb4",
            "--skip-dump-date",
            "--skip-add-locks",
            "--no-tablespaces",
            PACKET,
        ];
        if *self.product == super::database::OF_MYSQL {
            // Statistics and transaction numbers are the server's own affair, and would hinder the loading.
            words.extend(["--column-statistics=0", "--set-gtid-purged=OFF"]);
        }
        words.extend(args);
        words.extend(["--", database]);
        words.extend(tables.iter().map(String::as_str));
        self.program(self.product.dump, false, &words).by_program()
    }

    /// The version that a program tells.
    pub(super) fn version(&self, program: &str, cx: &Context) -> Result<String> {
        let output = cx.output(&self.program(program, false, &["--version"]));
        let output = output.map_err(|error| trouble::explained(error, &self.database))?;
        // `mariadb-dump from 10.11.19-MariaDB, client 10.19 for …`, `mysqldump  Ver 8.0.43 for …`
        let text = output.text();
        let digits = text
            .split([' ', ','])
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.matches('.').count() > 1);
        Ok(digits.unwrap_or(&text).to_owned())
    }
}

/// An identifier, always quoted.
pub(super) fn ident(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A string literal, under the settings of the prelude.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The variables of a container; a password kept in a file is read from there.
fn variables(container: &str, cx: &Context) -> Result<Vec<(String, String)>> {
    let read = |words: &[&str]| {
        let output = cx.output(&docker::exec(container, &[], false, words));
        output.map_err(|error| trouble::engine(docker::explained(error)))
    };
    let text = String::from_utf8_lossy(&read(&["env"])?.stdout).into_owned();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let mut pairs: Vec<(String, String)> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let is_ours = |name: &str| name.starts_with("MARIADB_") || name.starts_with("MYSQL_");
    let files: Vec<(String, String)> = pairs
        .iter()
        .filter(|(name, _)| is_ours(name))
        .filter_map(|(name, file)| Some((name.strip_suffix("_FILE")?.to_owned(), file.clone())))
        .collect();
    for (name, file) in files {
        pairs.push((name, read(&["cat", "--", &file])?.text()));
    }
    Ok(pairs)
}

/// The name that tells a database from every other one: its server's address. MariaDB has no identifier of its own that every
/// user may ask for.
pub(super) fn identity(of: &MariaDb, cx: &Context) -> Vec<String> {
    let reach = Reach::open(of, cx);
    let named = reach.as_ref().ok().map(|reach| reach.database.clone());
    let Some(database) = named.or_else(|| of.database.clone()) else {
        return Vec::new();
    };
    let address = match (&of.way, &reach) {
        (Way::Service { service, project }, _) => docker::named_in_engine(cx, &format!("service {project}/{service}")),
        (_, Ok(reach)) => {
            let told = |flag: &str| reach.flags.iter().find_map(|one| one.strip_prefix(flag));
            match told("--socket=") {
                Some(socket) => format!("server {socket}"),
                None => format!(
                    "server {}:{}",
                    told("--host=").unwrap_or("localhost"),
                    told("--port=").unwrap_or("3306")
                ),
            }
        }
        _ => return Vec::new(),
    };
    vec![format!("{address}, database {database}")]
}

/// The server's version.
pub(crate) fn version(reach: &Reach, cx: &Context) -> Result<String> {
    let told: Vec<String> = reach.rows("SELECT JSON_QUOTE(@@version);", cx)?;
    Ok(told.into_iter().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_close_nothing_early() {
        assert_eq!(ident("or`ders"), "`or``ders`");
        assert_eq!(literal(r"a\'b"), r"'a\\''b'");
    }
}
