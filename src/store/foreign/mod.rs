//! Backups that older scripts made by hand: found by their names, listed with what they contain, tested for wholeness.

mod info;
mod proof;
mod trust;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Result;
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

/// One file of a backup made by hand.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForeignPart {
    /// What it is.
    pub kind: ForeignKind,
    /// Where it is.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
}

/// What a file of a backup made by hand is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ForeignKind {
    /// A dump in plain SQL.
    Sql,
    /// A dump in plain SQL, through gzip.
    SqlGzip,
    /// A compose file.
    Compose,
    /// An archive of objects: tar through gzip.
    ObjectsTarGzip,
}

impl ForeignKind {
    /// What a file of this name is; `None` for a name that no older layout has.
    fn of(name: &str) -> Option<Self> {
        let is_dump = name.starts_with("db_") || name.starts_with("database_");
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        if is_dump && ends(&[".sql.gz"]) {
            Some(Self::SqlGzip)
        } else if is_dump && ends(&[".sql"]) {
            Some(Self::Sql)
        } else if (name.starts_with("compose") || name.starts_with("docker-compose")) && ends(&[".yml", ".yaml"]) {
            Some(Self::Compose)
        } else if name.starts_with("minio_") && ends(&[".tar.gz", ".tgz"]) {
            Some(Self::ObjectsTarGzip)
        } else {
            None
        }
    }
}

/// The timestamp somewhere in a name: `db_backup_20251022_153000.sql.gz`.
fn timestamp_in(name: &str) -> Option<Timestamp> {
    (0..name.len()).find_map(|start| {
        let before = name.as_bytes().get(start.wrapping_sub(1)).copied();
        let after = name.as_bytes().get(start + 15).copied();
        let is_alone = [before, after].iter().flatten().all(|byte| !byte.is_ascii_digit());
        name.get(start..start + 15).filter(|_| is_alone)?.parse().ok()
    })
}

/// An ordinary file of an older layout; links are not followed.
fn part(path: &Path) -> Option<ForeignPart> {
    let kind = ForeignKind::of(path.file_name()?.to_str()?)?;
    let metadata = std::fs::symlink_metadata(path)
        .ok()
        .filter(std::fs::Metadata::is_file)?;
    Some(ForeignPart {
        kind,
        path: path.to_owned(),
        bytes: metadata.len(),
    })
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
        } else if disk::is_real_directory(&path)? && !disk::exists(&path.join(super::manifest::FILE))? {
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
pub(super) fn merge(found: &mut Vec<Foreign>, more: Vec<Foreign>) {
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
