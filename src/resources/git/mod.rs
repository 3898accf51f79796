//! The git work tree: commit, branch, index and files, held as a snapshot in the repository itself.

mod adopt;
mod journey;
mod record;
mod repository;
mod snapshot;
mod survey;

use std::path::PathBuf;

use serde_json::Value;

use self::record::{Back, Held, back, held, value};
use self::repository::Repository;
use self::snapshot::{Head, State, Store};
use self::survey::short;
use super::{Built, Kind, Resource, ResourceError, Result, Site, Slot, Survey};
use crate::model::artifact::{Artifact, Displaced, FileEntry, Live, Prepared, Work};
use crate::model::fingerprint::Fingerprint;
use crate::model::foreign::{Material, Part};
use crate::model::name::ResourceName;
use crate::model::plan::StageName;
use crate::model::policy::DataRestore;
use crate::model::section::Section;
use crate::model::text;
use crate::system::context::Context;

/// `kind = "git"`.
pub(super) const KIND: Kind = Kind {
    key: "git",
    about: "the git work tree: commit, branch, index, changed and untracked files; ignored files are left alone",
    captured_in: StageName::Surroundings,
    restored_in: StageName::Code,
    build,
};

/// The key: `path`, a directory in the work tree; the project's own where it is not given.
#[expect(clippy::unnecessary_wraps, reason = "the signature of every kind")]
fn build(name: ResourceName, section: &mut Section<'_>, site: &Site) -> Built {
    let path = section.path("path").unwrap_or_default();
    Some(Box::new(Git {
        name,
        directory: site.directory.join(path),
    }))
}

/// A work tree.
pub(super) struct Git {
    name: ResourceName,
    directory: PathBuf,
}

impl Git {
    /// The directory of refs of this resource in this run. A `.` in a name could make a name that git forbids.
    fn refs(&self, cx: &Context) -> String {
        format!("refs/guard/{}/{}", cx.token(), self.name.as_str().replace('.', "_"))
    }

    fn proven(&self, artifact: &Artifact, cx: &Context) -> Result<Held> {
        let held = held(artifact)?;
        let repository = Repository::open(&self.directory, cx)?;
        for commit in [Some(held.commit.as_str()), held.state.head.commit()]
            .into_iter()
            .flatten()
        {
            if !snapshot::is_whole(&repository, commit)? {
                let what = format!(
                    "the repository no longer holds {} whole, which the backup needs",
                    short(commit)
                );
                return Err(ResourceError::bad_copy(what)
                    .with_hint("fetch it, or put the code back by hand from the patch in the backup"));
            }
        }
        Ok(held)
    }

    fn artifact(
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
            kind: KIND.key.to_owned(),
            fingerprint: held.state.fingerprint(),
            files,
            details: value(held)?,
            summary: format!("{place}, {about}"),
            not_kept: Vec::new(),
            tools: vec![("git".to_owned(), version.trim_start_matches("git version ").to_owned())],
        })
    }

    fn go(&self, to: &State, displaced: &str, cx: &Context) -> Result<Displaced> {
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
}

impl Resource for Git {
    fn name(&self) -> &ResourceName {
        &self.name
    }

    fn survey(&self, cx: &Context) -> Survey {
        survey::survey(self, cx)
    }

    fn fingerprint(&self, cx: &Context) -> Result<Fingerprint> {
        let repository = Repository::open(&self.directory, cx)?;
        Ok(snapshot::look(&repository, Store::Aside, None)?.fingerprint())
    }

    fn capture(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
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
        let held = Held {
            state,
            commit,
            r#ref: name,
        };
        let shown = serde_json::to_vec_pretty(&held)
            .map_err(|error| ResourceError::because("could not describe the work tree", error))?;
        let files = vec![
            slot.keep_bytes(&shown, "head.json")?,
            slot.keep_bytes(&status.stdout, "status.txt")?,
            slot.keep_bytes(&patch.stdout, "local.patch")?,
        ];
        let local = status
            .stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
            .count();
        let local = text::plural(local as u64, "local change");
        self.artifact(&repository, &held, files, &local)
    }

