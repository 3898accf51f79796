//! What `guard check` says of a work tree.

use super::Git;
use super::journey::unlocked;
use super::repository::Repository;
use super::snapshot::{self, Head, Store};
use crate::model::text;
use crate::resources::{ResourceError, Result, Survey};
use crate::system::context::Context;
use crate::system::disk;

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
    let repository = match Repository::open(&git.directory, cx) {
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
    let state = snapshot::look(&repository, Store::Aside, None)?;
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
    let local = repository.ask(
        ["status", "--porcelain", "--ignore-submodules=all"],
        "ask for local changes",
    )?;
    let local = local.lines().count() as u64;
    if local > 0 {
        survey.fact(format!(
            "{} in the work tree, kept in the snapshot",
            text::plural(local, "local change")
        ));
    }
    let listed = repository.ask(["ls-files", "--stage"], "list the files")?;
    let modules: Vec<&str> = listed
        .lines()
        .filter(|line| line.starts_with("160000"))
        .filter_map(|line| line.split_once('\t'))
        .map(|(_, path)| path)
        .collect();
    if !modules.is_empty() {
        survey.warn(
            format!("the submodules {} are recorded by commit only", modules.join(", ")),
            "a rollback across a change of a submodule is refused rather than done in part; give each its own `kind = \"git\"` with `path`",
        );
    }
    Ok(())
}

/// The first digits of a commit, for people.
pub(super) fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}
