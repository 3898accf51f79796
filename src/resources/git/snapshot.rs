//! A work tree's whole state as one commit, made through an index of guard's own: the real one is only copied.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::repository::Repository;
use crate::model::fingerprint::Fingerprint;
use crate::resources::{ResourceError, Result};
use crate::system::disk::{self, At};

/// What HEAD is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Head {
    /// A branch, `refs/heads/main`, at a commit.
    Branch { name: String, commit: String },
    /// No branch.
    Detached { commit: String },
    /// A branch without a commit yet.
    Unborn { name: String },
}

impl Head {
    pub(super) fn commit(&self) -> Option<&str> {
        match self {
            Self::Branch { commit, .. } | Self::Detached { commit } => Some(commit),
            Self::Unborn { .. } => None,
        }
    }
}

/// A state of a work tree; every object that it names is held by the commit that holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) head: Head,
    /// The tree of all files that are not ignored, as bytes.
    pub(super) files: String,
    /// The tree of the index; `None` where it holds conflicts.
    pub(super) staged: Option<String>,
    /// Where a branch stood that a journey is going to move: name and commit, `None` where there was no such branch.
    pub(super) branch_was: Option<(String, Option<String>)>,
}

impl State {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let (branch, commit) = match &self.head {
            Head::Branch { name, commit } => (name.as_str(), commit.as_str()),
            Head::Detached { commit } => ("detached", commit.as_str()),
            Head::Unborn { name } => (name.as_str(), "none yet"),
        };
        Fingerprint::default()
            .with("branch", branch)
            .with("commit", commit)
            .with("files", &self.files)
            .with("index", self.staged.as_deref().unwrap_or("conflicts"))
    }
}

/// Where a look at the work tree is allowed to leave objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    /// In the repository, for a commit that will hold them.
    Repository,
    /// Beside it: a look leaves nothing behind.
    Aside,
}

/// A private directory of its own, gone when it is dropped.
fn workplace(repository: &Repository<'_>) -> Result<tempfile::TempDir> {
    let cx = repository.cx();
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("guard-git-");
    // Outside of a run there is no scratch, and the project's directory must not be written to.
    if cx.run.is_some() {
        builder.tempdir_in(&cx.scratch)
    } else {
        builder.tempdir()
    }
    .map_err(|error| ResourceError::because("could not make a place for an index", error))
}

fn head(repository: &Repository<'_>) -> Result<Head> {
    let name = repository.find(["symbolic-ref", "--quiet", "HEAD"], "read HEAD")?;
    let commit = repository.commit("HEAD")?;
    match (name, commit) {
        (Some(name), Some(commit)) => Ok(Head::Branch { name, commit }),
        (Some(name), None) => Ok(Head::Unborn { name }),
        (None, Some(commit)) => Ok(Head::Detached { commit }),
        (None, None) => Err(
            ResourceError::new(format!("HEAD of {} means no commit", repository.top.display()))
                .with_hint("`git fsck` tells what is missing"),
        ),
    }
}

fn copy_index(repository: &Repository<'_>, place: &Path) -> Result<()> {
    let real = repository.inner("index")?;
    match std::fs::copy(&real, place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at("copy", &real)?,
        _ => Ok(()),
    }
}

/// Directories of guard's own inside the work tree: its backups must not become part of a snapshot.
fn own_directories(repository: &Repository<'_>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in disk::list(&repository.top)? {
        if path.is_dir() && !path.is_symlink() && disk::exists(&path.join(".latest_backup"))? {
            found.push(path);
        }
    }
    let cx = repository.cx();
    let named = ["GUARD_BACKUP_DIR", "BACKUP_DIR"]
        .into_iter()
        .filter_map(|name| cx.environment.path(name));
    found.extend(
        named
            .map(|path| cx.resolve(path))
            .chain(cx.run.is_some().then(|| cx.scratch.clone())),
    );
    let below = |path: &PathBuf| Some(path.strip_prefix(&repository.top).ok()?.to_str()?.to_owned());
    Ok(found.iter().filter_map(below).filter(|path| !path.is_empty()).collect())
}

