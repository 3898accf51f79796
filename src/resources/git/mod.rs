//! The git work tree: commit, branch, index and files, held as a snapshot in the repository itself.

mod adopt;
mod bundle;
mod journey;
mod record;
mod repository;
mod snapshot;
mod survey;
mod work;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use self::record::{Held, back, held, value};
use self::repository::Repository;
use self::snapshot::Store;
use super::{Built, Kind, Resource, ResourceError, Result, Site, Slot, Survey};
use crate::model::artifact::{Artifact, Displaced, Live, Prepared, Work};
use crate::model::fingerprint::Fingerprint;
use crate::model::foreign::{Material, Part};
use crate::model::name::ResourceName;
use crate::model::plan::StageName;
use crate::model::policy::DataRestore;
use crate::model::section::Section;
use crate::system::context::Context;

/// `kind = "git"`.
pub(super) const KIND: Kind = Kind {
    key: "git",
    about: "the git work tree: commit, branch, index, changed and untracked files; ignored files are left alone",
    captured_in: StageName::Surroundings,
    restored_in: StageName::Code,
    build,
};

/// The keys: `path`, a directory in the work tree, the project's own where it is not given; `bundle`, whether the backup
/// holds the repository's history as well, so that it outlives the repository.
#[expect(clippy::unnecessary_wraps, reason = "the signature of every kind")]
fn build(name: ResourceName, section: &mut Section<'_>, site: &Site) -> Built {
    let path = section.path("path").unwrap_or_default();
    Some(Box::new(Git {
        name,
        directory: site.directory.join(path),
        bundles: section.flag("bundle").unwrap_or(true),
    }))
}

/// A work tree.
pub(super) struct Git {
    name: ResourceName,
    directory: PathBuf,
    /// Whether backups hold what the repository holds for them.
    bundles: bool,
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
        self.copied(slot, cx)
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
            history: None,
        };
        let shown = serde_json::to_vec_pretty(&held)
            .map_err(|error| ResourceError::because("could not describe the work tree", error))?;
        let files = vec![slot.keep_bytes(&shown, "head.json")?];
        self.artifact(&repository, &held, files, "as written down by hand")
    }

    fn prove(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        slot.compare(artifact)?;
        let held = held(artifact)?;
        let has_all = Repository::open(&self.directory, cx).and_then(|repository| Self::lacks(&repository, &held));
        match has_all {
            Ok(None) => Ok(()),
            _ if bundle::has_any(artifact) => bundle::rehearse(artifact, slot, cx),
            _ => self.proven(artifact, slot, cx).map(drop),
        }
    }

    fn rehearse(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        self.prove(artifact, slot, cx)?;
        if bundle::has_any(artifact) {
            bundle::rehearse(artifact, slot, cx)?;
        }
        Ok(())
    }

    fn secure(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Vec<String>> {
        let held = held(artifact)?;
        let repository = Repository::open(&self.directory, cx)?;
        let is_held = repository.commit(&held.r#ref)?.as_ref() == Some(&held.commit);
        if is_held && Self::lacks(&repository, &held)?.is_none() {
            return Ok(Vec::new());
        }
        self.proven(artifact, slot, cx)?;
        let words = ["update-ref", "--no-deref", "-m", "guard", &held.r#ref, &held.commit];
        repository.ask(words, "hold a snapshot")?;
        Ok(vec![
            "the snapshot was removed from the repository; it is held there again".to_owned(),
        ])
    }

    fn prepare(&self, artifact: &Artifact, slot: &Slot, _data: DataRestore, cx: &Context) -> Result<Prepared> {
        slot.compare(artifact)?;
        let held = self.proven(artifact, slot, cx)?;
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

    fn live_release(&self, cx: &Context) -> Result<BTreeMap<String, String>> {
        let repository = Repository::open(&self.directory, cx)?;
        let commit = repository.ask(["rev-parse", "--verify", "--quiet", "HEAD"], "ask for the commit");
        // A branch without a commit has no release on it.
        let commit = commit.ok();
        let release = commit.map(|commit| ("work tree".to_owned(), format!("commit {}", commit.trim())));
        Ok(release.into_iter().collect())
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
