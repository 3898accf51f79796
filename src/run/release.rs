//! `guard rollback --to`: a release by its name, from what a backup recorded of it, else from git and the engine.

use std::collections::BTreeMap;

use crate::assembly::{Owned, places};
use crate::lifecycle::{NewRun, claim, start};
use crate::outcome::Refusal;
use crate::plan;
use crate::project::Project;
use crate::session::Session;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::foreign::{Material, NamedRelease, Naming, Part};
use guard_model::name::{ResourceName, RunKind, Timestamp};
use guard_model::plan::StageName;
use guard_model::setting::nearest_or_all;
use guard_model::text;
use guard_store::{Backup, Knowledge, Listed};

/// A release that was asked for by its name.
pub struct Wanted {
    /// As it was typed.
    pub name: String,
    /// What it is.
    pub release: NamedRelease,
    /// What is live now, by git.
    live: NamedRelease,
    /// The resource whose code it is.
    code: ResourceName,
}

fn unseen(error: &guard_resources::ResourceError) -> Refusal {
    Refusal::of_error(ExitCode::REFUSED, error)
}

/// The release of this name.
///
/// # Errors
/// No resource is a checkout, or more than one is; the name is unknown, of several releases, or a tag that was moved since a
/// backup was taken of it.
pub fn find(name: &str, resources: &[Owned], force: bool, project: &Project, program: &str) -> Result<Wanted, Refusal> {
    let codes: Vec<&Owned> = resources.iter().filter(|owned| owned.kind.key == "git").collect();
    let [code] = codes.as_slice() else {
        let names: Vec<String> = codes.iter().map(|owned| owned.resource.name().to_string()).collect();
        let what = if names.is_empty() {
            "a release is a commit, and no resource is of kind git".to_owned()
        } else {
            format!(
                "{} are of kind git, and a release is a commit of one",
                names.join(" and ")
            )
        };
        return Err(Refusal::new(ExitCode::USAGE, what).next("to see the backups", format!("{program} list")));
    };
    let in_git = |name: &str| {
        let (resource, cx) = code.resource.at(&project.cx);
        resource.release_called(name, &cx).map_err(|error| unseen(&error))
    };
    let mut found = in_git(name)?;
    // The name of an image says which commit it was built from.
    for owned in resources.iter().filter(|owned| owned.kind.key == "images") {
        let (resource, cx) = owned.resource.at(&project.cx);
        if let Naming::Unknown(_) = &found
            && let Naming::Release(release) = resource.release_called(name, &cx).map_err(|error| unseen(&error))?
        {
            found = in_git(&release.commit)?;
        }
    }
    let release = match found {
        Naming::Release(release) => release,
        Naming::Several(several) => {
            return Err(Refusal::new(
                ExitCode::USAGE,
                format!("{name:?} is the name of several releases: {}", several.join(", ")),
            )
            .because("give more of the commit that you mean"));
        }
        Naming::Unknown(names) => {
            let all: Vec<&str> = names.iter().map(String::as_str).take(12).collect();
            let near: Vec<&str> = names.iter().map(String::as_str).collect();
            let hint = guard_model::setting::nearest(name, near.iter().copied());
            return Err(Refusal::new(
                ExitCode::USAGE,
                format!("{name:?} is no tag, branch or commit here, and no image that says which commit it is of"),
            )
            .because(hint.unwrap_or_else(|| nearest_or_all(name, &all))));
        }
    };
    let live = match in_git("HEAD")? {
        Naming::Release(live) => live,
        Naming::Several(_) | Naming::Unknown(_) => NamedRelease::default(),
    };
    let wanted = Wanted {
        name: name.to_owned(),
        release,
        live,
        code: code.resource.name().clone(),
    };
    if let Some((backup, then)) = moved(&wanted, project) {
        let what = format!("{name} is another commit than it was when backup {backup} was taken");
        let (before, now) = (format!("then: {then}"), format!("now: {}", wanted.release.shown));
        if !force {
            let commit = then.split_whitespace().next().unwrap_or_default().to_owned();
            return Err(Refusal::new(ExitCode::REFUSED, what)
                .because(before)
                .because(now)
                .because("--force takes the one that it is now")
                .next("to go back to what it was", format!("{program} rollback --to {commit}")));
        }
        project.cx.note(Level::Warn, format!("{what}; {before}; {now}"));
    }
    Ok(wanted)
}

fn backups(project: &Project) -> Vec<Backup> {
    let listed = project.store.list().unwrap_or_default();
    let scope = project.own_scope();
    let ours = listed.into_iter().filter_map(|entry| match entry {
        Listed::Backup(backup) if scope.objection(&backup).is_none() => Some(backup),
        _ => None,
    });
    ours.collect()
}

