//! The git work tree: commit, branch, index and files, held as a snapshot in the repository itself.

mod adopt;
mod aside;
mod bundle;
mod checkout;
mod content;
mod drill;
mod exchange;
mod ground;
mod journey;
mod named;
mod place;
mod record;
mod repository;
mod snapshot;
mod survey;
mod wear;
mod work;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use self::aside::Aside;
use self::checkout::{Git, KEY};
use self::record::{Back, Held, back, held, value};
use self::repository::Repository;
use crate::abilities::{Abilities, Adoption, CopyProof, Holdings, Location, Releases, Size};
use crate::contract::Resource;
use crate::definition::{Built, Kind, Site};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::survey::Survey;
use guard_model::artifact::{Artifact, Displaced, Live, Prepared, Work};
use guard_model::fingerprint::Fingerprint;
use guard_model::foreign::{Material, Naming, Part};
use guard_model::name::ResourceName;
use guard_model::plan::StageName;
use guard_model::policy::DataRestore;
use guard_model::section::Section;
use guard_model::text;
use guard_system::context::Context;
use guard_system::disk;

/// `kind = "git"`.
pub(super) const KIND: Kind = Kind {
    key: KEY,
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
        project: site.directory.clone(),
        others: site.checkouts.clone(),
        bundles: section.flag("bundle").unwrap_or(true),
    }))
}

impl Resource for Git {
    fn name(&self) -> &ResourceName {
        &self.name
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities {
            drills: Some(self),
            proof: Some(self),
            adoption: Some(self),
            holdings: Some(self),
            size: Some(self),
            location: Some(self),
            releases: Some(self),
            ..Abilities::default()
        }
    }

    fn survey(&self, cx: &Context) -> Survey {
        survey::survey(self, cx)
    }

    fn fingerprint(&self, cx: &Context) -> Result<Fingerprint> {
        self.now(cx)
    }

    fn capture(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        self.copied(slot, cx)
    }

