//! The acts of a work tree that several promises share: holding it and what is inside, finding it whole, going to it.

use std::path::{Path, PathBuf};

use super::aside::Aside;
use super::checkout::{Git, KEY};
use super::ground::{Ground, path as path_of};
use super::record::{Back, Held, Inner, held, value};
use super::repository::Repository;
use super::snapshot::{self, Head, Looked, State, Store};
use super::survey::short;
use super::{bundle, journey, place};
use crate::error::{ResourceError, Result};
use crate::names::{escaped, unescaped};
use crate::slot::Slot;
use guard_model::artifact::{Artifact, Displaced, FileEntry};
use guard_model::event::Level;
use guard_model::fingerprint::Fingerprint;
use guard_model::text;
use guard_system::context::Context;
use guard_system::disk::{self, At, sha256_hex};

/// What a capture gathers beside the snapshot.
#[derive(Default)]
struct Gathered {
    files: Vec<FileEntry>,
    not_kept: Vec<String>,
}

/// What a journey goes to: a state, and those of the work trees inside.
struct Goal<'g> {
    state: &'g State,
    nested: Vec<(&'g str, Goal<'g>)>,
    /// What a journey that is undone has moved aside.
    aside: Option<&'g str>,
}

impl<'g> Goal<'g> {
    fn of(held: &'g Held) -> Self {
        let nested = held.nested.iter();
        Self {
            state: &held.state,
            nested: nested
                .map(|inner| (inner.path.as_str(), Self::of(&inner.held)))
                .collect(),
            aside: None,
        }
    }