/// What was live of the code when a backup was taken: `1a2b3c4 Fix the basket (v1.4.1)`.
fn live_then<'b>(backup: &'b Backup, code: &ResourceName) -> Option<&'b str> {
    backup.manifest.live.get(code)?.first().map(String::as_str)
}

/// The newest backup by which this name was another commit, and which.
fn moved(wanted: &Wanted, project: &Project) -> Option<(Timestamp, String)> {
    let is_other = |then: &str| {
        let commit = then.split_whitespace().next().unwrap_or_default();
        let names = then.rsplit_once('(').map(|(_, names)| names.trim_end_matches(')'));
        let has_name = names.is_some_and(|names| names.split(", ").any(|name| name == wanted.name));
        has_name && !commit.is_empty() && !wanted.release.commit.starts_with(commit)
    };
    backups(project).iter().find_map(|backup| {
        let then = live_then(backup, &wanted.code).filter(|then| is_other(then))?;
        Some((backup.timestamp().clone(), then.to_owned()))
    })
}

/// The newest backup that was taken while this release was live, and the names of what of it goes back: everything, or all but
/// data.
#[must_use]
pub fn recorded(
    wanted: &Wanted,
    resources: &[Owned],
    with_data: bool,
    project: &Project,
) -> Option<(Timestamp, Vec<String>)> {
    let all = backups(project);
    let backup = all.iter().find(|backup| {
        let commit = live_then(backup, &wanted.code).and_then(|then| then.split_whitespace().next());
        let is_bad = matches!(backup.knowledge(), Knowledge::Tainted(_));
        commit.is_some_and(|commit| commit.len() >= 4 && wanted.release.commit.starts_with(commit)) && !is_bad
    })?;
    let goes = |owned: &&Owned| {
        let is_data = owned.kind.restored_in == StageName::Data;
        (with_data || !is_data) && backup.manifest.artifact(owned.resource.name()).is_some()
    };
    let names: Vec<String> = resources
        .iter()
        .filter(goes)
        .map(|owned| owned.resource.name().to_string())
        .collect();
    (!names.is_empty()).then(|| (backup.timestamp().clone(), names))
}

/// What of a release nobody has recorded, each a sentence.
#[must_use]
pub fn cannot_give(wanted: &Wanted, resources: &[Owned]) -> Vec<String> {
    let left = resources
        .iter()
        .filter(|owned| !matches!(owned.kind.key, "git" | "images"));
    let left: Vec<String> = left.map(|owned| owned.resource.name().to_string()).collect();
    let mut told = vec![format!(
        "no backup was taken of {}: the code comes from git, images from what the engine has",
        wanted.release.shown
    )];
    if !left.is_empty() {
        told.push(format!(
            "stays as it is, since only a backup has it: {}; whether that release can live with it nobody knows",
            left.join(", ")
        ));
    }
    told.push("files that git ignores stay as they are".to_owned());
    told
}

/// Makes a backup of guard's own of a release that was never backed up; its name and what it holds, or how the run ended
/// instead.
///
/// # Errors
/// It could not be begun.
pub fn take_over(
    wanted: &Wanted,
    resources: Vec<Owned>,
    project: &Project,
    session: &Session,
) -> Result<Result<(Timestamp, Vec<String>), ExitCode>, Refusal> {
    let taken_at = project.cx.clock.now();
    let mut materials = BTreeMap::new();
    let mut taken = Vec::new();
    for owned in resources {
        let part = match owned.kind.key {
            "git" => Part::Commit {
                commit: wanted.release.commit.clone(),
                branch: wanted.release.branch.clone(),
            },
            "images" => Part::Release {
                release: wanted.release.clone(),
                live: wanted.live.clone(),
            },
            _ => continue,
        };
        materials.insert(owned.resource.name().clone(), Material { part, taken_at });
        taken.push(owned);
    }
    let names = taken.iter().map(|owned| owned.resource.name().to_string()).collect();
    let draft = project.store.begin(taken_at);
    let draft = draft.map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))?;
    let timestamp = draft.timestamp().clone();
    let plan = plan::adopt(timestamp.clone(), &places(&taken), project.settings.policy.clone());
    let run = claim(RunKind::Backup, project)?;
    let new = NewRun {
        plan,
        reason: None,
        description: Some(format!(
            "release {}: {}",
            wanted.name,
            text::shortened(&wanted.release.shown, 60)
        )),
        resources: taken,
        undoing: Vec::new(),
        adopting: materials,
    };
    let exit = start(new, &run, project, session)?;
    Ok(if exit == ExitCode::DONE {
        Ok((timestamp, names))
    } else {
        Err(exit)
    })
}
