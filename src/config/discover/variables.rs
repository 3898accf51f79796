//! The databases that variables name, in the environment or in `.env`: as Rails, Django, Laravel and others are given them.
//! What is written down refers to the variables; no secret is taken over.

use std::path::Path;

use url::Url;

use super::found::{Found, Names};
use crate::project::ComposeVariables;
use guard_system::context::Context;
use guard_system::disk;

/// Parameters of a URL that libpq knows; others are some program's own, and libpq refuses them.
const LIBPQ: [&str; 14] = [
    "application_name",
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "gssencmode",
    "host",
    "options",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
    "user",
];

/// A database that is told in parts, as by Laravel (`DB_HOST`, `DB_DATABASE`, …).
struct Parts {
    kind: &'static str,
    database: String,
    host: Option<String>,
    port: Option<String>,
    user: Option<String>,
    /// The variable of the password, where there is one.
    password: Option<String>,
    /// The variable that names the database, for people.
    named_by: String,
}

/// Where the value of a variable stands, for the comment beside it.
fn origin(name: &str, cx: &Context) -> String {
    if cx.environment.text(name).is_some() {
        format!("{name} of the environment")
    } else {
        format!("{name} of .env; guard reads the environment: `set -a; . ./.env` exports it")
    }
}

/// The databases that are named; what cannot be taken up is a note.
pub(super) fn databases(
    variables: &ComposeVariables<'_>,
    cx: &Context,
    names: &mut Names,
    notes: &mut Vec<String>,
) -> Vec<Found> {
    let mut found = Vec::new();
    let mut seen = Vec::new();
    for name in variables.names() {
        let is_url = matches!(
            name.as_str(),
            "POSTGRES_URL" | "POSTGRESQL_URL" | "MYSQL_URL" | "MARIADB_URL" | "REDIS_URL" | "VALKEY_URL" | "DB_URL"
        ) || name.ends_with("DATABASE_URL");
        let Some(value) = variables.text(&name).filter(|_| is_url) else {
            continue;
        };
        if seen.contains(&value) {
            continue;
        }
        seen.push(value);
        match of_url(&name, value, cx, names) {
            Ok(one) => found.extend(one),
            Err(why) => notes.push(format!("{name} names a database, but {why}")),
        }
    }
    let is_server = |found: &Found| found.kind != "redis";
    if !found.iter().any(is_server)
        && let Some(parts) = parts(variables, notes)
    {
        found.push(parts.found(cx, names));
    }
    found
}

/// The database of a URL; `None` for one that is no database of ours to copy, as one in memory.
fn of_url(name: &str, value: &str, cx: &Context, names: &mut Names) -> Result<Option<Found>, String> {
    let unclear = |_| "it is no URL: write `url` by hand".to_owned();
    let scheme = value.split(':').next().unwrap_or_default().to_ascii_lowercase();
    // The programs' own words for a driver.
    let plain = scheme.split('+').next().unwrap_or_default();
    let wish = |usual: &str| match name.strip_suffix("_DATABASE_URL").or_else(|| name.strip_suffix("_URL")) {
        Some(first)
            if !matches!(
                first,
                "POSTGRES" | "POSTGRESQL" | "MYSQL" | "MARIADB" | "REDIS" | "VALKEY" | "DB" | "DATABASE"
            ) =>
        {
            first.to_ascii_lowercase()
        }
        _ => usual.to_owned(),
    };
    let reference = format!("${{{name}}}");
    let kind = match plain {
        "sqlite" | "sqlite3" | "file" => return Ok(sqlite(value, cx, || names.give(&wish("db")))),
        "postgres" | "postgresql" => "postgres",
        "mysql" => "mysql",
        "mariadb" => "mariadb",
        "redis" | "rediss" | "valkey" | "valkeys" => "redis",
        other => return Err(format!("guard has no kind for `{other}:`; add a resource by hand")),
    };
    if scheme != plain {
        return Err(format!(
            "`{scheme}:` is a program's own; add a resource with `url = \"{plain}://…\"`"
        ));
    }
    let url = Url::parse(value).map_err(unclear)?;
    let strange = |known: &[&str]| {
        let mut keys = url.query_pairs().map(|(key, _)| key.into_owned());
        keys.find(|key| !known.contains(&key.as_str()))
    };
    let strange = match kind {
        "postgres" => strange(&LIBPQ),
        _ => strange(&[]),
    };
    if let Some(key) = strange {
        return Err(format!(
            "its parameter `{key}` is a program's own; add a resource with a `url` that goes without it"
        ));
    }
    let about = match kind {
        "redis" => format!("The keys of the server that {name} names."),
        _ => format!("The database that {name} names."),
    };
    let usual = if kind == "redis" { "redis" } else { "db" };
    let found = Found::new(names.give(&wish(usual)), kind, about);
    Ok(Some(found.reference("url", &reference, origin(name, cx))))
}

