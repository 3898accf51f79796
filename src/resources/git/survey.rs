//! What `guard check` says of a work tree.

use std::path::Path;

use super::checkout::Git;
use super::ground::{path, shown};
use super::journey::unlocked;
use super::repository::Repository;
use super::snapshot::{self, Head, Looked, Store};
use crate::error::{ResourceError, Result};
use crate::survey::Survey;
use guard_model::text;
use guard_system::context::Context;
use guard_system::disk::{self, At};

/// Looks at a work tree, and says what is in the way.
pub(super) fn survey(git: &Git, cx: &Context) -> Survey {
    let mut survey = Survey::default();
    if let Err(error) = look(git, cx, &mut survey) {
        let mut what = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            what = format!("{what}: {cause}");
            source = cause.source();
        }
        survey.refuse(
            what,
            error
                .hint
                .unwrap_or_else(|| "correct that, then run `guard check` again".to_owned()),
        );
    }
    survey
}

/// Files in git's directory that say an operation is half done, and which.
const HALF_DONE: [(&str, &str); 5] = [
    ("MERGE_HEAD", "a merge"),
    ("rebase-merge", "a rebase"),
    ("rebase-apply", "a rebase"),
    ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ("REVERT_HEAD", "a revert"),
];

fn look(git: &Git, cx: &Context, survey: &mut Survey) -> Result<()> {
    let repository = match git.repository(cx) {
        Ok(repository) => repository,
        Err(error) => {
            survey.fact(format!(
                "{} is not a git work tree that guard may use",
                git.directory.display()
            ));
            return Err(error);
        }
    };
    unlocked(&repository)?;
    for (name, what) in HALF_DONE {
        if disk::exists(&repository.inner(name)?)? {
            survey.warn(
                format!("{what} is half done in {}", repository.top.display()),
                "finish or abort it: it does not come back with a rollback",
            );
        }
    }
    let looked = snapshot::look(&repository, Store::Aside, None)?;
    let state = &looked.state;
    if state.staged.is_none() {
        return Err(
            ResourceError::new(format!("the index of {} holds conflicts", repository.top.display()))
                .with_hint("resolve them and `git add` the files"),
        );
    }
    survey.fact(match &state.head {
        Head::Branch { name, commit } => format!("{} at {}", name.trim_start_matches("refs/heads/"), short(commit)),
        Head::Detached { commit } => format!("no branch, at {}", short(commit)),
        Head::Unborn { name } => format!("{} without a commit yet", name.trim_start_matches("refs/heads/")),
    });
    let local = if looked.is_committed {
        0
    } else {
        let words = ["status", "--porcelain", "--ignore-submodules=all"];
        repository.ask(words, "ask for local changes")?.lines().count() as u64
    };
    if local > 0 {
        survey.fact(format!(
            "{} in the work tree, kept in the snapshot",
            text::plural(local, "local change")
        ));
    }
    inner(git, &repository, &looked, survey);
    writable(&repository, &looked, survey)
}

/// Work trees of other repositories inside: kept and put back with this one, but for those that git refuses.
fn inner(git: &Git, repository: &Repository<'_>, looked: &Looked, survey: &mut Survey) {
    let mut kept: u64 = 0;
    for found in &looked.content.nested {
        let place = repository.top.join(path(found));
        let looked = Repository::inside(&place, repository.cx())
            .map(|inner| inner.beside(&git.others))
            .and_then(|inner| {
                unlocked(&inner)?;
                let looked = snapshot::look(&inner, Store::Aside, None)?;
                match looked.state.staged {
                    Some(_) => Ok(()),
                    None => Err(ResourceError::new("its index holds conflicts")),
                }
            });
        match looked {
            Ok(()) => kept += 1,
            Err(error) => survey.warn(
                format!("the checkout in {} is not kept: {}", shown(found), text::chain(&error)),
                "correct that, or let git ignore the directory; the rest of the work tree is kept",
            ),
        }
    }
    if kept > 0 {
        survey.fact(format!("{} inside, kept with it", text::plural(kept, "checkout")));
    }
}

/// Tries what a way back does: an object and a ref in the repository, and the right to write where files are.
fn writable(repository: &Repository<'_>, looked: &Looked, survey: &mut Survey) -> Result<()> {
    let room = repository.inner("guard-check")?;
    disk::create_private_dir(&room)?;
    std::fs::remove_dir(&room).at("remove", &room)?;
    for name in ["objects", "refs", "index"] {
        let place = repository.inner(name)?;
        if disk::exists(&place)? && !may_write(&place) {
            return Err(ResourceError::new(format!("{} cannot be written", place.display()))
                .with_hint("give it back to its owner, or run guard as the user that may write it"));
        }
    }
    let top = [Vec::new()];
    let directories = looked.content.directories.keys().chain(&top);
    let shut: Vec<String> = directories
        .filter(|directory| !may_write(&repository.top.join(path(directory))))
        .map(|directory| {
            if directory.is_empty() {
                ".".to_owned()
            } else {
                shown(directory)
            }
        })
        .collect();
    if let Some(first) = shut.first() {
        survey.refuse(
            format!(
                "{first}{} cannot be written: files in it could not be put back",
                if shut.len() > 1 {
                    format!(" and {} more", shut.len() - 1)
                } else {
                    String::new()
                }
            ),
            "give it back to its owner (`ls -ld`, `lsattr -d`), or run guard as a user that may write it",
        );
    }
    Ok(())
}

/// Whether this process may make and remove entries in a directory.
fn may_write(place: &Path) -> bool {
    rustix::fs::access(place, rustix::fs::Access::WRITE_OK).is_ok()
}

/// The first digits of a commit, for people.
pub(super) fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}
