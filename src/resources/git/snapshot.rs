//! A work tree's whole state as one commit, made through an index of guard's own: the real one is only copied.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::content::{self, Content};
use super::ground::{Ground, bytes};
use super::repository::Repository;
use super::wear::{self, Wear};
use crate::error::{ResourceError, Result};
use guard_model::fingerprint::Fingerprint;
use guard_system::disk::{self, At};

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
    /// What git does not keep; `None`: an older guard did not look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) worn: Option<Worn>,
}

/// What a work tree has beside content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Worn {
    /// The tree that describes it; empty where nothing was kept.
    pub(super) tree: String,
    /// Digests of the modes and the index's marks, and of the owners.
    pub(super) modes: String,
    pub(super) owners: String,
    /// Digests of the attributes and access lists that an owner may set, and of those that only root may; `None`: an older guard
    /// did not look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) attributes: Option<(String, String)>,
}

impl State {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let (branch, commit) = match &self.head {
            Head::Branch { name, commit } => (name.as_str(), commit.as_str()),
            Head::Detached { commit } => ("detached", commit.as_str()),
            Head::Unborn { name } => (name.as_str(), "none yet"),
        };
        let print = Fingerprint::default()
            .with("branch", branch)
            .with("commit", commit)
            .with("files", &self.files)
            .with("index", self.staged.as_deref().unwrap_or("conflicts"));
        let Some(worn) = &self.worn else { return print };
        let print = print.with("modes", &worn.modes);
        let print = match &worn.attributes {
            Some((attributes, _)) => print.with("attributes", attributes),
            None => print,
        };
        // Only root gives files away, and capabilities and labels to them.
        if !guard_system::privilege::is_root() {
            return print;
        }
        let print = print.with("owners", &worn.owners);
        match &worn.attributes {
            Some((_, labels)) => print.with("labels", labels),
            None => print,
        }
    }
}

/// Parts that an older guard, or one of another user, does not tell.
const UNTOLD: [&str; 4] = ["modes", "owners", "attributes", "labels"];

/// In which parts two fingerprints of work trees differ; what only one of them tells says nothing.
pub(super) fn differences(now: &Fingerprint, then: &Fingerprint) -> Vec<String> {
    let mut parts = now.differences(then);
    parts.retain(|part| !UNTOLD.contains(&part.as_str()) || (now.part(part).is_some() && then.part(part).is_some()));
    parts
}

/// A state, and what it was read from.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) state: State,
    pub(super) content: Content,
    /// Whether index and files are those of the commit, so that nothing is a local change. `false` where that was not seen.
    pub(super) is_committed: bool,
}

/// Where a look at the work tree is allowed to leave objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    /// In the repository, for a commit that will hold them.
    Repository,
    /// Beside it: a look leaves nothing behind.
    Aside,
}

/// HEAD, and the tree of its commit where that was told along with it.
fn head(repository: &Repository<'_>) -> Result<(Head, Option<String>)> {
    // Nearly always one question is enough.
    let words = [
        "rev-parse",
        "HEAD^{commit}",
        "HEAD^{tree}",
        "--symbolic-full-name",
        "HEAD",
    ];
    let told = repository.find(words, "read HEAD")?.unwrap_or_default();
    let is_id = |word: &str| word.len() >= 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let [commit, tree, name] = told.lines().collect::<Vec<_>>()[..]
        && is_id(commit)
        && is_id(tree)
        && (name == "HEAD" || name.starts_with("refs/"))
    {
        let commit = commit.to_owned();
        let head = match name {
            "HEAD" => Head::Detached { commit },
            name => Head::Branch {
                name: name.to_owned(),
                commit,
            },
        };
        return Ok((head, Some(tree.to_owned())));
    }
    head_by_parts(repository).map(|head| (head, None))
}

