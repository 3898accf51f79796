//! The swap of a database file together with its journals, by exchange, and safe to repeat from any state.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::copy::{failed, open, prove};
use super::pinned::Link;
use crate::error::{ResourceError, Result};
use crate::trees::metadata::{Above, Metadata};
use guard_model::artifact::Displaced;
use guard_model::name::ResourceName;
use guard_system::disk::{self, At, Staged, sibling};

/// The files that belong to a database beside its own.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Where the files of one restore are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Places {
    /// The database.
    pub(super) live: PathBuf,
    /// The restored one beside it.
    pub(super) side: PathBuf,
    /// Where the live one is put aside.
    pub(super) aside: PathBuf,
    /// Whether there was a live one when this was prepared.
    pub(super) replaces: bool,
    /// What the file had beside its content when it was copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(alias = "attire")]
    pub(super) metadata: Option<Metadata>,
    /// The directories above it, as they were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) above: Vec<Above>,
    /// Whether the file itself stays, and only what follows is put right.
    #[serde(default)]
    pub(super) stays: bool,
    /// What a file that stays is to be given, and what it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dress: Option<(Metadata, Metadata)>,
    /// The link that led to the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<Link>,
}

/// What was put aside.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    live: PathBuf,
    /// The file that was displaced; `None`: it stayed.
    #[serde(default)]
    aside: Option<PathBuf>,
    /// What a file that stayed was given, and what it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dress: Option<(Metadata, Metadata)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<Link>,
}

impl Places {
    /// The places for a restore of this run; there is no link in the path.
    pub(super) fn of(path: &Path, token: &str) -> Result<Self> {
        let live = path.to_owned();
        let name = live.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let side = live.with_file_name(format!(".{name}.guard-{token}"));
        let mut aside = sibling(&live, &format!(".failed-{token}"));
        let mut count = 1;
        while disk::exists(&aside)? {
            count += 1;
            aside = sibling(&live, &format!(".failed-{token}_{count}"));
        }
        let replaces = disk::exists(&live)?;
        Ok(Self {
            live,
            side,
            aside,
            replaces,
            metadata: None,
            above: Vec::new(),
            stays: false,
            dress: None,
            link: None,
        })
    }
}

/// What `prepare` has noted.
pub(super) fn read(details: &Value) -> Result<Places> {
    serde_json::from_value(details.clone())
        .map_err(|error| ResourceError::because("could not read what was prepared", error))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => Ok(done.at("remove", path)?),
    }
}

fn remove_set(path: &Path) -> Result<()> {
    for companion in COMPANIONS {
        remove(&sibling(path, companion))?;
    }
    remove(path)
}

/// Copies the backup beside the live file, with the live file's owner and mode, and proves it there.
pub(super) fn stage(copy: &mut dyn Read, places: &Places, journal_mode: &str) -> Result<()> {
    Above::make_missing(&places.above)?;
    remove_set(&places.side)?;
    let mut staged = Staged::beside(&places.side)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match copy.read(&mut buffer).at("read the copy for", &places.side)? {
            0 => break,
            count => staged.write(buffer.get(..count).unwrap_or_default())?,
        }
    }
    if let Some(metadata) = &places.metadata {
        metadata
            .put_on(staged.file())
            .at("set the owner and mode of", &places.side)?;
    } else if disk::exists(&places.live)? {
        let metadata = fs::metadata(&places.live).at("look at", &places.live)?;
        fchown(staged.file(), Some(metadata.uid()), Some(metadata.gid())).at("set the owner of", &places.side)?;
        let mode = fs::Permissions::from_mode(metadata.mode() & 0o7777);
        staged
            .file()
            .set_permissions(mode)
            .at("set the mode of", &places.side)?;
    }
    staged.replace(&places.side)?;
    prove(&places.side)?;
    if journal_mode == "wal" {
        let connection = open(&places.side)?;
        let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        mode.map_err(|error| failed("stage", &places.side, error))?;
        connection
            .close()
            .map_err(|(_, error)| failed("stage", &places.side, error))?;
    }
    // Setting the journal's mode has changed its time.
    places
        .metadata
        .as_ref()
        .map_or(Ok(()), |metadata| metadata.put_on_path(&places.side))
}

