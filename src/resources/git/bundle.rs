//! A snapshot outside of its repository: bundles in the backup, from which a machine without the repository gets all of it.
//!
//! `history.bundle` holds what HEAD stood on once, and is linked from backup to backup; `snapshot.bundle` holds the rest. When
//! the rest becomes large, the history is written anew.

use std::io::{BufReader, Read};
use std::os::unix::fs::PermissionsExt;

use super::record::{Held, held};
use super::repository::{Repository, explained};
use super::snapshot;
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use guard_model::artifact::{Artifact, FileEntry};
use guard_system::disk::{self, At};

/// What HEAD stood on when the history was written.
const HISTORY: &str = "history.bundle";
/// What the snapshot has beside that.
const SNAPSHOT: &str = "snapshot.bundle";
/// A rest of so many bytes is kept beside a history of any size.
const SMALL: u64 = 4 * 1024 * 1024;
/// No head of a bundle is longer.
const LONGEST: usize = 1024 * 1024;

/// Writes what `HEAD` or a ref stands on, without what another commit stands on. `None`: that is nothing.
fn write(
    repository: &Repository<'_>,
    name: &str,
    what: &str,
    without: Option<&str>,
    slot: &Slot,
) -> Result<Option<FileEntry>> {
    let without = without.map(|commit| format!("^{commit}"));
    let args = ["bundle", "create", "--quiet", "-", what].into_iter();
    let call = repository.git(args.chain(without.as_deref()));
    let mut staged = slot.stage(name)?;
    let written = repository
        .cx()
        .pull(&call, &mut |bytes| staged.write(bytes).map_err(std::io::Error::other));
    match written {
        Ok(_) => slot.keep(staged, name).map(Some),
        Err(error) if error.to_string().contains("empty bundle") => Ok(None),
        Err(error) => Err(explained("could not write a bundle", error)),
    }
}

/// The snapshot among these whose bundles' names begin so.
fn named<'h>(held: &'h Held, bundles: &str) -> Option<&'h Held> {
    if held.bundles == bundles {
        return Some(held);
    }
    held.nested.iter().find_map(|inner| named(&inner.held, bundles))
}

/// The history of an earlier backup, where it is sound and the repository still holds its commit; linked into the slot.
fn linked(repository: &Repository<'_>, bundles: &str, slot: &Slot) -> Result<Option<(String, FileEntry)>> {
    let Some((backup, artifact)) = slot.earlier() else {
        return Ok(None);
    };
    let before = held(artifact).ok();
    let commit = before.and_then(|before| named(&before, bundles)?.history.clone());
    let (Some(commit), Some(entry)) = (commit, artifact.file(&format!("{bundles}{HISTORY}"))) else {
        return Ok(None);
    };
    let from = backup.join(&entry.path);
    let is_sound = disk::sha256_file(&from).is_ok_and(|found| found == (entry.bytes, entry.sha256.clone()))
        && slot.beside(backup, &artifact.resource).seek(entry).is_ok();
    if !is_sound || repository.commit(&commit)?.as_ref() != Some(&commit) {
        return Ok(None);
    }
    disk::create_private_dir(&slot.directory())?;
    let place = slot.directory().join(from.file_name().unwrap_or_default());
    if disk::exists(&place)? {
        disk::remove_file(&place)?;
    }
    crate::trees::chunks::share(&from, &place).at("link", &place)?;
    disk::sync_directory(&slot.directory())?;
    Ok(Some((commit, entry.clone())))
}

