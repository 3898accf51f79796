//! A commit that somebody wrote down by hand, as a snapshot: its files, and beside them what git does not track now.

use std::collections::HashSet;

use super::repository::Repository;
use super::snapshot::{self, Head, State, Store};
use crate::error::{ResourceError, Result};

/// The state of a work tree in which this commit is checked out. What is not tracked stays as it is: whoever wrote down the
/// commit said nothing about it.
///
/// # Errors
/// The repository does not hold the commit.
pub(super) fn state(repository: &Repository<'_>, commit: &str, branch: Option<&str>) -> Result<State> {
    let is_id = (7..=64).contains(&commit.len()) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    let found = if is_id { repository.commit(commit)? } else { None };
    let commit = found.ok_or_else(|| {
        ResourceError::bad_copy(format!("the repository does not hold the commit {commit:?}"))
            .with_hint("fetch it, or leave the code out with --only")
    })?;
    let name = branch.map(|branch| format!("refs/heads/{branch}"));
    let head = match name {
        Some(name) if repository.find(["check-ref-format", &name], "test a name")?.is_some() => {
            let commit = commit.clone();
            Head::Branch { name, commit }
        }
        _ => Head::Detached { commit: commit.clone() },
    };
    let staged = repository.ask(["rev-parse", "--verify", &format!("{commit}^{{tree}}")], "read a tree")?;
    Ok(State {
        head,
        files: with_untracked(repository, &staged)?,
        staged: Some(staged),
        branch_was: None,
        worn: None,
    })
}

/// A tree, and beside its files those that are there now and not tracked.
fn with_untracked(repository: &Repository<'_>, tree: &str) -> Result<String> {
    let now = snapshot::look(repository, Store::Repository, None)?.state;
    let Some(tracked) = &now.staged else {
        return Err(ResourceError::new("the index holds conflicts").with_hint("resolve them and `git add` the files"));
    };
    let listed = repository.run(
        &repository.git(["ls-tree", "-r", "-z", "--name-only", "--full-tree", tree]),
        "list a tree",
    )?;
    let taken: HashSet<&[u8]> = listed.stdout.split(|byte| *byte == 0).collect();
    let args = [
        "diff-tree",
        "-r",
        "-z",
        "--no-renames",
        "--diff-filter=A",
        tracked,
        &now.files,
    ];
    let added = repository.run(&repository.git(args), "compare two trees")?;
    // `:000000 100644 OLD NEW A`, and the path.
    let mut input = Vec::new();
    let mut words = added.stdout.split(|byte| *byte == 0);
    while let (Some(about), Some(path)) = (words.next(), words.next()) {
        let about = String::from_utf8_lossy(about).into_owned();
        let mut about = about.split(' ').skip(1);
        if let (Some(mode), _, Some(id)) = (about.next(), about.next(), about.next())
            && !taken.contains(path)
        {
            input.extend_from_slice(format!("{mode} {id}\t").as_bytes());
            input.extend_from_slice(path);
            input.push(0);
        }
    }
    let place = repository.workplace()?;
    let index = place.path().join("index");
    repository.run(&repository.with_index(&index, ["read-tree", tree]), "read a tree")?;
    let taken = repository.with_index(&index, ["update-index", "--add", "-z", "--index-info"]);
    repository.run(&taken.input(input), "take in a tree")?;
    Ok(repository
        .run(&repository.with_index(&index, ["write-tree"]), "write a tree")?
        .text())
}