pub(super) fn restore(resource: &ResourceName, places: &Places) -> Result<Displaced> {
    let Places {
        live,
        side,
        aside,
        replaces,
        ..
    } = places;
    let kept = if places.stays {
        if let Some((wanted, _)) = &places.dress {
            give(wanted, live)?;
        }
        None
    } else {
        swap(live, side, aside, *replaces)?;
        disk::exists(aside)?.then(|| aside.clone())
    };
    if let Some(link) = &places.link {
        link.put()?;
    }
    let kept = Kept {
        live: live.clone(),
        aside: kept,
        dress: places.dress.clone(),
        link: places.link.clone(),
    };
    displaced_as(resource, &kept)
}

/// Gives a file that stays what it had, and looks that it has it.
fn give(wanted: &Metadata, live: &Path) -> Result<()> {
    wanted.put_on_path(live)?;
    if Metadata::of(live)?.is_like(wanted) {
        return Ok(());
    }
    let what = format!(
        "{} does not take the owner, mode and attributes that it had",
        live.display()
    );
    Err(ResourceError::new(what))
}

/// Whether a restore has left the file itself where it is, and has looked at what it gave it.
pub(super) fn is_dressed(displaced: &Displaced) -> bool {
    kept(displaced).is_ok_and(|kept| {
        kept.is_some_and(|kept| kept.aside.is_none() && (kept.dress.is_some() || kept.link.is_some()))
    })
}

/// Makes `incoming` live and puts what is live aside. Whatever an interruption has left is completed.
///
/// The order: the old journals are written into the old file and moved to its later name, so that they can never be
/// taken for the new file's; the files are exchanged; the old one, now at `incoming`, goes to its name.
fn swap(live: &Path, incoming: &Path, aside: &Path, replaces: bool) -> Result<()> {
    let missing = || {
        let what = format!(
            "{} is not there any more; {} is as it was",
            incoming.display(),
            live.display()
        );
        ResourceError::new(what).with_hint("`guard rollback` stages it again")
    };
    match (disk::exists(live)?, disk::exists(incoming)?, disk::exists(aside)?) {
        (true, false, true) => Ok(()),
        (true, false, false) if !replaces => Ok(()),
        (_, false, _) => Err(missing()),
        (false, true, _) => Ok(disk::move_new(incoming, live)?),
        (true, true, false) => {
            settle(live)?;
            // The mark that the swap has begun, by which an interrupted one is told from one that has not.
            fs::hard_link(live, aside).at("keep", aside)?;
            finish(live, incoming, aside)
        }
        (true, true, true) => finish(live, incoming, aside),
    }
}

/// Ends a swap from where the old file has its later name as well.
fn finish(live: &Path, incoming: &Path, aside: &Path) -> Result<()> {
    let number = |path: &Path| fs::symlink_metadata(path).map(|found| found.ino()).at("look at", path);
    let old = number(aside)?;
    if number(live)? == old {
        for companion in COMPANIONS {
            let from = sibling(live, companion);
            if disk::exists(&from)? {
                disk::move_new(&from, &sibling(aside, companion))?;
            }
        }
        disk::exchange(incoming, live)?;
    }
    if number(incoming)? == old {
        remove(incoming)?;
    }
    let directory = live.parent().unwrap_or(live);
    Ok(disk::sync_directory(directory)?)
}

/// Writes the journal of a database into its file, where nobody hinders it; a damaged file keeps its journal as it is.
fn settle(path: &Path) -> Result<()> {
    let Ok(connection) = open(path) else {
        return Ok(());
    };
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    match busy {
        // It is moved with its file, so what could not be written into it now is not lost.
        Ok(_) | Err(_) => {}
    }
    connection.close().map_err(|(_, error)| failed("close", path, error))
}

pub(super) fn undo(resource: &ResourceName, displaced_before: &Displaced) -> Result<Displaced> {
    let Some(before) = kept(displaced_before)? else {
        return Ok(displaced_before.clone());
    };
    let live = before.live;
    let mut aside = None;
    if let Some(incoming) = before.aside {
        let outgoing = turned(&incoming)?;
        bring_companions(&live, &incoming)?;
        swap(&live, &incoming, &outgoing, true)?;
        aside = disk::exists(&outgoing)?.then_some(outgoing);
    }
    let dress = before.dress.map(|(given, had)| (had, given));
    if let Some((wanted, _)) = &dress {
        give(wanted, &live)?;
    }
    let link = before.link.map(|link| link.turned());
    if let Some(link) = &link {
        link.put()?;
    }
    displaced_as(
        resource,
        &Kept {
            live,
            aside,
            dress,
            link,
        },
    )
}

