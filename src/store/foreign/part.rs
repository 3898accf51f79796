//! One part of a backup that somebody made by hand: a file, and what it is taken for by its name.

use std::path::{Path, PathBuf};

use guard_model::name::Timestamp;

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

/// An ordinary file of an older layout; links are not followed.
pub(super) fn part(path: &Path) -> Option<ForeignPart> {
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

/// The timestamp somewhere in a name: `db_backup_20251022_153000.sql.gz`.
pub(super) fn timestamp_in(name: &str) -> Option<Timestamp> {
    (0..name.len()).find_map(|start| {
        let before = name.as_bytes().get(start.wrapping_sub(1)).copied();
        let after = name.as_bytes().get(start + 15).copied();
        let is_alone = [before, after].iter().flatten().all(|byte| !byte.is_ascii_digit());
        name.get(start..start + 15).filter(|_| is_alone)?.parse().ok()
    })
}
