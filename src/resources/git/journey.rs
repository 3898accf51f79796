//! Takes a work tree from the state it is in to one that a snapshot holds, without a reset, a stash or a clean.

use super::repository::Repository;
use super::snapshot::{self, Head, State, Store};
use crate::resources::{ResourceError, Result};
use crate::system::disk;

/// Refuses while another git is at work, or was killed while it was.
///
/// # Errors
/// `index.lock` is there; it is named with its age, and left.
pub(super) fn unlocked(repository: &Repository<'_>) -> Result<()> {
    let lock = repository.inner("index.lock")?;
    if !disk::exists(&lock)? {
        return Ok(());
    }
    let age = std::fs::symlink_metadata(&lock)
        .and_then(|metadata| metadata.modified())
        .ok();
    let now = std::time::SystemTime::from(repository.cx().clock.now());
    let age = age
        .and_then(|then| now.duration_since(then).ok())
        .map_or_else(String::new, |age| {
            format!(", {} old", crate::model::text::duration(age))
        });
    Err(ResourceError::new(format!(
        "{} is there{age}: another git is at work, or one was killed",
        lock.display()
    ))
    .with_hint(format!(
        "see with `pgrep git` that none runs, then remove it: rm {}",
        lock.display()
    )))
}

/// Goes to a state. What was there is held under `displaced` first; on a repeat, what the first attempt held stays, and
/// anything that came in between is held beside it. Returns the state that `displaced` holds.
///
/// # Errors
/// A step failed; a repeat goes on from there.
pub(super) fn go(repository: &Repository<'_>, to: &State, displaced: &str) -> Result<State> {
    unlocked(repository)?;
    let mut here = snapshot::look(repository, Store::Repository, Some(&to.files))?;
    let from = if let Some(held) = snapshot::held(repository, displaced)? {
        if here.files != held.files && here.files != to.files {
            let beside = format!("{displaced}-between-{}", here.files.get(..12).unwrap_or(&here.files));
            snapshot::hold(repository, &here, &beside)?;
        }
        held
    } else {
        if let Head::Branch { name, .. } | Head::Unborn { name } = &to.head {
            here.branch_was = Some((name.clone(), repository.commit(name)?));
        }
        snapshot::hold(repository, &here, displaced)?;
        here.clone()
    };
    move_files(repository, &here.files, &to.files)?;
    move_head(repository, to)?;
    if let Some((name, was)) = &to.branch_was
        && to.head != (Head::Unborn { name: name.clone() })
        && !matches!(&to.head, Head::Branch { name: own, .. } if own == name)
    {
        put_branch(repository, name, was.as_deref())?;
    }
    let staged = to
        .staged
        .as_deref()
        .or(to.head.commit())
        .unwrap_or(repository.empty_tree());
    repository.ask(["read-tree", "--reset", staged], "put back the index")?;
    // Files that really differ from the index make this end with an exit code: that is a state like any other.
    repository.find(["update-index", "-q", "--refresh"], "refresh the index")?;
    Ok(from)
}

/// Changes exactly the files in which the two trees differ. `from` is what is there, so git finds nothing in its way.
fn move_files(repository: &Repository<'_>, from: &str, to: &str) -> Result<()> {
    let place = tempfile::Builder::new().prefix("guard-git-").tempdir();
    let place = place.map_err(|error| ResourceError::because("could not make a place for an index", error))?;
    let index = place.path().join("index");
    repository.run(
        &repository.with_index(&index, ["-c", "core.sparseCheckout=false", "read-tree", from]),
        "read a tree",
    )?;
    let refresh = repository.with_index(&index, ["update-index", "-q", "--refresh"]);
    repository.run(&refresh, "compare the files")?;
    let args = ["-c", "core.sparseCheckout=false", "read-tree", "-m", "-u", from, to];
    repository.run(&repository.with_index(&index, args), "put back the files")?;
    Ok(())
}

fn put_branch(repository: &Repository<'_>, name: &str, commit: Option<&str>) -> Result<()> {
    match (repository.commit(name)?, commit) {
        (Some(now), Some(commit)) if now == commit => Ok(()),
        (None, None) => Ok(()),
        (Some(now), None) => repository
            .ask(
                ["update-ref", "-m", "guard: back", "-d", name, &now],
                "take back a branch",
            )
            .map(drop),
        (_, Some(commit)) => repository
            .ask(["update-ref", "-m", "guard: back", name, commit], "move a branch")
            .map(drop),
    }
}

fn move_head(repository: &Repository<'_>, to: &State) -> Result<()> {
    match &to.head {
        Head::Branch { name, commit } => {
            put_branch(repository, name, Some(commit))?;
            repository.ask(["symbolic-ref", "-m", "guard: back", "HEAD", name], "set HEAD")?;
        }
        Head::Unborn { name } => {
            repository.ask(["symbolic-ref", "-m", "guard: back", "HEAD", name], "set HEAD")?;
            put_branch(repository, name, None)?;
        }
        Head::Detached { commit } => {
            repository.ask(
                ["update-ref", "-m", "guard: back", "--no-deref", "HEAD", commit],
                "set HEAD",
            )?;
        }
    }
    Ok(())
}

/// The submodules whose commit differs between two trees: their own work trees are not moved.
pub(super) fn moved_submodules(repository: &Repository<'_>, from: &str, to: &str) -> Result<Vec<String>> {
    let listed = repository.ask(["diff-tree", "-r", "--raw", from, to], "compare trees")?;
    let lines = listed
        .lines()
        .filter(|line| line.starts_with(":160000") || line.get(8..14) == Some("160000"));
    Ok(lines
        .filter_map(|line| line.split_once('\t'))
        .map(|(_, path)| path.to_owned())
        .collect())
}
