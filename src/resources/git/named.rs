//! A release by its name in git: a tag, a branch, or a commit.

use super::repository::Repository;
use crate::error::Result;
use guard_model::foreign::{NamedRelease, Naming};
use guard_model::text;

/// Where a name of git may stand, and what it is called there.
const PLACES: [(&str, &str); 3] = [
    ("tag", "refs/tags/"),
    ("branch", "refs/heads/"),
    ("branch of origin", "refs/remotes/origin/"),
];

/// The release of this name.
///
/// # Errors
/// git does not answer.
pub(super) fn release(repository: &Repository<'_>, name: &str) -> Result<Naming> {
    let mut found: Vec<(String, String, Option<String>)> = Vec::new();
    for (what, place) in PLACES {
        let Some(commit) = repository.commit(&format!("{place}{name}"))? else {
            continue;
        };
        let branch = (what == "branch").then(|| name.to_owned());
        // A branch is at its remote's commit, or is another one.
        if !found.iter().any(|(_, known, _)| *known == commit) {
            found.push((format!("{what} {name}"), commit, branch));
        }
    }
    if found.is_empty() && name == "HEAD" {
        found.extend(
            repository
                .commit("HEAD")?
                .map(|commit| ("HEAD".to_owned(), commit, None)),
        );
    }
    if found.is_empty() {
        for commit in of_digits(repository, name)? {
            found.push((format!("commit {commit}"), commit, None));
        }
    }
    let shown = |commit: &str| -> Result<String> {
        let told = repository.ask(["log", "-1", "--format=%h %s", commit], "look at a commit")?;
        Ok(text::shortened(&text::sanitised(told.trim()), 72))
    };
    match found.as_slice() {
        [] => {
            let tags = repository.ask(["tag", "--sort=-creatordate"], "list the tags")?;
            let branches = repository.ask(["branch", "--format=%(refname:short)"], "list the branches")?;
            let names = tags.lines().chain(branches.lines()).map(str::to_owned);
            Ok(Naming::Unknown(names.filter(|name| !name.is_empty()).collect()))
        }
        [(what, commit, branch)] => {
            let mut names = Vec::new();
            if what.starts_with("tag ") {
                names.push(name.to_owned());
            }
            let tags = repository.find(["tag", "--points-at", commit], "ask for the tags")?;
            names.extend(tags.unwrap_or_default().lines().map(str::to_owned));
            names.retain(|name| !name.is_empty());
            names.dedup();
            Ok(Naming::Release(NamedRelease {
                commit: commit.clone(),
                names,
                branch: branch.clone(),
                shown: shown(commit)?,
            }))
        }
        several => {
            let told = several
                .iter()
                .map(|(what, commit, _)| -> Result<String> { Ok(format!("{what} ({})", shown(commit)?)) });
            Ok(Naming::Several(told.collect::<Result<_>>()?))
        }
    }
}

/// The commits whose ids begin with these digits.
fn of_digits(repository: &Repository<'_>, name: &str) -> Result<Vec<String>> {
    let is_id = (4..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_id {
        return Ok(Vec::new());
    }
    let ids = repository.find(["rev-parse", &format!("--disambiguate={name}")], "look for a commit")?;
    let mut commits = Vec::new();
    for id in ids.unwrap_or_default().lines() {
        if let Some(commit) = repository.commit(id)?
            && commit == id
        {
            commits.push(commit);
        }
    }
    Ok(commits)
}
