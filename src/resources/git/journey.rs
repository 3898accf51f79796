//! Takes a work tree from the state it is in to one that a snapshot holds, without a reset, a stash or a clean.

use super::aside::Aside;
use super::repository::Repository;
use super::snapshot::{self, Head, State, Store};
use super::wear::Marks;
use super::{content, exchange};
use crate::error::{ResourceError, Result};
use guard_system::disk;

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
        .map_or_else(String::new, |age| format!(", {} old", guard_model::text::duration(age)));
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
    let here = snapshot::look(repository, Store::Repository, Some(&to.files))?;
    let from = if let Some(held) = snapshot::held(repository, displaced)? {
        let now = &here.state.files;
        if *now != held.files && *now != to.files {
            let beside = format!("{displaced}-between-{}", now.get(..12).unwrap_or(now));
            snapshot::hold(repository, &here.state, &beside)?;
        }
        held
    } else {
        let mut from = here.state.clone();
        if let Head::Branch { name, .. } | Head::Unborn { name } = &to.head {
            from.branch_was = Some((name.clone(), repository.commit(name)?));
        }
        snapshot::hold(repository, &from, displaced)?;
        from
    };
    exchange::files(repository, &here, to, &Aside::of(repository, displaced)?)?;
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
    if let Some(wear) = snapshot::worn(repository, to)? {
        mark(repository, &wear.marks())?;
    }
    // Files that really differ from the index make this end with an exit code: that is a state like any other.
    repository.find(["update-index", "-q", "--refresh"], "refresh the index")?;
    Ok(from)
}

/// Gives the entries of the index the marks that they had.
fn mark(repository: &Repository<'_>, wanted: &Marks) -> Result<()> {
    let now = content::marks(repository)?;
    let changes = [
        (
            "--no-skip-worktree",
            now.skipped.difference(&wanted.skipped).collect::<Vec<_>>(),
        ),
        ("--skip-worktree", wanted.skipped.difference(&now.skipped).collect()),
        (
            "--no-assume-unchanged",
            now.assumed.difference(&wanted.assumed).collect(),
        ),
        ("--assume-unchanged", wanted.assumed.difference(&now.assumed).collect()),
    ];
    for (flag, paths) in changes {
        if paths.is_empty() {
            continue;
        }
        let call = repository.git(["update-index", "-z", flag, "--stdin"]);
        repository.run(&call.input(joined(&paths)), "mark files in the index")?;
    }
    let intended: Vec<&Vec<u8>> = wanted.intended.difference(&now.intended).collect();
    if !intended.is_empty() {
        let words = [
            "add",
            "--intent-to-add",
            "--force",
            "--pathspec-file-nul",
            "--pathspec-from-file=-",
        ];
        let call = repository.git(words).env("GIT_LITERAL_PATHSPECS", "1");
        repository.run(&call.input(joined(&intended)), "mark files in the index")?;
    }
    Ok(())
}

fn joined(paths: &[&Vec<u8>]) -> Vec<u8> {
    let mut all = Vec::new();
    for path in paths {
        all.extend_from_slice(path);
        all.push(0);
    }
    all
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