/// Writes bundles of the snapshot into the slot; notes in `held` what the history stands on.
///
/// # Errors
/// git cannot write them: objects are missing, as in a partial clone.
pub(super) fn capture(repository: &Repository<'_>, held: &mut Held, slot: &Slot) -> Result<Vec<FileEntry>> {
    if repository.ask(["rev-parse", "--is-shallow-repository"], "ask for the depth")? == "true" {
        return Err(ResourceError::new("the repository is shallow")
            .with_hint("`git fetch --unshallow`, or `bundle = false` where no copy outside of it is wanted"));
    }
    let (history_name, snapshot_name) = (
        format!("{}{HISTORY}", held.bundles),
        format!("{}{SNAPSHOT}", held.bundles),
    );
    if let Some((commit, history)) = linked(repository, &held.bundles, slot)? {
        let rest = write(repository, &snapshot_name, &held.r#ref, Some(&commit), slot)?;
        if rest
            .as_ref()
            .is_none_or(|rest| rest.bytes <= SMALL.max(history.bytes / 2))
        {
            held.history = Some(commit);
            return Ok(std::iter::once(history).chain(rest).collect());
        }
    }
    let mut files = Vec::new();
    if held.state.head.commit().is_some()
        && let Some(history) = write(repository, &history_name, "HEAD", None, slot)?
    {
        held.history = head_of(&history, slot)?;
        files.push(history);
    }
    files.extend(write(
        repository,
        &snapshot_name,
        &held.r#ref,
        held.history.as_deref(),
        slot,
    )?);
    Ok(files)
}

/// The first commit that a bundle names in its head, which is text and ends with an empty line.
fn head_of(bundle: &FileEntry, slot: &Slot) -> Result<Option<String>> {
    let unread = |error| ResourceError::because("could not read a bundle", error);
    let mut head = Vec::new();
    for byte in BufReader::new(slot.read(bundle)?).bytes().take(LONGEST) {
        head.push(byte.map_err(unread)?);
        if head.ends_with(b"\n\n") {
            break;
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    // `#` begins the form, `@` what it needs, `-` what has to be there before.
    let mut named = head.lines().filter(|line| !line.starts_with(['#', '@', '-']));
    Ok(named.find_map(|line| line.split_whitespace().next().map(str::to_owned)))
}

/// Whether a copy has bundles of this snapshot.
pub(super) fn has_any(artifact: &Artifact, held: &Held) -> bool {
    [HISTORY, SNAPSHOT]
        .iter()
        .any(|name| artifact.file(&format!("{}{name}", held.bundles)).is_some())
}

/// Puts what the bundles hold into a repository, and holds the snapshot there. Nothing that is in use changes.
///
/// # Errors
/// A bundle is not sound, or does not hold what the backup needs (`copy_is_bad`).
pub(super) fn unpack(repository: &Repository<'_>, artifact: &Artifact, held: &Held, slot: &Slot) -> Result<()> {
    let place = repository.workplace()?;
    // Through an empty repository: refs that mean nothing any more would keep git from taking anything in.
    let empty = place.path().join("empty");
    disk::create_private_dir(&empty)?;
    repository.give(&empty)?;
    let empty = Repository::bare(&empty, held.commit.len() > 40, repository.cx())?;
    let objects = repository.inner("objects")?;
    // In the order in which one stands on the other.
    for name in [HISTORY, SNAPSHOT] {
        let Some(entry) = artifact.file(&format!("{}{name}", held.bundles)) else {
            continue;
        };
        let is_own = !repository.is_of_another() && !entry.is_sealed();
        let bundle = if let Some(path) = slot.path_of(entry).filter(|_| is_own) {
            path
        } else {
            let path = slot.unsealed(entry, place.path())?;
            repository.give(&path)?;
            path
        };
        let call = empty.git(["bundle", "unbundle"]).arg(bundle);
        let call = call.env("GIT_OBJECT_DIRECTORY", &objects);
        repository
            .run(&call, "unpack a bundle")
            .map_err(|error| ResourceError {
                copy_is_bad: true,
                ..error
            })?;
    }
    if !snapshot::is_whole(repository, &held.commit)? {
        return Err(ResourceError::bad_copy(
            "the bundles in the backup do not hold the snapshot whole",
        ));
    }
    let words = ["update-ref", "--no-deref", "-m", "guard", &held.r#ref, &held.commit];
    repository.ask(words, "hold a snapshot").map(drop)
}

/// Unpacks the bundles in an empty repository beside everything else, where nobody else can read it, and throws it away.
///
/// # Errors
/// They do not hold what the backup needs (`copy_is_bad`).
pub(super) fn rehearse(
    artifact: &Artifact,
    held: &Held,
    slot: &Slot,
    cx: &guard_system::context::Context,
) -> Result<()> {
    let mut builder = tempfile::Builder::new();
    let builder = builder
        .prefix("guard-git-")
        .permissions(std::fs::Permissions::from_mode(0o700));
    let place = if cx.run.is_some() {
        builder.tempdir_in(&cx.scratch)
    } else {
        builder.tempdir()
    };
    let place = place.map_err(|error| ResourceError::because("could not make a place for a repository", error))?;
    let is_sha256 = held.commit.len() > 40;
    unpack(&Repository::bare(place.path(), is_sha256, cx)?, artifact, held, slot)
}