/// The file of an `SQLite` URL: `sqlite:///db.sqlite3`, `sqlite3:db/production.sqlite3`, `file:./dev.db`.
fn sqlite(value: &str, cx: &Context, name: impl FnOnce() -> String) -> Option<Found> {
    let rest = value.split_once(':')?.1.split('?').next()?;
    let path = match rest.strip_prefix("//") {
        // Three slashes begin a path from here, and four one from the root.
        Some(rest) => rest.strip_prefix('/').unwrap_or(rest),
        None => rest,
    };
    let path = path.trim_start_matches("./");
    let is_there = disk::exists(&cx.resolve(path)).unwrap_or_default();
    // Told from here, a file that is found in the directory as well is known as the same one.
    let place = Path::new(path);
    let real = disk::real_path(&cx.resolve(path));
    let inside = real.strip_prefix(disk::real_path(&cx.directory)).ok();
    let inside = inside.and_then(Path::to_str).filter(|_| place.is_absolute());
    let (path, about) = match inside {
        Some(inside) => (inside, "from this directory"),
        None if place.is_absolute() => (path, "outside of this directory"),
        None => (path, "from this directory"),
    };
    is_there.then(|| Found::new(name(), "sqlite", format!("The SQLite database {path}.")).text("path", path, about))
}

/// The database that is told in parts.
fn parts(variables: &ComposeVariables<'_>, notes: &mut Vec<String>) -> Option<Parts> {
    let text = |name: &str| variables.text(name).map(str::to_owned);
    let first = |names: &[&str]| names.iter().find_map(|name| text(name));
    let present = |names: &[&str]| {
        names
            .iter()
            .find(|name| text(name).is_some())
            .map(|name| (*name).to_owned())
    };
    let of_db = present(&["DB_DATABASE", "DB_NAME"]);
    if let Some(named_by) = of_db {
        let told = first(&["DB_CONNECTION", "DB_ENGINE", "DB_ADAPTER", "DB_DRIVER", "DB_TYPE"]);
        let word = told.clone().unwrap_or_default().to_ascii_lowercase();
        let port = text("DB_PORT");
        let kind = match word.rsplit(['.', '+']).next().unwrap_or_default() {
            "pgsql" | "postgres" | "postgresql" | "postgresql_psycopg2" | "psycopg2" | "postgis" => "postgres",
            "mariadb" => "mariadb",
            "mysql" | "mysql2" => "mysql",
            "sqlite" | "sqlite3" => return None,
            "" if port.as_deref() == Some("5432") => "postgres",
            "" if port.as_deref() == Some("3306") => "mysql",
            _ => {
                let told = told.map_or_else(
                    || "no variable says of which kind".to_owned(),
                    |told| format!("guard has no kind for {told:?}"),
                );
                notes.push(format!(
                    "{named_by} names a database, but {told}: add a resource by hand"
                ));
                return None;
            }
        };
        return Some(Parts {
            kind,
            database: text(&named_by)?,
            host: text("DB_HOST"),
            port,
            user: first(&["DB_USERNAME", "DB_USER"]),
            password: present(&["DB_PASSWORD", "DB_PASS"]),
            named_by,
        });
    }
    let known: [(&'static str, &str, [&[&str]; 5]); 3] = [
        (
            "postgres",
            "POSTGRES_DB",
            [
                &["POSTGRES_DB"],
                &["POSTGRES_HOST"],
                &["POSTGRES_PORT"],
                &["POSTGRES_USER"],
                &["POSTGRES_PASSWORD"],
            ],
        ),
        (
            "postgres",
            "PGDATABASE",
            [&["PGDATABASE"], &["PGHOST"], &["PGPORT"], &["PGUSER"], &["PGPASSWORD"]],
        ),
        (
            "mysql",
            "MYSQL_DATABASE",
            [
                &["MYSQL_DATABASE"],
                &["MYSQL_HOST"],
                &["MYSQL_PORT", "MYSQL_TCP_PORT"],
                &["MYSQL_USER"],
                &["MYSQL_PASSWORD", "MYSQL_PWD"],
            ],
        ),
    ];
    let (kind, named_by, [database, host, port, user, password]) =
        known.into_iter().find(|(_, named_by, _)| text(named_by).is_some())?;
    Some(Parts {
        kind,
        database: first(database)?,
        host: first(host),
        port: first(port),
        user: first(user),
        password: present(password),
        named_by: named_by.to_owned(),
    })
}

impl Parts {
    fn found(&self, cx: &Context, names: &mut Names) -> Found {
        let host = self.host.as_deref().unwrap_or("127.0.0.1");
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let port = self.port.as_ref().map(|port| format!(":{port}")).unwrap_or_default();
        let url = format!("{}://{host}{port}/{}", self.kind, encoded(&self.database));
        let found = Found::new(
            names.give("db"),
            self.kind,
            format!("The database that {} names.", self.named_by),
        )
        .text("url", &url, "where it is, as the variables say");
        let found = match &self.user {
            Some(user) => found.text("user", user, "who asks"),
            None => found,
        };
        match &self.password {
            Some(name) => found.text("password_env", name, origin(name, cx)),
            None => found,
        }
    }
}

/// A part of a URL's path.
fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes()
        .map(|byte| {
            if is_plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