    fn prepare(&self, artifact: &Artifact, slot: &Slot, _data: DataRestore, cx: &Context) -> Result<Prepared> {
        slot.compare(artifact)?;
        let held = self.proven(artifact, slot, cx)?;
        journey::unlocked(&Repository::open(&self.directory_of(&held), cx)?)?;
        place::now(&held.links)?;
        // Where the links lead nowhere now, all of it has to come back.
        let parts = match self.differences(artifact, cx) {
            Err(_) if !held.links.is_empty() => vec!["link".to_owned()],
            other => other?,
        };
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

    fn restore(&self, prepared: &Prepared, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Displaced> {
        if !prepared.work.is_needed() {
            return Ok(Displaced {
                resource: self.name.clone(),
                details: Value::Null,
                kept_as: Vec::new(),
            });
        }
        self.go_back(artifact, slot, &format!("{}/displaced", self.refs(cx)), cx)
    }

    fn check(&self, artifact: &Artifact, cx: &Context) -> Result<Live> {
        held(artifact)?;
        Ok(match self.differences(artifact, cx) {
            Ok(parts) if parts.is_empty() => Live::Matches,
            Ok(parts) => Live::Differs(parts),
            Err(error) => Live::Unknown(text::chain(&error)),
        })
    }

    fn undo(&self, displaced: &Displaced, cx: &Context) -> Result<Displaced> {
        if displaced.details.is_null() {
            return Ok(displaced.clone());
        }
        self.go_before(&back(displaced)?, cx)
    }

    fn forget(&self, displaced: &Displaced, cx: &Context) -> Result<()> {
        if displaced.details.is_null() {
            return Ok(());
        }
        let back = back(displaced)?;
        let directory = back.place.clone().unwrap_or_else(|| self.directory.clone());
        Self::forget_in(&directory, &back, cx)
    }
}

impl CopyProof for Git {
    fn prove(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        slot.compare(artifact)?;
        let held = held(artifact)?;
        Self::is_sound(&self.directory_of(&held), &held, (artifact, slot), cx)
    }

    fn rehearse(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        self.prove(artifact, slot, cx)?;
        Self::unpacks(&held(artifact)?, artifact, slot, cx)
    }
}

impl Adoption for Git {
    fn adopt(&self, material: &Material, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let Part::Commit { commit, branch } = &material.part else {
            return Err(ResourceError::new(format!("{} takes only a commit", self.name)));
        };
        let repository = self.repository(cx)?;
        journey::unlocked(&repository)?;
        let state = adopt::state(&repository, commit, branch.as_deref())?;
        let name = format!("{}/snapshot", self.refs(cx));
        let commit = snapshot::hold(&repository, &state, &name)?;
        let held = Held {
            state,
            commit,
            r#ref: name,
            history: None,
            bundles: String::new(),
            nested: Vec::new(),
            links: Vec::new(),
            place: None,
        };
        let shown = serde_json::to_vec_pretty(&held)
            .map_err(|error| ResourceError::because("could not describe the work tree", error))?;
        let files = vec![slot.keep_bytes(&shown, "head.json")?];
        let print = held.state.fingerprint();
        self.artifact(&repository, &held, print, files, "taken over by its commit")
    }
}

impl Holdings for Git {
    fn secure(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Vec<String>> {
        let held = held(artifact)?;
        let mut told = Vec::new();
        Self::held_again(&self.directory_of(&held), &held, (artifact, slot), &mut told, cx)?;
        Ok(told)
    }

    fn release(&self, artifact: &Artifact, cx: &Context) -> Result<()> {
        let held = held(artifact)?;
        Self::let_go(&self.directory_of(&held), &held, cx)
    }
}

impl Size for Git {
    fn weigh(&self, displaced: &Displaced, cx: &Context) -> Result<Option<u64>> {
        if displaced.details.is_null() {
            return Ok(None);
        }
        let back = back(displaced)?;
        let directory = back.place.clone().unwrap_or_else(|| self.directory.clone());
        let repository = Repository::open(&directory, cx)?;
        // What git holds shares its objects with the history; what was moved aside is a matter of its own.
        Ok(Some(Aside::of(&repository, &back.r#ref)?.weight()).filter(|bytes| *bytes > 0))
    }
}

impl Location for Git {
    fn grounds(&self, _: &Context) -> Vec<PathBuf> {
        vec![disk::real_path(&self.directory)]
    }
}

impl Releases for Git {
    fn live_release(&self, cx: &Context) -> Result<BTreeMap<String, String>> {
        let repository = Repository::open(&self.directory, cx)?;
        let commit = repository.ask(["rev-parse", "--verify", "--quiet", "HEAD"], "ask for the commit");
        // A branch without a commit has no release on it.
        let commit = commit.ok();
        let release = commit.map(|commit| ("work tree".to_owned(), format!("commit {}", commit.trim())));
        Ok(release.into_iter().collect())
    }

    fn shown_release(&self, cx: &Context) -> Vec<String> {
        let Ok(repository) = Repository::open(&self.directory, cx) else {
            return Vec::new();
        };
        let asked = repository.find(["log", "-1", "--format=%h %s", "HEAD"], "ask for the commit");
        let Ok(Some(commit)) = asked else { return Vec::new() };
        let tags = repository.find(["tag", "--points-at", "HEAD"], "ask for the tags");
        let tags = tags.ok().flatten().unwrap_or_default();
        let tags: Vec<&str> = tags.lines().filter(|tag| !tag.is_empty()).collect();
        let commit = guard_model::text::shortened(&guard_model::text::sanitised(commit.trim()), 72);
        let commit = cx.redaction.clean(&commit);
        vec![if tags.is_empty() {
            commit
        } else {
            format!("{commit} ({})", guard_model::text::sanitised(&tags.join(", ")))
        }]
    }

    fn release_called(&self, name: &str, cx: &Context) -> Result<Naming> {
        named::release(&Repository::open(&self.directory, cx)?, name)
    }
}

impl Git {
    fn let_go(directory: &Path, held: &Held, cx: &Context) -> Result<()> {
        if !directory.is_dir() || Repository::is_missing(directory, cx) {
            return Ok(());
        }
        let repository = Repository::open(directory, cx)?;
        for inner in &held.nested {
            let place = repository.top.join(&inner.path);
            // One that is gone, or that git refuses, holds up nobody.
            if Repository::inside(&place, cx).is_ok() {
                Self::let_go(&place, &inner.held, cx)?;
            }
        }
        let words = ["update-ref", "--no-deref", "-d", &held.r#ref];
        repository.ask(words, "let go of a snapshot").map(drop)
    }

    fn forget_in(directory: &Path, back: &Back, cx: &Context) -> Result<()> {
        if !directory.is_dir() || Repository::is_missing(directory, cx) {
            return Ok(());
        }
        let repository = Repository::open(directory, cx)?;
        for (path, inner) in &back.nested {
            let place = repository.top.join(path);
            if Repository::inside(&place, cx).is_ok() {
                Self::forget_in(&place, inner, cx)?;
            }
        }
        let name = &back.r#ref;
        // What an undo, its undo, and repeats held beside it goes with it.
        let first = name.split_once("/displaced").map_or(name.as_str(), |(refs, _)| refs);
        let listed = repository.ask(["for-each-ref", "--format=%(refname)", first], "list guard's refs")?;
        for found in listed
            .lines()
            .filter(|found| found.starts_with(&format!("{first}/displaced")))
        {
            repository.ask(["update-ref", "--no-deref", "-d", found], "let go of a snapshot")?;
        }
        Aside::of(&repository, &format!("{first}/displaced"))?.forget()
    }
}