    fn before(back: &'g Back) -> Self {
        let nested = back.nested.iter();
        Self {
            state: &back.state,
            nested: nested.map(|(path, back)| (path.as_str(), Self::before(back))).collect(),
            aside: Some(&back.r#ref),
        }
    }
}

/// Where a work tree inside of another one is.
fn inside(top: &Path, path: &str) -> Result<PathBuf> {
    let path = unescaped(path).ok_or_else(|| ResourceError::bad_copy("the path of a work tree is not understood"))?;
    Ok(top.join(path_of(&path)))
}

impl Git {
    /// The repository at the declared place.
    pub(super) fn repository<'c>(&self, cx: &'c Context) -> Result<Repository<'c>> {
        Ok(Repository::open(&self.directory, cx)?.beside(&self.others))
    }

    /// The directory of a copy's work tree: where the links led when it was made, else the declared one.
    pub(super) fn directory_of(&self, held: &Held) -> PathBuf {
        held.place.clone().unwrap_or_else(|| self.directory.clone())
    }

    fn repository_of<'c>(&self, held: &Held, cx: &'c Context) -> Result<Repository<'c>> {
        Ok(Repository::open(&self.directory_of(held), cx)?.beside(&self.others))
    }

    /// The directory of refs of this resource in this run. A `.` in a name could make a name that git forbids.
    pub(super) fn refs(&self, cx: &Context) -> String {
        format!("refs/guard/{}/{}", cx.token(), self.name.as_str().replace('.', "_"))
    }

    /// The first commit that a repository does not hold whole.
    pub(super) fn lacks(repository: &Repository<'_>, held: &Held) -> Result<Option<String>> {
        let commits = std::iter::once(held.commit.as_str()).chain(held.state.head.commit());
        let commits: Vec<&str> = commits.collect();
        if snapshot::are_whole(repository, &commits)? {
            return Ok(None);
        }
        for commit in commits {
            if !snapshot::is_whole(repository, commit)? {
                return Ok(Some(commit.to_owned()));
            }
        }
        Ok(None)
    }

    /// What a look tells of a work tree, and of those inside.
    pub(super) fn print(&self, repository: &Repository<'_>, looked: &Looked) -> Fingerprint {
        let mut print = looked.state.fingerprint();
        for path in &looked.content.nested {
            let place = repository.top.join(path_of(path));
            let inner = Repository::inside(&place, repository.cx()).map(|inner| inner.beside(&self.others));
            let inner = inner.and_then(|inner| {
                let looked = snapshot::look(&inner, Store::Aside, None)?;
                Ok(self.print(&inner, &looked))
            });
            // One that git refuses is named by the survey and by the backup.
            if let Ok(inner) = inner {
                let parts: Vec<String> = inner.parts().map(|(name, value)| format!("{name}={value}")).collect();
                print = print.with(
                    format!("checkout {}", escaped(path)),
                    sha256_hex(parts.join("\n").as_bytes()),
                );
            }
        }
        print
    }

    pub(super) fn now(&self, cx: &Context) -> Result<Fingerprint> {
        self.now_in(&self.repository(cx)?)
    }

    fn now_in(&self, repository: &Repository<'_>) -> Result<Fingerprint> {
        let looked = snapshot::look(repository, Store::Aside, None)?;
        let print = self.print(repository, &looked);
        let links = place::links(&self.project, &self.directory)?;
        Ok(if links.is_empty() {
            print
        } else {
            print.with("link", place::told(&links))
        })
    }

    /// How what is live differs from a copy: by its parts, and by directories with nothing in them that are gone.
    pub(super) fn differences(&self, artifact: &Artifact, cx: &Context) -> Result<Vec<String>> {
        let repository = self.repository(cx)?;
        let mut parts = snapshot::differences(&self.now_in(&repository)?, &artifact.fingerprint);
        let held = held(artifact)?;
        if let Ok(Some(wear)) = snapshot::worn(&repository, &held.state) {
            let ground = Ground::open(&repository.top).at("open", &repository.top)?;
            let is_gone = |path: &Vec<u8>| ground.look(path).is_ok_and(|seen| seen.is_none());
            if wear.empty().iter().any(is_gone) {
                parts.push("directories".to_owned());
            }
        }
        Ok(parts)
    }

    /// Sees to it that a repository holds a snapshot: as it is, else out of the backup. A directory without a repository
    /// becomes an empty one.
    fn made_whole<'c>(
        directory: &Path,
        held: &Held,
        (artifact, slot): (&Artifact, &Slot),
        cx: &'c Context,
    ) -> Result<Repository<'c>> {
        let has_bundles = bundle::has_any(artifact, held);
        if has_bundles && !directory.is_dir() && !disk::exists(directory)? {
            std::fs::create_dir_all(directory).at("create", directory)?;
            cx.note(
                Level::Info,
                format!("{} was gone; it is made anew", directory.display()),
            );
        }
        let repository = if has_bundles && Repository::is_missing(directory, cx) {
            let note = format!("{} is no git repository; it becomes one", directory.display());
            cx.note(Level::Info, note);
            Repository::init(directory, held.commit.len() > 40, cx)?
        } else {
            Repository::open(directory, cx)?
        };
        let Some(commit) = Self::lacks(&repository, held)? else {
            return Ok(repository);
        };
        if has_bundles {
            bundle::unpack(&repository, artifact, held, slot)?;
            return Ok(repository);
        }
        let what = format!(
            "the repository no longer holds {} whole, which the backup needs",
            short(&commit)
        );
        Err(ResourceError::bad_copy(what)
            .with_hint("fetch it, or put the code back by hand from the patch in the backup"))
    }

    /// The same for this resource's own work tree.
    pub(super) fn proven(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Held> {
        let held = held(artifact)?;
        Self::made_whole(&self.directory_of(&held), &held, (artifact, slot), cx)?;
        Ok(held)
    }

    /// Holds again what the deploy command took out of a repository, and of those inside.
    pub(super) fn held_again(
        directory: &Path,
        held: &Held,
        copy: (&Artifact, &Slot),
        told: &mut Vec<String>,
        cx: &Context,
    ) -> Result<()> {
        let was = Repository::open(directory, cx).and_then(|found| found.commit(&held.r#ref));
        let is_held = was.is_ok_and(|was| was.as_ref() == Some(&held.commit));
        let repository = Self::made_whole(directory, held, copy, cx)?;
        if !is_held {
            let words = ["update-ref", "--no-deref", "-m", "guard", &held.r#ref, &held.commit];
            repository.ask(words, "hold a snapshot")?;
        }
        if !is_held {
            told.push(format!(
                "the snapshot was removed from the repository {}; it is held there again",
                directory.display()
            ));
        }
        for inner in &held.nested {
            let place = inside(&repository.top, &inner.path)?;
            // What is gone is made anew on the way back, out of the backup.
            if Repository::inside(&place, cx).is_ok()
                && let Err(error) = Self::held_again(&place, &inner.held, copy, told, cx)
            {
                cx.note(Level::Warn, text::chain(&error));
            }
        }
        Ok(())
    }

    /// Whether a copy is whole without the repositories, or by them.
    pub(super) fn is_sound(
        directory: &Path,
        held: &Held,
        (artifact, slot): (&Artifact, &Slot),
        cx: &Context,
    ) -> Result<()> {
        let has_all = Repository::open(directory, cx).and_then(|repository| Self::lacks(&repository, held));
        match has_all {
            Ok(None) => {}
            _ if bundle::has_any(artifact, held) => bundle::rehearse(artifact, held, slot, cx)?,
            _ => drop(Self::made_whole(directory, held, (artifact, slot), cx)?),
        }
        for inner in &held.nested {
            Self::is_sound(&inside(directory, &inner.path)?, &inner.held, (artifact, slot), cx)?;
        }
        Ok(())
    }

    /// Unpacks all bundles of a copy beside everything else.
    pub(super) fn unpacks(held: &Held, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        if bundle::has_any(artifact, held) {
            bundle::rehearse(artifact, held, slot, cx)?;
        }
        for inner in &held.nested {
            Self::unpacks(&inner.held, artifact, slot, cx)?;
        }
        Ok(())
    }

    pub(super) fn artifact(
        &self,
        repository: &Repository<'_>,
        held: &Held,
        fingerprint: Fingerprint,
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
            kind: KEY.to_owned(),
            fingerprint,
            files,
            details: value(held)?,
            summary: format!("{place}, {about}"),
            not_kept: Vec::new(),
            tools: vec![("git".to_owned(), version.trim_start_matches("git version ").to_owned())],
        })
    }

    /// Goes to a goal, the work trees inside after the one around them. One that git refuses keeps the others from nothing:
    /// what failed is told at the end.
    fn travel(
        &self,
        repository: &Repository<'_>,
        goal: &Goal<'_>,
        displaced: &str,
        make: &dyn Fn(&str, &Path) -> Result<()>,
        failed: &mut Vec<String>,
    ) -> Result<Back> {
        let state = journey::go(repository, goal.state, displaced)?;
        if let Some(aside) = goal.aside {
            let ground = Ground::open(&repository.top).at("open", &repository.top)?;
            Aside::of(repository, aside)?.put_back(&ground)?;
        }
        let mut nested = Vec::new();
        for (path, goal) in &goal.nested {
            let gone = || -> Result<Back> {
                let place = inside(&repository.top, path)?;
                if Repository::inside(&place, repository.cx()).is_err() {
                    make(path, &place)?;
                }
                let inner = Repository::inside(&place, repository.cx())?.beside(&self.others);
                self.travel(&inner, goal, displaced, make, &mut Vec::new())
            };
            match gone() {
                Ok(back) => nested.push(((*path).to_owned(), back)),
                Err(error) => failed.push(format!("the checkout in {path}: {}", text::chain(&error))),
            }
        }
        Ok(Back {
            state,
            r#ref: displaced.to_owned(),
            nested,
            links: Vec::new(),
            place: None,
        })
    }

    fn displaced(&self, repository: &Repository<'_>, back: &Back) -> Result<Displaced> {
        let mut kept_as = vec![format!("git ref {}", back.r#ref)];
        kept_as.extend(Aside::of(repository, &back.r#ref)?.told()?);
        Ok(Displaced {
            resource: self.name.clone(),
            details: value(back)?,
            kept_as,
        })
    }

    /// What the links led to before this journey; written down before the first of them changes.
    fn links_before(repository: &Repository<'_>, displaced: &str, links: &[place::Link]) -> Result<Vec<place::Link>> {
        if links.is_empty() {
            return Ok(Vec::new());
        }
        let now = place::now(links)?;
        Aside::of(repository, displaced)?.noted("links.json", &now)
    }

    /// Puts a copy back.
    pub(super) fn go_back(&self, artifact: &Artifact, slot: &Slot, displaced: &str, cx: &Context) -> Result<Displaced> {
        let held = held(artifact)?;
        let repository = self.repository_of(&held, cx)?;
        let links = Self::links_before(&repository, displaced, &held.links)?;
        let make = |path: &str, place: &Path| Self::make_inner(&held, path, place, (artifact, slot), cx);
        let mut failed = Vec::new();
        let mut back = self.travel(&repository, &Goal::of(&held), displaced, &make, &mut failed)?;
        if !links.is_empty() {
            place::put(&held.links, &cx.token())?;
            (back.links, back.place) = (links, Some(repository.top.clone()));
        }
        Self::all_went(&failed)?;
        self.displaced(&repository, &back)
    }

    /// Goes back to what a journey displaced.
    pub(super) fn go_before(&self, back: &Back, cx: &Context) -> Result<Displaced> {
        let directory = back.place.clone().unwrap_or_else(|| self.directory.clone());
        let repository = Repository::open(&directory, cx)?.beside(&self.others);
        let displaced = format!("{}-undone", back.r#ref);
        let links = Self::links_before(&repository, &displaced, &back.links)?;
        let make =
            |_: &str, place: &Path| Err(ResourceError::new(format!("{} is not there any more", place.display())));
        let mut failed = Vec::new();
        let mut undone = self.travel(&repository, &Goal::before(back), &displaced, &make, &mut failed)?;
        if !links.is_empty() {
            place::put(&back.links, &cx.token())?;
            (undone.links, undone.place) = (links, Some(repository.top.clone()));
        }
        Self::all_went(&failed)?;
        self.displaced(&repository, &undone)
    }

    fn all_went(failed: &[String]) -> Result<()> {
        if failed.is_empty() {
            return Ok(());
        }
        Err(ResourceError::new(format!(
            "not all work trees inside were put back: {}",
            failed.join("; ")
        ))
        .with_hint("correct that, then run `guard resume`: all others are back"))
    }

    /// Makes the repository of a work tree inside anew.
    fn make_inner(held: &Held, path: &str, place: &Path, copy: (&Artifact, &Slot), cx: &Context) -> Result<()> {
        let Some(inner) = held.nested.iter().find(|inner| inner.path == path) else {
            // One further down: its own parent has told of it.
            let deeper = held
                .nested
                .iter()
                .find_map(|inner| Self::make_inner(&inner.held, path, place, copy, cx).ok());
            return deeper.ok_or_else(|| ResourceError::new(format!("{} is not there any more", place.display())));
        };
        if !disk::exists(place)? {
            std::fs::create_dir_all(place).at("create", place)?;
        }
        let file = place.join(".git");
        if let Some(link) = &inner.link
            && let Some(target) = link.strip_prefix("gitdir: ")
            && place.join(target.trim_end()).is_dir()
            && !disk::exists(&file)?
        {
            disk::write_whole(&file, link.as_bytes())?;
            disk::set_mode(&file, 0o644)?;
        }
        if Repository::inside(place, cx).is_err() {
            if !bundle::has_any(copy.0, &inner.held) {
                return Err(ResourceError::new(format!(
                    "{} is gone, and the backup has no copy of it",
                    place.display()
                )));
            }
            Repository::init(place, inner.held.commit.len() > 40, cx)?;
        }
        Self::made_whole(place, &inner.held, copy, cx).map(drop)
    }

    /// Holds what is there in the repository, and those inside.
    fn hold(
        &self,
        repository: &Repository<'_>,
        bundles: String,
        (slot, cx): (&Slot, &Context),
        gathered: &mut Gathered,
    ) -> Result<(Held, Looked)> {
        journey::unlocked(repository)?;
        let looked = snapshot::look(repository, Store::Repository, None)?;
        if looked.state.staged.is_none() {
            return Err(
                ResourceError::new(format!("the index of {} holds conflicts", repository.top.display()))
                    .with_hint("resolve them and `git add` the files"),
            );
        }
        let name = format!("{}/snapshot", self.refs(cx));
        let commit = snapshot::hold(repository, &looked.state, &name)?;
        let mut held = Held {
            state: looked.state.clone(),
            commit,
            r#ref: name,
            history: None,
            bundles,
            nested: Vec::new(),
            links: Vec::new(),
            place: None,
        };
        if self.bundles {
            match bundle::capture(repository, &mut held, slot) {
                Ok(files) => gathered.files.extend(files),
                Err(error) if cx.stop.is_asked() => return Err(error),
                Err(error) => gathered.not_kept.push(format!(
                    "the history of {} outside of the repository: {}",
                    repository.top.display(),
                    cx.redaction.clean(&text::chain(&error))
                )),
            }
        }
        for (number, path) in looked.content.nested.iter().enumerate() {
            let place = repository.top.join(path_of(path));
            let bundles = format!("{}inside-{number}-", held.bundles);
            let inner = Repository::inside(&place, cx).map(|inner| inner.beside(&self.others));
            match inner.and_then(|inner| self.hold(&inner, bundles, (slot, cx), gathered)) {
                Ok((inner, _)) => held.nested.push(Inner {
                    path: escaped(path),
                    link: disk::read_text_optional(&place.join(".git")).ok().flatten(),
                    held: inner,
                }),
                Err(error) if cx.stop.is_asked() => return Err(error),
                Err(error) => gathered.not_kept.push(format!(
                    "the checkout in {}: {}",
                    escaped(path),
                    cx.redaction.clean(&text::chain(&error))
                )),
            }
        }
        Ok((held, looked))
    }

    /// Holds what is there in the repository, and writes what tells of it into the slot.
    pub(super) fn copied(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let repository = self.repository(cx)?;
        let mut gathered = Gathered::default();
        let (mut held, looked) = self.hold(&repository, String::new(), (slot, cx), &mut gathered)?;
        held.links = place::links(&self.project, &self.directory)?;
        if !held.links.is_empty() {
            let real = std::fs::canonicalize(&self.directory).at("look at", &self.directory)?;
            held.place = Some(real);
        }
        let base = held.state.head.commit().unwrap_or(repository.empty_tree());
        let diff = [
            "diff-tree",
            "-p",
            "--binary",
            "--full-index",
            "--no-ext-diff",
            "--no-textconv",
            base,
            &held.commit,
        ];
        let patch = if looked.is_committed {
            Vec::new()
        } else {
            repository.run(&repository.git(diff), "write a patch")?.stdout
        };
        let status = repository.run(
            &repository.git(["status", "--porcelain=v2", "--branch", "--ignore-submodules=all"]),
            "ask for the status",
        )?;
        let shown = serde_json::to_vec_pretty(&held)
            .map_err(|error| ResourceError::because("could not describe the work tree", error))?;
        let mut files = vec![
            slot.keep_bytes(&shown, "head.json")?,
            slot.keep_bytes(&status.stdout, "status.txt")?,
            slot.keep_bytes(&patch, "local.patch")?,
        ];
        files.extend(gathered.files);
        let local = status
            .stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
            .count();
        let mut about = text::plural(local as u64, "local change");
        if !held.nested.is_empty() {
            about = format!("{about}, {} inside", text::plural(held.nested.len() as u64, "checkout"));
        }
        let mut print = self.print(&repository, &looked);
        if !held.links.is_empty() {
            print = print.with("link", place::told(&held.links));
        }
        Ok(Artifact {
            not_kept: gathered.not_kept,
            ..self.artifact(&repository, &held, print, files, &about)?
        })
    }
}
