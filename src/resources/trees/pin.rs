//! Which directory a path meant when it was copied, and how it comes to be there again: also where it is gone, or where something
//! else stands in its place.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, RenameFlags, Uid, chownat, fchmod, fchown, readlinkat, renameat, renameat_with,
    symlinkat,
};
use serde::{Deserialize, Serialize};

use super::exchange_record::Side;
use super::put_aside::{Aside, Home};
use crate::error::{ResourceError, Result};
use crate::names::{escaped, unescaped};
use guard_model::text::typed;
use guard_system::disk::{At, Dir, Object};

/// What stood in the place of a directory that was made anew, in guard's own directory.
const INSTEAD: &[u8] = b"instead";
/// So many links may lead to one place, as for the kernel.
const LINKS: usize = 40;

/// Which directory was copied.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Pin {
    /// The path that the settings named, escaped.
    asked: String,
    /// The same without a link in it.
    path: String,
    object: Option<Object>,
    /// Where the file system is mounted that it lies on.
    mounted_at: Option<String>,
    /// The links that led there, and their targets.
    links: Vec<(String, String)>,
    /// The directories above it, from the root: path, mode, owner, group.
    above: Vec<(String, u32, u32, u32)>,
    /// The labels of a volume of the engine's, by which Compose knows it.
    labels: BTreeMap<String, String>,
}

/// A link that led to a directory, as it is and as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    path: String,
    /// `None`: it is not there.
    before: Option<String>,
    after: String,
}

fn text(path: &Path) -> String {
    escaped(path.as_os_str().as_bytes())
}

fn path_of(text: &str) -> Result<PathBuf> {
    let raw = unescaped(text).ok_or_else(|| ResourceError::new("a recorded path is malformed"))?;
    Ok(PathBuf::from(OsString::from_vec(raw)))
}

impl Link {
    /// For people.
    pub(crate) fn shown(&self) -> String {
        format!("link {}", self.path)
    }
}

impl Pin {
    /// Of the directory at `path`, which the settings name `asked`.
    pub(crate) fn of(asked: &Path, path: &Path) -> Self {
        use std::os::unix::fs::MetadataExt;
        let above = path.ancestors().skip(1).filter_map(|above| {
            let found = std::fs::symlink_metadata(above).ok()?;
            Some((text(above), found.mode() & 0o7777, found.uid(), found.gid()))
        });
        let mut above: Vec<_> = above.collect();
        above.reverse();
        Self {
            asked: text(asked),
            path: text(path),
            object: Dir::open(path).ok().and_then(|dir| dir.object().ok()),
            mounted_at: mounted_at(path),
            links: links(asked)
                .iter()
                .map(|(path, target)| (text(path), text(target)))
                .collect(),
            above,
            labels: BTreeMap::new(),
        }
    }

    /// Of a volume of the engine's.
    pub(crate) fn of_volume(labels: BTreeMap<String, String>) -> Self {
        Self {
            labels,
            ..Self::default()
        }
    }

    /// The labels of a volume.
    pub(crate) fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    /// The directory that was copied, where the settings still name what they named then.
    pub(crate) fn path(&self, asked: &Path) -> Option<PathBuf> {
        (self.asked == text(asked)).then(|| path_of(&self.path).ok()).flatten()
    }

    /// Whether this is the very directory that was copied; also where that was not noted.
    pub(crate) fn is(&self, live: &Dir) -> bool {
        let same = |object: Object| live.object().is_ok_and(|now| now.inode == object.inode);
        self.object.is_none_or(same)
    }

    /// How the links that led there are now.
    ///
    /// # Errors
    /// Something else is in the place of one.
    pub(crate) fn links_now(&self) -> Result<Vec<Link>> {
        let mut found = Vec::new();
        for (path, after) in &self.links {
            let place = path_of(path)?;
            let before = match std::fs::read_link(&place) {
                Ok(target) => Some(text(&target)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(_) => {
                    let what = format!(
                        "{} was a link to {} when it was copied, and is none any more",
                        place.display(),
                        path_of(after)?.display()
                    );
                    return Err(ResourceError::new(what).with_hint(format!(
                        "move it away (`mv {} {}`), and run the same command again",
                        typed(&place.display().to_string()),
                        typed(&format!("{}.failed", place.display()))
                    )));
                }
            };
            if before.as_ref() != Some(after) {
                found.push(Link {
                    path: path.clone(),
                    before,
                    after: after.clone(),
                });
            }
        }
        Ok(found)
    }

    /// Whether the directory at this path is there as a directory.
    ///
    /// # Errors
    /// A part of the path above has become a link, or another file system is mounted there than was.
    pub(crate) fn is_there(&self, path: &Path) -> Result<bool> {
        let refused = |what: String, hint: &str| Err(ResourceError::new(what).with_hint(hint));
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(true);
        };
        let now = mounted_at(path);
        if self.mounted_at.is_some() && now.is_some() && now != self.mounted_at {
            let shown = |at: &Option<String>| at.clone().unwrap_or_default();
            return refused(
                format!(
                    "{} was copied from the file system mounted at {}, and lies on that of {} now",
                    path.display(),
                    shown(&self.mounted_at),
                    shown(&now)
                ),
                "mount it where it was, and run the same command again",
            );
        }
        match Dir::open(parent) {
            Ok(around) => {
                let found = around.look(name.as_bytes()).at("look at", path)?;
                Ok(found.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(ResourceError::because(
                format!(
                    "{} is not where it was copied: a part of its path is another thing now",
                    path.display()
                ),
                error,
            )
            .with_hint("look what stands above it, and put back what was there")),
        }
    }

    /// Makes the directory anew, with those above it, where it is not there; what stands in its place is put aside. Safe to
    /// repeat.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn make(&self, path: &Path, home: &Home) -> Result<()> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name().map(OsStr::as_bytes)) else {
            return Ok(());
        };
        let around = self.above(parent)?;
        match around.look(name).at("look at", path)? {
            Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => return Ok(()),
            Some(_) => {
                let aside = kept(home, &around)?;
                renameat_with(&around, name, &aside.dir, INSTEAD, RenameFlags::NOREPLACE).at("put aside", path)?;
                aside.dir.sync().at("sync the directory", aside.shown())?;
            }
            None => {}
        }
        around.make(name).at("create the directory", path)?;
        around.sync().at("sync the directory", parent)?;
        Ok(())
    }

