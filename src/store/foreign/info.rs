//! `.last-deployment-backup`: lines of `KEY=VALUE` that a script or a person wrote. They are read, never run.

use std::path::{Path, PathBuf};

use super::part::timestamp_in;
use crate::error::Result;
use guard_model::name::Timestamp;
use guard_system::disk;

/// Holds what a script needs to know about the newest backup, as lines that a shell can source.
pub(crate) const DEPLOYMENT: &str = ".last-deployment-backup";

/// What such a file says.
pub(super) struct Info {
    pub(super) timestamp: Timestamp,
    pub(super) files: Vec<PathBuf>,
    pub(super) commit: Option<String>,
    pub(super) branch: Option<String>,
}

/// The value of a key: quotes as a shell takes them off, nothing expanded. The last one counts, as when it is sourced.
fn value(text: &str, key: &str) -> Option<String> {
    let line = |line: &str| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let raw = line.strip_prefix(key)?.strip_prefix('=')?;
        let words = shlex::split(raw)?;
        words.into_iter().next().filter(|word| !word.is_empty())
    };
    text.lines().rev().find_map(line)
}

/// The places a path may mean, the likeliest first.
fn places(path: &str, directory: &Path, project: Option<&Path>, backup: Option<&str>) -> Vec<PathBuf> {
    let path = Path::new(path);
    if path.is_absolute() {
        return vec![path.to_owned()];
    }
    let bases = project.into_iter().chain([directory]).chain(directory.parent());
    let mut places: Vec<PathBuf> = bases.clone().map(|base| base.join(path)).collect();
    if let Some(backup) = backup {
        places.extend(bases.map(|base| base.join(backup).join(path)));
    }
    places
}

/// The file that a path means. A name with stars, as scripts write it that do not know the time in it, means the file of this
/// timestamp, or the only one that there is; where several could be meant nobody can tell which.
fn meant(place: &Path, timestamp: &Timestamp) -> Option<PathBuf> {
    if place.is_file() {
        return Some(place.to_owned());
    }
    let name = place.file_name()?.to_str()?;
    if !name.contains(['*', '?', '[']) {
        return None;
    }
    let pattern = globset::Glob::new(name).ok()?.compile_matcher();
    let mut fitting: Vec<PathBuf> = disk::list(place.parent()?).ok()?;
    fitting.retain(|path| path.is_file() && path.file_name().is_some_and(|name| pattern.is_match(name)));
    let of_then = fitting.iter().find(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().contains(timestamp.as_str()))
    });
    match (of_then, fitting.as_slice()) {
        (Some(path), _) => Some(path.clone()),
        (None, [only]) => Some(only.clone()),
        _ => None,
    }
}

/// Reads the file in a directory; `None` where there is none or where it names no timestamp.
pub(super) fn read(directory: &Path, project: Option<&Path>) -> Result<Option<Info>> {
    let Some(bytes) = disk::read_optional(&directory.join(DEPLOYMENT))? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes);
    let backup = value(&text, "BACKUP_DIR");
    let named = value(&text, "DEPLOYMENT_TIMESTAMP").and_then(|named| named.parse().ok());
    let Some(timestamp) = named.or_else(|| backup.as_deref().and_then(timestamp_in)) else {
        return Ok(None);
    };
    let files = ["DB_BACKUP_FILE", "MINIO_BACKUP_FILE", "COMPOSE_BACKUP_FILE"]
        .iter()
        .filter_map(|key| value(&text, key))
        .filter_map(|path| {
            let places = places(&path, directory, project, backup.as_deref());
            places.into_iter().find_map(|place| meant(&place, &timestamp))
        })
        .collect();
    Ok(Some(Info {
        timestamp,
        files,
        commit: value(&text, "GIT_COMMIT"),
        branch: value(&text, "GIT_BRANCH"),
    }))
}
