//! Choosing a backup: by generation, and only one that is known to be good unless it is named.

use super::listing::{Backup, Listed};

fn backups(listed: &[Listed]) -> impl Iterator<Item = &Backup> {
    listed.iter().filter_map(|listed| match listed {
        Listed::Backup(backup) => Some(backup),
        _ => None,
    })
}

/// The newest backup, whatever is known about it.
#[must_use]
pub fn newest(listed: &[Listed]) -> Option<&Backup> {
    backups(listed).max_by_key(|backup| backup.order())
}

/// The known-good backups, the newest first. With a target, those of other targets are left out; a backup that names no
/// target counts for every one.
#[must_use]
pub fn known_good<'l>(listed: &'l [Listed], target: Option<&str>) -> Vec<&'l Backup> {
    let fits = |backup: &&Backup| match (target, backup.manifest.target.as_deref()) {
        (Some(asked), Some(has)) => asked == has,
        _ => true,
    };
    let mut found: Vec<&Backup> = backups(listed)
        .filter(|backup| backup.is_known_good())
        .filter(fits)
        .collect();
    found.sort_by_key(|backup| std::cmp::Reverse(backup.order()));
    found
}

/// The newest known-good backup: `--backup-timestamp=latest`.
#[must_use]
pub fn latest<'l>(listed: &'l [Listed], target: Option<&str>) -> Option<&'l Backup> {
    known_good(listed, target).first().copied()
}

/// The known-good backup before the newest one: `--backup-timestamp=previous`.
#[must_use]
pub fn previous<'l>(listed: &'l [Listed], target: Option<&str>) -> Option<&'l Backup> {
    known_good(listed, target).get(1).copied()
}