    fn adopt(&self, material: &Material, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let Part::Commit { commit, branch } = &material.part else {
            return Err(ResourceError::new(format!("{} takes only a commit", self.name)));
        };
        let repository = Repository::open(&self.directory, cx)?;
        journey::unlocked(&repository)?;
        let state = adopt::state(&repository, commit, branch.as_deref())?;
        let name = format!("{}/snapshot", self.refs(cx));
        let commit = snapshot::hold(&repository, &state, &name)?;
        let held = Held {
            state,
            commit,
            r#ref: name,
        };
        let shown = serde_json::to_vec_pretty(&held)
            .map_err(|error| ResourceError::because("could not describe the work tree", error))?;
        let files = vec![slot.keep_bytes(&shown, "head.json")?];
        self.artifact(&repository, &held, files, "as written down by hand")
    }

    fn prove(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        slot.compare(artifact)?;
        self.proven(artifact, cx).map(drop)
    }

    fn prepare(&self, artifact: &Artifact, slot: &Slot, _data: DataRestore, cx: &Context) -> Result<Prepared> {
        slot.compare(artifact)?;
        let held = self.proven(artifact, cx)?;
        let repository = Repository::open(&self.directory, cx)?;
        journey::unlocked(&repository)?;
        let now = snapshot::look(&repository, Store::Repository, None)?;
        let parts = now.fingerprint().differences(&artifact.fingerprint);
        let modules = journey::moved_submodules(&repository, &now.files, &held.state.files)?;
        if !modules.is_empty() {
            return Err(ResourceError::new(format!(
                "the submodules {} have changed, which guard does not put back",
                modules.join(", ")
            ))
            .with_hint("check them out by hand, then run the same command again"));
        }
        let work = if parts.is_empty() {
            Work::Unchanged
        } else {
            Work::Changed(parts)
        };
        Ok(Prepared {
            resource: self.name.clone(),
            work,
            details: value(&held)?,
            price: Vec::new(),
        })
    }

    fn restore(&self, prepared: &Prepared, artifact: &Artifact, _slot: &Slot, cx: &Context) -> Result<Displaced> {
        if !prepared.work.is_needed() {
            return Ok(Displaced {
                resource: self.name.clone(),
                details: Value::Null,
                kept_as: Vec::new(),
            });
        }
        self.go(&held(artifact)?.state, &format!("{}/displaced", self.refs(cx)), cx)
    }

    fn check(&self, artifact: &Artifact, cx: &Context) -> Result<Live> {
        held(artifact)?;
        Ok(
            match self.fingerprint(cx).map(|now| now.differences(&artifact.fingerprint)) {
                Ok(parts) if parts.is_empty() => Live::Matches,
                Ok(parts) => Live::Differs(parts),
                Err(error) => Live::Unknown(error.to_string()),
            },
        )
    }

    fn undo(&self, displaced: &Displaced, cx: &Context) -> Result<Displaced> {
        if displaced.details.is_null() {
            return Ok(displaced.clone());
        }
        let back = back(displaced)?;
        self.go(&back.state, &format!("{}-undone", back.r#ref), cx)
    }

    fn release(&self, artifact: &Artifact, cx: &Context) -> Result<()> {
        let held = held(artifact)?;
        let repository = Repository::open(&self.directory, cx)?;
        repository
            .ask(["update-ref", "--no-deref", "-d", &held.r#ref], "let go of a snapshot")
            .map(drop)
    }

    fn forget(&self, displaced: &Displaced, cx: &Context) -> Result<()> {
        if displaced.details.is_null() {
            return Ok(());
        }
        let repository = Repository::open(&self.directory, cx)?;
        let name = back(displaced)?.r#ref;
        // What an undo, its undo, and repeats held beside it goes with it.
        let first = name.split_once("/displaced").map_or(name.as_str(), |(refs, _)| refs);
        let listed = repository.ask(["for-each-ref", "--format=%(refname)", first], "list guard's refs")?;
        for found in listed
            .lines()
            .filter(|found| found.starts_with(&format!("{first}/displaced")))
        {
            repository.ask(["update-ref", "--no-deref", "-d", found], "let go of a snapshot")?;
        }
        Ok(())
    }
}