fn head_by_parts(repository: &Repository<'_>) -> Result<Head> {
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

/// Directories of guard's own inside the work tree: its backups must not become part of a snapshot.
fn own_directories(repository: &Repository<'_>) -> Result<Vec<Vec<u8>>> {
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
    let below = |path: &PathBuf| Some(bytes(path.strip_prefix(&repository.top).ok()?));
    Ok(found.iter().filter_map(below).filter(|path| !path.is_empty()).collect())
}

/// Looks at the work tree. Paths of the tree `with` are taken in even where they are ignored now.
pub(super) fn look(repository: &Repository<'_>, store: Store, with: Option<&str>) -> Result<Looked> {
    let place = repository.workplace()?;
    let index = place.path().join("index");
    let objects = place.path().join("objects");
    let keep = |call: guard_system::call::Call| -> Result<guard_system::call::Call> {
        if store == Store::Repository {
            return Ok(call);
        }
        disk::create_private_dir(&objects)?;
        repository.give(&objects)?;
        let real = repository.inner("objects")?;
        Ok(call
            .env("GIT_OBJECT_DIRECTORY", &objects)
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", real))
    };
    let (head, committed) = head(repository)?;
    // The real index is only copied: git writes into what it makes a tree of.
    repository.copy_index(&index)?;
    let written = repository
        .cx()
        .outcome(&keep(repository.with_index(&index, ["write-tree"]))?)
        .map_err(|error| ResourceError::because("could not read the index", error))?;
    let staged = written.status.success().then(|| written.text());
    if staged.is_none() && !written.stderr.contains("unmerged") && !written.stderr.contains("not able to write tree") {
        return Err(ResourceError::new(format!(
            "could not read the index: {}",
            written.stderr.trim()
        )));
    }
    let with = match with {
        Some(tree) => {
            let listed = repository.run(
                &keep(repository.git(["ls-tree", "-r", "-z", "--name-only", "--full-tree", tree]))?,
                "list a tree",
            )?;
            content::list(&listed.stdout).map(<[u8]>::to_vec).collect()
        }
        None => Vec::new(),
    };
    let ground = Ground::open(&repository.top).at("open", &repository.top)?;
    let mut without: Vec<Vec<u8>> = own_directories(repository)?;
    without.extend(repository.owned_elsewhere());
    let mut content = content::read(repository, &ground, &index, &without, &with)?;
    if store == Store::Repository {
        content::keep(repository, &ground, &mut content, place.path())?;
    }
    let files = match &staged {
        Some(staged) if content.is_as_staged() => staged.clone(),
        _ => content::tree(repository, &content.files, &place.path().join("index-of-files"), &keep)?,
    };
    let is_committed = committed.is_some() && staged == committed && committed.as_ref() == Some(&files);
    let mut dressed: std::collections::BTreeMap<_, _> = content
        .files
        .iter()
        .map(|(path, entry)| (path.clone(), entry.seen))
        .collect();
    dressed.extend(content.directories.iter().map(|(path, seen)| (path.clone(), *seen)));
    let (modes, owners) = wear::digests(&dressed, &content.marks);
    let used = dressed.clone();
    let bare = wear::around(content.empty.iter())
        .into_iter()
        .chain(content.empty.iter().cloned());
    for directory in bare {
        if let Some(seen) = ground.look(&directory).at("look at", &ground.at(&directory))? {
            dressed.insert(directory, seen);
        }
    }
    let listed = wear::listed(&ground, &dressed)?;
    let attributes = Some(wear::digests_of(&listed, &used));
    let tree = if store == Store::Repository {
        Wear::of(&dressed, &content.empty, &content.nested, &content.marks, &listed).keep(repository)?
    } else {
        String::new()
    };
    let worn = Some(Worn {
        tree,
        modes,
        owners,
        attributes,
    });
    Ok(Looked {
        state: State {
            head,
            files,
            staged,
            branch_was: None,
            worn,
        },
        content,
        is_committed,
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
    let worn = match state.worn.as_ref().filter(|worn| !worn.tree.is_empty()) {
        Some(worn) => Some(commit_tree(
            repository,
            &worn.tree,
            &[],
            "guard: what git does not keep\n",
        )?),
        None => None,
    };
    let was = state.branch_was.as_ref().and_then(|(_, commit)| commit.as_deref());
    let mut parents: Vec<&str> = state
        .head
        .commit()
        .into_iter()
        .chain(staged.as_deref())
        .chain(was)
        .chain(worn.as_deref())
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

/// What is known of a state beside its content; `None`: an older guard did not look.
pub(super) fn worn(repository: &Repository<'_>, state: &State) -> Result<Option<Wear>> {
    match state.worn.as_ref().filter(|worn| !worn.tree.is_empty()) {
        Some(worn) => Wear::read(repository, &worn.tree).map(Some),
        None => Ok(None),
    }
}

/// Whether every object of a commit's tree is there, and of the trees of its parents: a snapshot keeps the index there.
pub(super) fn is_whole(repository: &Repository<'_>, commit: &str) -> Result<bool> {
    are_whole(repository, &[commit])
}

/// The same of all of these.
pub(super) fn are_whole(repository: &Repository<'_>, commits: &[&str]) -> Result<bool> {
    let parents: Vec<String> = commits.iter().map(|commit| format!("{commit}^@")).collect();
    let words = ["rev-list", "--objects", "--no-walk", "--quiet", "--end-of-options"];
    let args = words.into_iter().chain(commits.iter().copied());
    let args = args.chain(parents.iter().map(String::as_str));
    Ok(repository.find(args, "read a snapshot")?.is_some())
}