/// Writes the journal of a file that is to become live into it, so that it can be moved alone.
fn bring_companions(live: &Path, incoming: &Path) -> Result<()> {
    if !disk::exists(incoming)? || !disk::exists(live)? {
        return Ok(());
    }
    if COMPANIONS
        .iter()
        .any(|companion| disk::exists(&sibling(incoming, companion)).unwrap_or(true))
    {
        settle(incoming)?;
    }
    for companion in COMPANIONS {
        let left = sibling(incoming, companion);
        match fs::symlink_metadata(&left) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // An index of a journal that is empty now holds nothing.
            Ok(found) if found.len() == 0 || companion == "-shm" => remove(&left)?,
            Ok(_) => {
                let what = format!(
                    "{} holds writes that could not be brought into its file",
                    left.display()
                );
                return Err(ResourceError::new(what).with_hint("stop the programs that use it"));
            }
            Err(error) => return Ok(Err(error).at("look at", &left)?),
        }
    }
    Ok(())
}

/// Where what an undo displaces goes: the name with `failed` and `undone` exchanged.
fn turned(aside: &Path) -> Result<PathBuf> {
    let name = aside.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for (from, to) in [(".failed-", ".undone-"), (".undone-", ".failed-")] {
        if let Some((live, token)) = name.rsplit_once(from) {
            return Ok(aside.with_file_name(format!("{live}{to}{token}")));
        }
    }
    Err(ResourceError::new(format!(
        "{} is not a name that guard gives",
        aside.display()
    )))
}

pub(super) fn forget(displaced: &Displaced) -> Result<()> {
    let Some(Kept { aside: Some(aside), .. }) = kept(displaced)? else {
        return Ok(());
    };
    // Only a name that guard gives is removed.
    turned(&aside)?;
    remove_set(&aside)
}

/// Bytes that what was put aside takes.
pub(super) fn weigh(displaced: &Displaced) -> Result<Option<u64>> {
    let Some(Kept { aside: Some(aside), .. }) = kept(displaced)? else {
        return Ok(None);
    };
    Ok(Some(disk::weight(&aside)?))
}

/// A database's file and those that belong to it.
pub(super) fn whole(path: &Path) -> Vec<PathBuf> {
    let others = COMPANIONS.iter().map(|companion| sibling(path, companion));
    std::iter::once(path.to_owned()).chain(others).collect()
}

/// The files that were put aside.
pub(super) fn put_aside(displaced: &Displaced) -> Vec<PathBuf> {
    let kept = kept(displaced).ok().flatten();
    kept.and_then(|kept| kept.aside)
        .map(|aside| whole(&aside))
        .unwrap_or_default()
}

pub(super) fn discard(places: &Places) -> Result<()> {
    remove_set(&places.side)
}

fn kept(displaced: &Displaced) -> Result<Option<Kept>> {
    serde_json::from_value(displaced.details.clone())
        .map_err(|error| ResourceError::because("could not read what was put aside", error))
}

/// What was put aside, as the journal keeps it.
fn displaced_as(resource: &ResourceName, kept: &Kept) -> Result<Displaced> {
    if kept.aside.is_none() && kept.dress.is_none() && kept.link.is_none() {
        return Ok(nothing(resource));
    }
    let shown = |aside: &PathBuf| format!("file {}", aside.display());
    Ok(Displaced {
        resource: resource.clone(),
        details: serde_json::to_value(kept)
            .map_err(|error| ResourceError::because("could not describe what was put aside", error))?,
        kept_as: kept.aside.iter().map(shown).collect(),
    })
}

/// That nothing was put aside.
pub(super) fn nothing(resource: &ResourceName) -> Displaced {
    Displaced {
        resource: resource.clone(),
        details: Value::Null,
        kept_as: Vec::new(),
    }
}
