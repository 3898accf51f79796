//! Finds the backups made by hand in a directory, by the timestamps in their names.

use std::collections::BTreeMap;
use std::path::Path;

use super::info;
use super::part::{ForeignPart, part, timestamp_in};
use crate::error::Result;
use crate::manifest;
use guard_model::name::Timestamp;
use guard_system::disk;

/// A backup made by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The time in its names.
    pub timestamp: Timestamp,
    /// What it consists of, in order of kind and path.
    pub parts: Vec<ForeignPart>,
    /// The commit, where a `.last-deployment-backup` names it.
    pub commit: Option<String>,
    /// The branch, where a `.last-deployment-backup` names it.
    pub branch: Option<String>,
}

#[derive(Default)]
struct Found(BTreeMap<Timestamp, Foreign>);

impl Found {
    fn at(&mut self, timestamp: Timestamp) -> &mut Foreign {
        self.0.entry(timestamp.clone()).or_insert_with(|| Foreign {
            timestamp,
            parts: Vec::new(),
            commit: None,
            branch: None,
        })
    }

    fn add(&mut self, timestamp: Timestamp, part: ForeignPart) {
        let foreign = self.at(timestamp);
        if !foreign.parts.iter().any(|there| there.path == part.path) {
            foreign.parts.push(part);
        }
    }
}

/// The backups that older scripts left in a directory: files with a timestamp in their names, directories with one
/// (`pre-deployment-TS`) that hold such files, and what a `.last-deployment-backup` names. Paths in the latter that are
/// relative start from the project's directory, or else from the file's own. One without a part is a commit whose copies may
/// lie in another directory.
///
/// # Errors
/// The directory cannot be read.
pub fn find(directory: &Path, project: Option<&Path>) -> Result<Vec<Foreign>> {
    let mut found = Found::default();
    for path in disk::list(directory)? {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let Some(timestamp) = timestamp_in(name) else { continue };
        if let Some(part) = part(&path) {
            found.add(timestamp, part);
        } else if disk::is_real_directory(&path)? && !disk::exists(&path.join(manifest::FILE))? {
            for inner in disk::list(&path)? {
                if let Some(part) = part(&inner) {
                    found.add(timestamp.clone(), part);
                }
            }
        }
    }
    if let Some(info) = info::read(directory, project)? {
        for part in info.files.iter().filter_map(|path| part(path)) {
            found.add(info.timestamp.clone(), part);
        }
        // The copies may lie in another directory than the file that names the commit.
        let foreign = found.at(info.timestamp);
        foreign.commit = info.commit;
        foreign.branch = info.branch;
    }
    let mut foreigners: Vec<Foreign> = found
        .0
        .into_values()
        .filter(|foreign| !foreign.parts.is_empty() || foreign.commit.is_some())
        .collect();
    for foreign in &mut foreigners {
        foreign.parts.sort();
    }
    Ok(foreigners)
}

/// Adds what was found in another place.
pub(crate) fn merge(found: &mut Vec<Foreign>, more: Vec<Foreign>) {
    for foreign in more {
        let Some(there) = found.iter_mut().find(|there| there.timestamp == foreign.timestamp) else {
            found.push(foreign);
            continue;
        };
        let same = |one: &Path, other: &Path| std::fs::canonicalize(one).ok() == std::fs::canonicalize(other).ok();
        for part in foreign.parts {
            if !there.parts.iter().any(|known| same(&known.path, &part.path)) {
                there.parts.push(part);
            }
        }
        there.parts.sort();
        there.commit = there.commit.take().or(foreign.commit);
        there.branch = there.branch.take().or(foreign.branch);
    }
}