    /// Opens a directory above, made where it is not there.
    fn above(&self, path: &Path) -> Result<Dir> {
        match Dir::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return Ok(other.at("open", path)?),
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(Dir::open(path).at("open", path)?);
        };
        let around = self.above(parent)?;
        let directory = around.make(name.as_bytes()).at("create the directory", path)?;
        let shown = text(path);
        let known = self.above.iter().find(|(above, ..)| *above == shown);
        let (mode, owner, group) = known.map_or((0o755, None, None), |(_, mode, owner, group)| {
            (*mode, Some(Uid::from_raw(*owner)), Some(Gid::from_raw(*group)))
        });
        fchown(&directory, owner, group).at("set the owner of", path)?;
        fchmod(&directory, Mode::from(mode)).at("set the mode of", path)?;
        around.sync().at("sync the directory", parent)?;
        Ok(directory)
    }
}

fn kept(home: &Home, around: &Dir) -> Result<Aside> {
    let missing = || ResourceError::new("guard's own directory is not there any more");
    home.open(around)?.ok_or_else(missing)
}

/// Takes a directory that was made anew away again, where nothing is left in it, and puts back what stood in its place.
///
/// # Errors
/// It cannot be done.
pub(crate) fn unmake(path: &Path, home: &Home) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().map(OsStr::as_bytes)) else {
        return Ok(());
    };
    let around = Dir::open(parent).at("open", parent)?;
    let is_gone = match around.remove_empty(name) {
        Ok(_) => true,
        // Somebody has put something there meanwhile.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => false,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => false,
        Err(error) => return Err(error).at("remove", path)?,
    };
    let aside = kept(home, &around)?;
    if is_gone && aside.dir.look(INSTEAD).at("look at", aside.shown())?.is_some() {
        renameat_with(&aside.dir, INSTEAD, &around, name, RenameFlags::NOREPLACE).at("put back", path)?;
    }
    Ok(around.sync().at("sync the directory", parent)?)
}

/// Makes links lead where they led on this side.
///
/// # Errors
/// One cannot be replaced.
pub(crate) fn relink(links: &[Link], to: Side) -> Result<()> {
    for link in links {
        let wanted = match to {
            Side::After => Some(&link.after),
            Side::Before => link.before.as_ref(),
        };
        let (Some(wanted), path) = (wanted, path_of(&link.path)?) else {
            continue;
        };
        let (Some(parent), Some(name)) = (path.parent(), path.file_name().map(OsStr::as_bytes)) else {
            continue;
        };
        let around = Dir::open(parent).at("open", parent)?;
        let target = path_of(wanted)?;
        let target = target.as_os_str().as_bytes();
        let now = around.look(name).at("look at", &path)?;
        if let Some(stat) = &now {
            if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
                return Err(ResourceError::new(format!("{} is no link any more", path.display())));
            }
            let leads = readlinkat(&around, name, Vec::new()).at("read the link", &path)?;
            if leads.as_bytes() == target {
                continue;
            }
        }
        let beside = Home::unguessable()?;
        symlinkat(target, &around, beside.as_str()).at("create a link beside", &path)?;
        if let Some(stat) = now {
            let (owner, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
            chownat(
                &around,
                beside.as_str(),
                Some(owner),
                Some(group),
                AtFlags::SYMLINK_NOFOLLOW,
            )
            .at("set the owner of", &path)?;
        }
        renameat(&around, beside.as_str(), &around, name).at("put in its place", &path)?;
        around.sync().at("sync the directory", parent)?;
    }
    Ok(())
}

/// The links in a path, and those that they lead over, each with its target.
fn links(path: &Path) -> Vec<(PathBuf, PathBuf)> {
    let parts = |path: &Path| -> Vec<OsString> {
        let named = path
            .components()
            .filter(|part| !matches!(part, Component::RootDir | Component::CurDir));
        named.map(|part| part.as_os_str().to_owned()).collect()
    };
    let mut left: VecDeque<OsString> = parts(path).into();
    let (mut here, mut found) = (PathBuf::from("/"), Vec::new());
    while let Some(part) = left.pop_front() {
        if part == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&part);
        match std::fs::read_link(&next) {
            Ok(target) if found.len() < LINKS => {
                if target.is_absolute() {
                    here = PathBuf::from("/");
                }
                for part in parts(&target).into_iter().rev() {
                    left.push_front(part);
                }
                found.push((next, target));
            }
            _ => here = next,
        }
    }
    found
}

/// Where the file system is mounted that a path lies on, by the kernel's list; as that writes it.
fn mounted_at(path: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mut octal = String::new();
    for character in path.to_str()?.chars() {
        match character {
            ' ' => octal.push_str("\\040"),
            '\t' => octal.push_str("\\011"),
            '\n' => octal.push_str("\\012"),
            '\\' => octal.push_str("\\134"),
            other => octal.push(other),
        }
    }
    let is_above = |at: &&str| {
        let rest = octal.strip_prefix(at.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let points = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(is_above);
    points.max_by_key(|at| at.len()).map(str::to_owned)
}