/// Looks at the work tree. Paths of the tree `with` are taken in even where they are ignored now.
pub(super) fn look(repository: &Repository<'_>, store: Store, with: Option<&str>) -> Result<State> {
    let place = workplace(repository)?;
    let index = place.path().join("index");
    let objects = place.path().join("objects");
    let keep = |call: crate::system::call::Call| -> Result<crate::system::call::Call> {
        if store == Store::Repository {
            return Ok(call);
        }
        disk::create_private_dir(&objects)?;
        let real = repository.inner("objects")?;
        Ok(call
            .env("GIT_OBJECT_DIRECTORY", &objects)
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", real))
    };
    let head = head(repository)?;
    copy_index(repository, &index)?;
    let cx = repository.cx();
    let written = keep(repository.with_index(&index, ["write-tree"]))?;
    let written = cx
        .outcome(&written)
        .map_err(|error| ResourceError::because("could not read the index", error))?;
    let staged = written.status.success().then(|| written.text());
    if staged.is_none() && !written.stderr.contains("unmerged") && !written.stderr.contains("not able to write tree") {
        return Err(ResourceError::new(format!(
            "could not read the index: {}",
            written.stderr.trim()
        )));
    }
    std::fs::remove_file(&index)
        .or_else(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                Ok(())
            } else {
                Err(error)
            }
        })
        .at("remove", &index)?;
    // An index that remembers no file's time makes git read every file as the bytes that it is.
    let known = staged
        .as_deref()
        .or(head.commit())
        .unwrap_or(repository.empty_tree())
        .to_owned();
    repository.run(
        &keep(repository.with_index(&index, ["read-tree", &known]))?,
        "read a tree",
    )?;
    if let Some(tree) = with {
        let listed = repository.run(
            &keep(repository.git(["ls-tree", "-r", "-z", "--full-tree", tree]))?,
            "list a tree",
        )?;
        let added = repository.with_index(&index, ["update-index", "--add", "--replace", "-z", "--index-info"]);
        repository.run(&keep(added.input(listed.stdout))?, "take in a tree")?;
    }
    let mut add = repository.with_index(&index, ["add", "--all", "--", ":/"]);
    for directory in own_directories(repository)? {
        add = add.arg(format!(":(top,exclude,literal){directory}"));
    }
    repository.run(&keep(add)?, "take in the files")?;
    let files = repository
        .run(&keep(repository.with_index(&index, ["write-tree"]))?, "write a tree")?
        .text();
    Ok(State {
        head,
        files,
        staged,
        branch_was: None,
    })
}

fn commit_tree(repository: &Repository<'_>, tree: &str, parents: &[&str], message: &str) -> Result<String> {
    let mut call = repository.git(["commit-tree", tree]);
    for parent in parents {
        call = call.args(["-p", parent]);
    }
    for name in ["GIT_AUTHOR", "GIT_COMMITTER"] {
        call = call
            .env(format!("{name}_NAME"), "guard")
            .env(format!("{name}_EMAIL"), "guard@localhost");
        call = call.env(format!("{name}_DATE"), "@0 +0000");
    }
    Ok(repository
        .run(&call.args(["-F", "-"]).input(message), "make a commit")?
        .text())
}

/// Holds a state under a ref, where neither a rebase nor a prune can take it; returns the commit.
///
/// The commit's time is fixed, so that the same state always makes the same commit.
pub(super) fn hold(repository: &Repository<'_>, state: &State, name: &str) -> Result<String> {
    let described = serde_json::to_string(state)
        .map_err(|error| ResourceError::because("could not describe the work tree", error))?;
    let staged = match &state.staged {
        Some(tree) => Some(commit_tree(repository, tree, &[], "guard: the index\n")?),
        None => None,
    };
    let was = state.branch_was.as_ref().and_then(|(_, commit)| commit.as_deref());
    let mut parents: Vec<&str> = state
        .head
        .commit()
        .into_iter()
        .chain(staged.as_deref())
        .chain(was)
        .collect();
    parents.dedup();
    let commit = commit_tree(
        repository,
        &state.files,
        &parents,
        &format!("guard: the work tree\n\n{described}\n"),
    )?;
    repository.ask(
        ["update-ref", "--no-deref", "-m", "guard", name, &commit],
        "hold a snapshot",
    )?;
    Ok(commit)
}

/// The state that a ref holds; `None` where there is no such ref.
pub(super) fn held(repository: &Repository<'_>, name: &str) -> Result<Option<State>> {
    let Some(commit) = repository.commit(name)? else {
        return Ok(None);
    };
    let message = repository.ask(["cat-file", "commit", &commit], "read a snapshot")?;
    let described = message
        .lines()
        .rev()
        .find(|line| line.starts_with('{'))
        .unwrap_or_default();
    serde_json::from_str(described)
        .map(Some)
        .map_err(|error| ResourceError::because(format!("could not understand the snapshot {name}"), error))
}

/// Whether every object of a commit's tree is there.
pub(super) fn is_whole(repository: &Repository<'_>, commit: &str) -> Result<bool> {
    let args = [
        "rev-list",
        "--objects",
        "--no-walk",
        "--quiet",
        "--end-of-options",
        commit,
    ];
    Ok(repository.find(args, "read a snapshot")?.is_some())
}
