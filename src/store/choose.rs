//! Choosing a backup: of the right system and environment, holding what is asked for, by generation, and only one that is
//! known to be good unless it is named or nothing can judge.

use std::path::Path;

use super::listing::{Backup, Listed};
use super::manifest::{Identities, Knowledge};
use guard_model::name::ResourceName;

/// What a backup has to be of, to be chosen without being named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The system, as the lock names it.
    pub target: String,
    /// The environment that is laid over the settings.
    pub environment: Option<String>,
    /// What each resource is in the settings in force; one that is not here is not compared.
    pub identities: Identities,
}

impl Scope {
    /// Why a backup is not of this system, environment and these resources, in words; `None` where it is.
    ///
    /// What an older guard did not note speaks against nothing: a backup without an environment counts for every one that
    /// has the same resources.
    #[must_use]
    pub fn objection(&self, backup: &Backup) -> Option<String> {
        let manifest = &backup.manifest;
        if let Some(target) = &manifest.target
            && target != &self.target
        {
            return Some(format!("it is of the project {target}, and this is {}", self.target));
        }
        match (&manifest.environment, &self.environment) {
            (Some(theirs), Some(ours)) if theirs != ours => {
                return Some(format!("it is of the environment {theirs}, and this is {ours}"));
            }
            (Some(theirs), None) => {
                return Some(format!("it is of the environment {theirs}, and none is chosen here"));
            }
            _ => {}
        }
        let held = manifest.artifacts.iter().map(|artifact| &artifact.resource);
        held.into_iter().find_map(|name| self.other_thing(backup, name))
    }

    /// Why the copy of a resource is of another thing, in words.
    fn other_thing(&self, backup: &Backup, name: &ResourceName) -> Option<String> {
        let theirs = backup.manifest.identities.get(name)?;
        let ours = self.identities.get(name)?;
        let (is_known, is_same) = (
            !theirs.is_empty() && !ours.is_empty(),
            theirs.iter().any(|one| ours.contains(one)),
        );
        if !is_known || is_same || theirs.iter().all(|one| has_moved(one)) {
            return None;
        }
        Some(format!(
            "its {name} is a copy of {}, and {name} is {} here",
            theirs.join(", "),
            ours.join(", ")
        ))
    }

    /// What differs between what was copied and where it goes, although it is taken for the same thing, in words: a server
    /// with a new address, a directory that was moved.
    #[must_use]
    pub fn moves(&self, backup: &Backup) -> Vec<String> {
        let moved = |name: &ResourceName| {
            let (theirs, ours) = (backup.manifest.identities.get(name)?, self.identities.get(name)?);
            let gone: Vec<&str> = theirs
                .iter()
                .filter(|one| !ours.contains(one))
                .map(String::as_str)
                .collect();
            let new: Vec<&str> = ours
                .iter()
                .filter(|one| !theirs.contains(one))
                .map(String::as_str)
                .collect();
            let differ = !gone.is_empty() && !new.is_empty();
            differ.then(|| {
                format!(
                    "{name} was copied from {}, and goes to {}",
                    gone.join(", "),
                    new.join(", ")
                )
            })
        };
        let held = backup.manifest.artifacts.iter().map(|artifact| &artifact.resource);
        held.filter_map(moved).collect()
    }
}

/// Whether a name is that of a path where nothing is any more: then the thing is elsewhere now, and not another one.
fn has_moved(name: &str) -> bool {
    let path = name.strip_prefix("file ").or_else(|| name.strip_prefix("directory "));
    path.is_some_and(|path| std::fs::symlink_metadata(Path::new(path)).is_err())
}

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

/// The backups of a scope that hold all of these resources, the newest first.
#[must_use]
pub fn holding<'l>(listed: &'l [Listed], scope: &Scope, wanted: &[ResourceName]) -> Vec<&'l Backup> {
    let mut found: Vec<&Backup> = backups(listed)
        .filter(|backup| scope.objection(backup).is_none())
        .filter(|backup| wanted.iter().all(|name| backup.manifest.artifact(name).is_some()))
        .collect();
    found.sort_by_key(|backup| std::cmp::Reverse(backup.order()));
    found
}

/// The backups that may be chosen without being named, the newest first: the known-good ones; where there is none, those
/// that nobody has judged. One that is known to be bad is never among them.
#[must_use]
pub fn candidates<'l>(listed: &'l [Listed], scope: &Scope, wanted: &[ResourceName]) -> Vec<&'l Backup> {
    let mut found = holding(listed, scope, wanted);
    if found.iter().any(|backup| backup.is_known_good()) {
        found.retain(|backup| backup.is_known_good());
    } else {
        found.retain(|backup| backup.knowledge() == &Knowledge::Unknown);
    }
    found
}

/// Whether two backups are of the same system and environment.
pub(super) fn is_alike(one: &Backup, other: &Backup) -> bool {
    one.manifest.target == other.manifest.target && one.manifest.environment == other.manifest.environment
}

/// Whether the copies that two backups hold of a resource are of the same thing, as far as that is known.
pub(super) fn is_same_thing(one: &Backup, other: &Backup, name: &ResourceName) -> bool {
    let names = |backup: &'_ Backup| backup.manifest.identities.get(name).cloned().unwrap_or_default();
    let (one, other) = (names(one), names(other));
    one.is_empty() || other.is_empty() || one.iter().any(|name| other.contains(name))
}

/// The other backups of the same system and environment, the newest first.
pub(super) fn alike<'l>(listed: &'l [Listed], one: &Backup) -> Vec<&'l Backup> {
    let mut found: Vec<&Backup> = backups(listed)
        .filter(|other| other.timestamp() != one.timestamp() && is_alike(other, one))
        .collect();
    found.sort_by_key(|backup| std::cmp::Reverse(backup.order()));
    found
}

/// The newest backup of the same system and environment, this one included.
pub(super) fn newest_alike<'l>(listed: &'l [Listed], one: &Backup) -> Option<&'l Backup> {
    backups(listed)
        .filter(|other| is_alike(other, one))
        .max_by_key(|backup| backup.order())
}
