//! What a directory shows without Docker: the git checkout, env files, `SQLite` databases.

use std::fs::File;
use std::io::Read;

use super::discovery::shown;
use super::found::{Found, Names, quoted};
use guard_system::context::Context;
use guard_system::disk;
use guard_system::servers::{Need, Server};

/// Configuration files that are gathered while the rest is looked at.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    paths: Vec<String>,
    nginx: Option<String>,
}

impl Configuration {
    pub(super) fn add(&mut self, path: String) {
        if !self.paths.contains(&path) {
            self.paths.push(path);
        }
    }

    /// Some of the files are those of the nginx in this service.
    pub(super) fn reloaded_by_nginx(&mut self, service: &str) {
        self.nginx.get_or_insert_with(|| service.to_owned());
    }

    pub(super) fn into_found(self, names: &mut Names) -> Option<Found> {
        if self.paths.is_empty() {
            return None;
        }
        let found = Found::new(
            names.give("config"),
            "files",
            "Configuration: files that are not in git, or that containers mount.",
        )
        .texts("paths", &self.paths, "`dir/**` is everything in it");
        Some(match self.nginx {
            Some(service) => found
                .command(
                    "check",
                    &format!("docker compose exec -T {service} nginx -t"),
                    "asked before the files are believed",
                )
                .command(
                    "after",
                    &format!("docker compose exec -T {service} nginx -s reload"),
                    "run once they are back",
                ),
            None => found,
        })
    }
}

/// `.env` and its like; examples are left out.
pub(super) fn env_files(cx: &Context, notes: &mut Vec<String>) -> Configuration {
    let mut configuration = Configuration::default();
    let paths = disk::list(&cx.directory).unwrap_or_else(|error| {
        notes.push(error.to_string());
        Vec::new()
    });
    for path in paths.iter().filter(|path| path.is_file()) {
        let name = shown(path, &cx.directory);
        let is_example = ["example", "sample", "template", "dist", "test"]
            .iter()
            .any(|word| name.split('.').any(|part| part == *word));
        let is_env =
            name == ".env" || name.starts_with(".env.") || path.extension().is_some_and(|ending| ending == "env");
        if is_env && !is_example {
            configuration.add(name);
        }
    }
    configuration
}

/// The checkout, where this directory is its root.
pub(super) fn git(cx: &Context, names: &mut Names, notes: &mut Vec<String>) -> Option<Found> {
    match disk::exists(&cx.directory.join(".git")) {
        Ok(true) => Some(Found::new(
            names.give("code"),
            "git",
            "The git checkout: its commit, its branch, and what is changed and not committed.",
        )),
        Ok(false) => None,
        Err(error) => {
            notes.push(error.to_string());
            None
        }
    }
}

/// The data directories of servers, which are no plain directories; each a sentence. Those that are taken up are left out.
pub(super) fn of_servers(cx: &Context, taken: &[Found]) -> Vec<String> {
    let is_taken = |path: &str| {
        let value = quoted(path);
        let mut entries = taken.iter().flat_map(|found| &found.entries);
        entries.any(|entry| entry.key == "path" && entry.value == value)
    };
    let mut notes = Vec::new();
    let places = disk::directories(&cx.directory).unwrap_or_default();
    for place in places.iter().filter(|place| !place.join(".git").exists()) {
        let Ok(Some((server, directory))) = Server::in_directory(place, 2) else {
            continue;
        };
        let inside = shown(&directory, &cx.directory);
        let is_own_kind = |found: &Found| match server.need {
            Need::Kind("mariadb") => matches!(found.kind, "mariadb" | "mysql"),
            Need::Kind(kind) => found.kind == kind,
            Need::Stop | Need::Nothing(_) => false,
        };
        if taken.iter().any(is_own_kind) {
            continue;
        }
        if server.is_torn_by_a_live_copy() && !is_taken(&inside) && !is_taken(&shown(place, &cx.directory)) {
            notes.push(format!(
                "{inside} is a data directory of {}: {}",
                server.name,
                server.advice()
            ));
        }
    }
    notes
}

/// Directories down to which databases are looked for, and entries after which the search ends.
const DEPTH: usize = 4;
/// Both are guesses.
const MOST: usize = 20_000;

/// The `SQLite` databases, by their first bytes.
pub(super) fn sqlite_files(cx: &Context, names: &mut Names, notes: &mut Vec<String>) -> Vec<Found> {
    let mut found = Vec::new();
    let walk = walkdir::WalkDir::new(&cx.directory)
        .max_depth(DEPTH)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            entry.depth() == 0
                || !(name.starts_with('.') || matches!(&*name, "node_modules" | "target" | "vendor" | "backups"))
        });
    for (count, entry) in walk.enumerate() {
        if count == MOST {
            notes.push(format!(
                "only the first {MOST} files were searched for SQLite databases; add a resource of kind `sqlite` for others"
            ));
            break;
        }
        // What cannot be read here cannot be told to be a database; the search is an offer, not a promise.
        let Ok(entry) = entry else { continue };
        let path = entry.path();
        let is_candidate = path
            .extension()
            .and_then(|ending| ending.to_str())
            .is_some_and(|ending| matches!(ending, "db" | "db3" | "sqlite" | "sqlite3"));
        if !(entry.file_type().is_file() && is_candidate && begins_as_sqlite(path)) {
            continue;
        }
        let inside = shown(path, &cx.directory);
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        found.push(
            Found::new(
                names.give(&stem.unwrap_or_default()),
                "sqlite",
                format!("The SQLite database {inside}."),
            )
            .text("path", &inside, "from this directory"),
        );
    }
    found
}

fn begins_as_sqlite(path: &std::path::Path) -> bool {
    let mut head = [0; 16];
    File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok() && &head == b"SQLite format 3\0"
}
