//! Which file a database was when it was copied, and what it had beside its content: the way back leads there and nowhere else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{ResourceError, Result};
use crate::trees::metadata::{Above, Metadata};
use guard_system::disk::{At, Dir};

/// The file of a copy.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pinned {
    /// Where it was, with no link in the path.
    resolved: PathBuf,
    /// Where the path of the settings was itself a link: what it led to, as it stood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<PathBuf>,
    /// Owner, mode and the like.
    #[serde(alias = "attire")]
    pub(super) metadata: Metadata,
    /// The directories above it.
    #[serde(default)]
    pub(super) above: Vec<Above>,
}

/// What is at a place, where no link is followed.
pub(super) enum Standing {
    Nothing,
    File,
    /// A link, a directory or the like, as a noun.
    Other(&'static str),
}

/// What is at a place.
///
/// # Errors
/// It cannot be looked at.
pub(super) fn stands_at(place: &Path) -> Result<Standing> {
    let found = match fs::symlink_metadata(place) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Standing::Nothing);
        }
        found => found.at("look at", place)?,
    };
    Ok(if found.is_file() {
        Standing::File
    } else if found.is_symlink() {
        Standing::Other("a link")
    } else if found.is_dir() {
        Standing::Other("a directory")
    } else {
        Standing::Other("something that is no file")
    })
}

fn own_link(path: &Path) -> Result<Option<PathBuf>> {
    match fs::read_link(path) {
        Ok(target) => Ok(Some(target)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => Ok(None),
        Err(error) => Ok(Err(error).at("read the link", path)?),
    }
}

/// What a way back needs of the file is tried: that it may be given to the owner that it has.
///
/// # Errors
/// It may not be.
pub(super) fn try_out(live: &Path) -> Result<()> {
    Metadata::of(live)?.try_beside(live)
}

impl Pinned {
    /// The file at `live`, to which `path` leads.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub(super) fn of(path: &Path, live: &Path) -> Result<Self> {
        Ok(Self {
            resolved: live.to_owned(),
            link: own_link(path)?,
            metadata: Metadata::of(live)?,
            above: Above::of(live, Path::new("/"))?,
        })
    }

    /// Where the file was; `path` is that of the settings.
    ///
    /// # Errors
    /// A link stands in the way there by now, or a directory in its place.
    pub(super) fn place(&self, path: &Path) -> Result<PathBuf> {
        let place = &self.resolved;
        let around = place.parent().unwrap_or(place);
        match Dir::open(around) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let what = format!(
                    "{} is not the directory any more that {} was in when the backup was taken",
                    around.display(),
                    path.display()
                );
                return Err(ResourceError::because(what, error)
                    .with_hint("see who changed it, put the directory back, and run the same command again"));
            }
        }
        if let Standing::Other("a directory") = stands_at(place)? {
            let what = format!("a directory stands in the place of {}", place.display());
            return Err(ResourceError::new(what).with_hint("move it away, then run the same command again"));
        }
        Ok(place.clone())
    }

    /// Where the path of the settings was a link and leads elsewhere by now: the link, as it was, and as it is.
    ///
    /// # Errors
    /// Something else stands in its place.
    pub(super) fn moved_link(&self, path: &Path) -> Result<Option<Link>> {
        let Some(target) = self.link.clone() else {
            return Ok(None);
        };
        let now = own_link(path)?;
        if now.as_ref() == Some(&target) {
            return Ok(None);
        }
        if now.is_none() && !matches!(stands_at(path)?, Standing::Nothing) {
            let what = format!(
                "{} was a link to {} and is something else now",
                path.display(),
                target.display()
            );
            return Err(ResourceError::new(what).with_hint("move it away, then run the same command again"));
        }
        Ok(Some(Link {
            path: path.to_owned(),
            to: Some(target),
            was: now,
        }))
    }

    /// What the file is to be given, and what it has, where that differs.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub(super) fn to_dress(&self, place: &Path) -> Result<Option<(Metadata, Metadata)>> {
        if !matches!(stands_at(place)?, Standing::File) {
            return Ok(None);
        }
        let has = Metadata::of(place)?;
        Ok((!has.is_like(&self.metadata)).then(|| (self.metadata.clone(), has)))
    }
}

/// A link that leads to the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    path: PathBuf,
    /// What it is to lead to; `None`: it is to be gone.
    to: Option<PathBuf>,
    /// What it led to before.
    was: Option<PathBuf>,
}

impl Link {
    /// Makes it lead there. Safe to repeat.
    ///
    /// # Errors
    /// It cannot be replaced, or something stands there that is no link.
    pub(super) fn put(&self) -> Result<()> {
        let path = &self.path;
        if let Standing::File | Standing::Other("a directory") = stands_at(path)? {
            return Err(ResourceError::new(format!("{} is no link any more", path.display()))
                .with_hint("move it away, then run the same command again"));
        }
        let Some(to) = &self.to else {
            return match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Ok(Err(error).at("remove", path)?),
                _ => Ok(()),
            };
        };
        let staged = guard_system::disk::sibling(path, ".guard-link");
        match fs::remove_file(&staged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at("remove", &staged)?,
            _ => {}
        }
        std::os::unix::fs::symlink(to, &staged).at("create the link", &staged)?;
        Ok(guard_system::disk::replace(&staged, path)?)
    }

    /// The same the other way round.
    pub(super) fn turned(&self) -> Self {
        Self {
            path: self.path.clone(),
            to: self.was.clone(),
            was: self.to.clone(),
        }
    }
}
