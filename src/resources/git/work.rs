//! The acts of a work tree that several promises share: holding it, finding it whole, going to it.

use super::record::{Back, Held, held, value};
use super::repository::Repository;
use super::snapshot::{self, Head, State, Store};
use super::survey::short;
use super::{Git, KIND, bundle, journey};
use crate::model::artifact::{Artifact, Displaced, FileEntry};
use crate::model::event::Level;
use crate::model::text;
use crate::resources::{ResourceError, Result, Slot};
use crate::system::context::Context;

impl Git {
    /// The directory of refs of this resource in this run. A `.` in a name could make a name that git forbids.
    pub(super) fn refs(&self, cx: &Context) -> String {
        format!("refs/guard/{}/{}", cx.token(), self.name.as_str().replace('.', "_"))
    }

    /// The first commit that a repository does not hold whole.
    pub(super) fn lacks(repository: &Repository<'_>, held: &Held) -> Result<Option<String>> {
        for commit in [Some(held.commit.as_str()), held.state.head.commit()]
            .into_iter()
            .flatten()
        {
            if !snapshot::is_whole(repository, commit)? {
                return Ok(Some(commit.to_owned()));
            }
        }
        Ok(None)
    }

    /// Sees to it that the repository holds the snapshot: as it is, else out of the backup. A directory without a repository
    /// becomes an empty one.
    pub(super) fn proven(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Held> {
        let held = held(artifact)?;
        let has_bundles = bundle::has_any(artifact);
        let repository = if has_bundles && Repository::is_missing(&self.directory, cx) {
            let note = format!("{} is no git repository; it becomes one", self.directory.display());
            cx.note(Level::Info, note);
            Repository::init(&self.directory, cx)?
        } else {
            Repository::open(&self.directory, cx)?
        };
        let Some(commit) = Self::lacks(&repository, &held)? else {
            return Ok(held);
        };
        if has_bundles {
            bundle::unpack(&repository, artifact, slot)?;
            return Ok(held);
        }
        let what = format!(
            "the repository no longer holds {} whole, which the backup needs",
            short(&commit)
        );
        Err(ResourceError::bad_copy(what)
            .with_hint("fetch it, or put the code back by hand from the patch in the backup"))
    }

    pub(super) fn artifact(
        &self,
        repository: &Repository<'_>,
        held: &Held,
        files: Vec<FileEntry>,
        about: &str,
    ) -> Result<Artifact> {
        let place = match &held.state.head {
            Head::Branch { name, commit } => format!("{} at {}", name.trim_start_matches("refs/heads/"), short(commit)),
            Head::Detached { commit } => format!("no branch, at {}", short(commit)),
            Head::Unborn { name } => format!("{} without a commit yet", name.trim_start_matches("refs/heads/")),
        };
        let version = repository.ask(["--version"], "ask for the version")?;
        Ok(Artifact {
            resource: self.name.clone(),
            project: None,
            kind: KIND.key.to_owned(),
            fingerprint: held.state.fingerprint(),
            files,
            details: value(held)?,
            summary: format!("{place}, {about}"),
            not_kept: Vec::new(),
            tools: vec![("git".to_owned(), version.trim_start_matches("git version ").to_owned())],
        })
    }

    pub(super) fn go(&self, to: &State, displaced: &str, cx: &Context) -> Result<Displaced> {
        let repository = Repository::open(&self.directory, cx)?;
        let from = journey::go(&repository, to, displaced)?;
        Ok(Displaced {
            resource: self.name.clone(),
            details: value(&Back {
                state: from,
                r#ref: displaced.to_owned(),
            })?,
            kept_as: vec![format!("git ref {displaced}")],
        })
    }

    /// Holds what is there in the repository, and writes what tells of it into the slot.
    pub(super) fn copied(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let repository = Repository::open(&self.directory, cx)?;
        journey::unlocked(&repository)?;
        let state = snapshot::look(&repository, Store::Repository, None)?;
        if state.staged.is_none() {
            return Err(
                ResourceError::new("the index holds conflicts").with_hint("resolve them and `git add` the files")
            );
        }
        let name = format!("{}/snapshot", self.refs(cx));
        let commit = snapshot::hold(&repository, &state, &name)?;
        let base = state.head.commit().unwrap_or(repository.empty_tree());
        let diff = [
            "diff-tree",
            "-p",
            "--binary",
            "--full-index",
            "--no-ext-diff",
            "--no-textconv",
            base,
            &commit,
        ];
        let patch = repository.run(&repository.git(diff), "write a patch")?;
        let status = repository.run(
            &repository.git(["status", "--porcelain=v2", "--branch", "--ignore-submodules=all"]),
            "ask for the status",
        )?;
        let mut held = Held {
            state,
            commit,
            r#ref: name,
            history: None,
        };
        let mut not_kept = Vec::new();
        let bundles = if self.bundles {
            bundle::capture(&repository, &mut held, slot).or_else(|error| {
                if cx.stop.is_asked() {
                    return Err(error);
                }
                not_kept.push(format!(
                    "the repository's history outside of the repository: {}",
                    cx.redaction.clean(&text::chain(&error))
                ));
                Ok(Vec::new())
            })?
        } else {
            Vec::new()
        };
        let shown = serde_json::to_vec_pretty(&held)
            .map_err(|error| ResourceError::because("could not describe the work tree", error))?;
        let mut files = vec![
            slot.keep_bytes(&shown, "head.json")?,
            slot.keep_bytes(&status.stdout, "status.txt")?,
            slot.keep_bytes(&patch.stdout, "local.patch")?,
        ];
        files.extend(bundles);
        let local = status
            .stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
            .count();
        let local = text::plural(local as u64, "local change");
        Ok(Artifact {
            not_kept,
            ..self.artifact(&repository, &held, files, &local)?
        })
    }
}
