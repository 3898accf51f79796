//! The directories in which an application keeps what people give it: known by their names, and by files that git does not keep.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::discovery::shown;
use super::found::{Found, Names};
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::servers::Server;

/// Names of such directories.
const NAMES: [&str; 14] = [
    "attachments",
    "avatars",
    "data",
    "documents",
    "files",
    "images",
    "media",
    "pictures",
    "shared",
    "storage",
    "system",
    "upload",
    "uploads",
    "var",
];
/// Of these what is new is somebody's upload, and stays when a release goes back.
const UPLOADS: [&str; 9] = [
    "attachments",
    "avatars",
    "documents",
    "files",
    "images",
    "media",
    "pictures",
    "upload",
    "uploads",
];
/// Directories around them.
const AROUND: [&str; 6] = ["public", "static", "web", "wwwroot", "app", "priv"];
/// What is in these is made anew by itself.
const PASSING: [&str; 12] = [
    "cache",
    "caches",
    "debug",
    "framework",
    "log",
    "logs",
    "run",
    "session",
    "sessions",
    "temp",
    "tmp",
    "views",
];
/// So many entries of one directory are looked at.
const MOST: usize = 20_000;
/// A directory that holds more than one thing is looked into so deep.
const DEEP: u32 = 2;

/// The directories that hold data; those in which one that is `taken` already lies are looked into instead.
pub(super) fn directories(cx: &Context, taken: &[Found], names: &mut Names) -> Vec<Found> {
    let tracked = tracked(cx);
    let databases: Vec<PathBuf> = taken
        .iter()
        .flat_map(|found| &found.entries)
        .filter(|entry| entry.key == "path")
        .filter_map(|entry| serde_json::from_str::<String>(&entry.value).ok())
        .map(|path| cx.resolve(&path))
        .collect();
    let look = Look { cx, tracked, databases };
    let mut paths = Vec::new();
    for place in disk::directories(&cx.directory).unwrap_or_default() {
        let name = place
            .file_name()
            .map(OsStr::to_string_lossy)
            .unwrap_or_default()
            .into_owned();
        if NAMES.contains(&name.as_str()) {
            look.take(&place, 0, &mut paths);
        } else if AROUND.contains(&name.as_str()) {
            let inner = disk::directories(&place).unwrap_or_default();
            let is_meant = |path: &PathBuf| {
                let name = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
                name != "images" && NAMES.contains(&&*name)
            };
            inner
                .iter()
                .filter(|path| is_meant(path))
                .for_each(|path| look.take(path, 0, &mut paths));
        }
    }
    paths.iter().map(|path| found(path, cx, names)).collect()
}

fn found(path: &Path, cx: &Context, names: &mut Names) -> Found {
    let inside = shown(path, &cx.directory);
    let found = Found::new(
        names.give(&inside.replace('/', "-")),
        "volume",
        format!("The directory {inside}: files that are not in git."),
    )
    .text("path", &inside, "from this directory");
    staying(found, is_of_users(&inside))
}

/// Whether a part of a path is the name of a directory in which what is new is somebody's upload.
pub(super) fn is_of_users(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    parts.any(|part| UPLOADS.iter().any(|name| part.as_os_str() == *name))
}

/// The same of a volume's name, which may have the application's before or behind it: `shop_media`, `uploads-data`.
pub(super) fn is_volume_of_users(name: &str) -> bool {
    name.split(['-', '_', '.']).any(|word| UPLOADS.contains(&word))
}

/// The resource, with new files left where they are in a way back where they are people's.
pub(super) fn staying(found: Found, is_of_users: bool) -> Found {
    if is_of_users {
        found.text(
            "carry_over",
            "new-files",
            "what people upload stays when a release goes back",
        )
    } else {
        found
    }
}

struct Look<'l> {
    cx: &'l Context,
    /// What git keeps, from the directory.
    tracked: BTreeSet<PathBuf>,
    /// Files that are resources of their own.
    databases: Vec<PathBuf>,
}

impl Look<'_> {
    /// Takes a directory where it holds data; one that also holds what is no plain data is looked into.
    fn take(&self, place: &Path, depth: u32, paths: &mut Vec<PathBuf>) {
        let is_other = place.join(".git").exists() || place.is_symlink();
        if is_other || !self.holds_data(place) {
            return;
        }
        // A link is no part of the copy, nor is what is behind it.
        let holds_other = self.databases.iter().any(|path| path.starts_with(place))
            || !matches!(Server::in_directory(place, DEEP), Ok(None))
            || Self::is_mixed(place);
        if !holds_other {
            paths.push(place.to_owned());
        } else if depth < DEEP {
            for inner in disk::directories(place).unwrap_or_default() {
                let name = inner
                    .file_name()
                    .map(OsStr::to_string_lossy)
                    .unwrap_or_default()
                    .into_owned();
                if !is_passing(&name) && !name.starts_with('.') {
                    self.take(&inner, depth + 1, paths);
                }
            }
        }
    }

    /// Whether a directory of it holds what is made anew by itself.
    fn is_mixed(place: &Path) -> bool {
        let inner = disk::directories(place).unwrap_or_default();
        inner.iter().any(|path| {
            let name = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
            is_passing(&name)
        })
    }

    /// Whether there is a file that git does not keep, and that is not made anew by itself.
    fn holds_data(&self, place: &Path) -> bool {
        let walk = walkdir::WalkDir::new(place).into_iter().filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            entry.depth() == 0 || !(is_passing(&name) && entry.file_type().is_dir())
        });
        walk.take(MOST).flatten().any(|entry| {
            let path = entry.path();
            let inside = path.strip_prefix(&self.cx.directory).unwrap_or(path);
            let is_placeholder = entry.file_name().to_string_lossy().starts_with(".git");
            let is_database = self
                .databases
                .iter()
                .any(|database| path.as_os_str().as_bytes().starts_with(database.as_os_str().as_bytes()));
            entry.file_type().is_file() && !is_placeholder && !is_database && !self.tracked.contains(inside)
        })
    }
}

fn is_passing(name: &str) -> bool {
    PASSING.contains(&name)
}

/// What git keeps here, from the directory; nothing where there is no checkout, or no git.
fn tracked(cx: &Context) -> BTreeSet<PathBuf> {
    let call = Call::new("git").args(["ls-files", "-z"]).directory(&cx.directory);
    let told = cx.output(&call).map(|answer| answer.stdout).unwrap_or_default();
    let names = told.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| PathBuf::from(OsStr::from_bytes(name))).collect()
}
