//! The links by which a work tree is reached, as `current -> releases/7`: they belong to it, and come back as links.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ground::{bytes, path};
use crate::error::{ResourceError, Result};
use crate::names::{escaped, unescaped};
use guard_system::disk::{self, At};

/// A link on the way to a work tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    /// Where it is, escaped.
    path: String,
    /// Where it leads, escaped; `None`: there was nothing.
    target: Option<String>,
}

/// The links among the parts of a path that lie below the project's directory, or beside it.
pub(super) fn links(project: &Path, directory: &Path) -> Result<Vec<Link>> {
    let mut found = Vec::new();
    let mut parts: Vec<&Path> = directory
        .ancestors()
        .filter(|part| !project.starts_with(part))
        .collect();
    parts.reverse();
    for part in parts {
        if std::fs::symlink_metadata(part).is_ok_and(|metadata| metadata.is_symlink()) {
            found.push(Link {
                path: escaped(&bytes(part)),
                target: Some(escaped(&bytes(&std::fs::read_link(part).at("read", part)?))),
            });
        }
    }
    Ok(found)
}

/// For people and fingerprints: where the links lead.
pub(super) fn told(links: &[Link]) -> String {
    let targets = links.iter().filter_map(|link| link.target.as_deref());
    targets.collect::<Vec<_>>().join(" ")
}

fn place(link: &Link) -> Result<PathBuf> {
    let bytes = unescaped(&link.path).ok_or_else(|| ResourceError::bad_copy("a link is not understood"))?;
    Ok(path(&bytes))
}

/// What stands now where these links stood.
///
/// # Errors
/// Something that is no link stands there, which guard does not take away.
pub(super) fn now(links: &[Link]) -> Result<Vec<Link>> {
    let mut found = Vec::new();
    for link in links {
        let at = place(link)?;
        let target = match std::fs::read_link(&at) {
            Ok(target) => Some(escaped(&bytes(&target))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
                let was = link.target.clone().unwrap_or_default();
                let what = format!(
                    "{} was a link to {was}, and something else stands there now",
                    at.display()
                );
                let hint = format!(
                    "move it away: mv {0} {0}.failed; then run the same command again",
                    at.display()
                );
                return Err(ResourceError::new(what).with_hint(hint));
            }
            Err(error) => return Err(error).at("read", &at)?,
        };
        found.push(Link {
            path: link.path.clone(),
            target,
        });
    }
    Ok(found)
}

/// Makes the links what they were, each in one act.
pub(super) fn put(links: &[Link], token: &str) -> Result<()> {
    let now = now(links)?;
    for (link, now) in links.iter().zip(&now) {
        if link == now {
            continue;
        }
        let at = place(link)?;
        let Some(target) = link.target.as_deref().and_then(unescaped) else {
            disk::remove_file(&at)?;
            continue;
        };
        let beside = disk::sibling(&at, &format!(".guard-{token}"));
        if disk::exists(&beside)? {
            disk::remove_file(&beside)?;
        }
        std::os::unix::fs::symlink(path(&target), &beside).at("make a link at", &beside)?;
        if let Some(metadata) = at.parent().and_then(|around| std::fs::metadata(around).ok()) {
            use std::os::unix::fs::MetadataExt;
            let was = std::fs::symlink_metadata(&at).ok();
            let owner = was.map_or((metadata.uid(), metadata.gid()), |was| (was.uid(), was.gid()));
            // Where it cannot be given away it is guard's own, and leads to the same place.
            drop(std::os::unix::fs::lchown(&beside, Some(owner.0), Some(owner.1)));
        }
        disk::replace(&beside, &at)?;
    }
    Ok(())
}
