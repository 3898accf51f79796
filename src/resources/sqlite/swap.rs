//! The swap of a database file together with its journals, by exchange, and safe to repeat from any state.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::copy::{failed, open, prove};
use crate::model::artifact::Displaced;
use crate::model::name::ResourceName;
use crate::resources::{ResourceError, Result};
use crate::system::disk::{self, At, Staged, sibling};

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
}

/// What was put aside.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    live: PathBuf,
    aside: PathBuf,
}

impl Places {
    /// The places for a restore of this run. A link is followed, so that the file it leads to is swapped.
    pub(super) fn of(path: &Path, token: &str) -> Result<Self> {
        let live = match fs::canonicalize(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            found => found.at("look at", path)?,
        };
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
    remove_set(&places.side)?;
    let mut staged = Staged::beside(&places.side)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match copy.read(&mut buffer).at("read the copy for", &places.side)? {
            0 => break,
            count => staged.write(buffer.get(..count).unwrap_or_default())?,
        }
    }
    if disk::exists(&places.live)? {
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
    Ok(())
}

pub(super) fn restore(resource: &ResourceName, places: &Places) -> Result<Displaced> {
    let Places {
        live,
        side,
        aside,
        replaces,
    } = places;
    swap(live, side, aside, *replaces)?;
    let kept = disk::exists(aside)?;
    Ok(displaced(resource, kept.then(|| (live.clone(), aside.clone()))))
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
    let Some(Kept { live, aside: incoming }) = kept(displaced_before)? else {
        return Ok(displaced_before.clone());
    };
    let outgoing = turned(&incoming)?;
    bring_companions(&live, &incoming)?;
    swap(&live, &incoming, &outgoing, true)?;
    let kept = disk::exists(&outgoing)?;
    Ok(displaced(resource, kept.then_some((live, outgoing))))
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
    let Some(Kept { aside, .. }) = kept(displaced)? else {
        return Ok(());
    };
    // Only a name that guard gives is removed.
    turned(&aside)?;
    remove_set(&aside)
}

/// Bytes that what was put aside takes.
pub(super) fn weigh(displaced: &Displaced) -> Result<Option<u64>> {
    let Some(Kept { aside, .. }) = kept(displaced)? else {
        return Ok(None);
    };
    Ok(Some(disk::weight(&aside)?))
}

pub(super) fn discard(places: &Places) -> Result<()> {
    remove_set(&places.side)
}

fn kept(displaced: &Displaced) -> Result<Option<Kept>> {
    serde_json::from_value(displaced.details.clone())
        .map_err(|error| ResourceError::because("could not read what was put aside", error))
}

/// What was put aside, as the journal keeps it.
pub(super) fn displaced(resource: &ResourceName, kept: Option<(PathBuf, PathBuf)>) -> Displaced {
    let kept_as = kept
        .iter()
        .map(|(_, aside)| format!("file {}", aside.display()))
        .collect();
    let details = kept.map_or(
        Value::Null,
        |(live, aside)| serde_json::json!({ "live": live, "aside": aside }),
    );
    Displaced {
        resource: resource.clone(),
        details,
        kept_as,
    }
}
