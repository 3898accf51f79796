//! A release that failed is remembered: deployed again while nothing has changed, it would fail again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use walkdir::{DirEntry, WalkDir};

use crate::assembly::Owned;
use crate::outcome::Refusal;
use crate::project::Project;
use crate::request::Deploy;
use crate::session::Session;
use guard_engine::history::History;
use guard_engine::steps::{RELEASED, Released};
use guard_journal::{Run, State};
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::fact::{Ending, RollbackCause};
use guard_model::name::RunKind;
use guard_resources::abilities::ServiceNeeds;
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::disk::{self, Digest, sha256_hex};
use guard_system::docker::{image, image_names};

/// What a failed release is known by, in its run's directory.
const FAILED: &str = "failed-release.json";
/// A larger tree is not looked through, so that what is in it is not known.
const MOST_FILES: usize = 50_000;
/// Its bytes. Both are guesses.
const MOST_BYTES: u64 = 512 * 1024 * 1024;

/// What a release is known by before it is deployed: what would be run, and over what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// The digest of the command's words, and of the files that they name.
    command: String,
    /// The digest of the project's directory, its commit and its branches, without data.
    tree: String,
    /// The digest of which image each name stands for; `None` where there is no engine.
    images: Option<String>,
}

/// Writes down what a release that failed is known by, as things stand when its run is over: whatever changes from here on may
/// be the correction.
pub fn remember(run: &Run, history: &History, ending: Ending, command: &[String], project: &Project) {
    if history.plan().kind != RunKind::Deploy || command.is_empty() || !is_failure(ending) {
        return;
    }
    let Some(known) = known(command, &project.resources().unwrap_or_default(), project) else {
        return;
    };
    let bytes = serde_json::to_vec(&known).unwrap_or_default();
    if let Err(error) = disk::write_whole(&run.directory.join(FAILED), &bytes) {
        project
            .cx
            .note(Level::Warn, format!("the failed release is not remembered: {error}"));
    }
}

/// Refuses what was turned back before, where nothing has changed since.
///
/// # Errors
/// It is that release, and nobody has said `--again`.
pub fn refuse_failed(asked: &Deploy, resources: &[Owned], project: &Project, session: &Session) -> Result<(), Refusal> {
    if asked.again {
        return Ok(());
    }
    let runs = project.runs.list().unwrap_or_default();
    let words = words_digest(&asked.command, project);
    let mut now = None;
    for run in &runs {
        let Ok(State::Closed(ending)) = run.state() else {
            continue;
        };
        let Some(history) = run.read().ok().and_then(|records| History::of(&records).ok()) else {
            continue;
        };
        if history.plan().kind != RunKind::Deploy {
            continue;
        }
        let is_later = matches!(ending, Ending::Deployed | Ending::Inconclusive);
        if is_later && history.plan().command == cleaned(&asked.command, &project.cx) {
            // It has been well since.
            return Ok(());
        }
        let read = disk::read_optional(&run.directory.join(FAILED)).ok().flatten();
        let Some(known_then) = read.and_then(|bytes| serde_json::from_slice::<Known>(&bytes).ok()) else {
            continue;
        };
        if known_then.command != words {
            continue;
        }
        let now = now.get_or_insert_with(|| known(&asked.command, resources, project));
        if now.as_ref() != Some(&known_then) {
            continue;
        }
        if brings_its_own(run, &history, resources, project) {
            let note = format!(
                "the same command was turned back by {}; what it fetches or makes may be another release by now",
                run.id
            );
            project.cx.note(Level::Warn, note);
            return Ok(());
        }
        return Err(refusal(run, &history, ending, asked, (project, session)));
    }
    Ok(())
}

fn refusal(
    run: &Run,
    history: &History,
    ending: Ending,
    asked: &Deploy,
    (project, session): (&Project, &Session),
) -> Refusal {
    let failures = history
        .failures()
        .find(|(step, _)| history.plan().ahead.iter().any(|stage| stage.steps.contains(step)));
    let why = failures.map_or_else(
        || format!("it ended with exit code {}", ending.exit_code().number()),
        |(_, failure)| failure.sentence(),
    );
    let what = format!(
        "this release was turned back by {}, and nothing has changed since",
        run.id
    );
    let call = Call::of_words(&asked.command).map(|call| call.shown(&project.cx.redaction));
    let (program, command) = (&session.style.program, call.unwrap_or_default());
    Refusal::new(ExitCode::REFUSED, what)
        .because(format!("then: {why}"))
        .because(format!(
            "{} tells the rest",
            run.directory.join("incident.md").display()
        ))
        .next(
            "to deploy it all the same",
            format!("{program} deploy --again -- {command}"),
        )
}

fn is_failure(ending: Ending) -> bool {
    let is_its_own = |turn: RollbackCause| {
        matches!(
            turn,
            RollbackCause::DeployFailed
                | RollbackCause::VerifyFailed
                | RollbackCause::SwitchFailed
                | RollbackCause::WatchFailed
                | RollbackCause::Inconclusive
        )
    };
    match ending {
        Ending::RolledBack(turn)
        | Ending::RestoredUnhealthy(turn)
        | Ending::Withheld(turn)
        | Ending::Unready(turn)
        | Ending::Stuck(turn) => is_its_own(turn),
        // Nothing was released: what kept the command from it may be gone.
        _ => false,
    }
}

fn cleaned(command: &[String], cx: &Context) -> Vec<String> {
    command.iter().map(|word| cx.redaction.clean(word)).collect()
}

fn known(command: &[String], resources: &[Owned], project: &Project) -> Option<Known> {
    Some(Known {
        command: words_digest(command, project),
        tree: tree_digest(resources, project)?,
        images: images_digest(project),
    })
}

fn words_digest(command: &[String], project: &Project) -> String {
    let mut digest = Digest::default();
    digest.update(project.settings.environment_name.clone().unwrap_or_default().as_bytes());
    for word in command {
        digest.update(b"\0");
        digest.update(word.as_bytes());
        let path = project.settings.directory.join(word);
        let is_small = std::fs::metadata(&path).is_ok_and(|data| data.is_file() && data.len() <= MOST_BYTES);
        if let (true, Ok((_, sha256))) = (is_small, disk::sha256_file(&path)) {
            digest.update(sha256.as_bytes());
        }
    }
    digest.hex()
}

/// The project's directory without data, state and backups. `None`: it is too large to be looked through, or cannot be read.
fn tree_digest(resources: &[Owned], project: &Project) -> Option<String> {
    let root = &project.settings.directory;
    let mut outside: Vec<PathBuf> = vec![project.state.clone(), project.store.directory().to_owned()];
    for owned in resources {
        let places = owned.resource.services().map(ServiceNeeds::occupies);
        outside.extend(places.iter().flatten().map(|place| root.join(place)));
    }
    let is_inside = |entry: &DirEntry| {
        let path = entry.path();
        let below = path.strip_prefix(root).unwrap_or(path);
        let is_data = outside
            .iter()
            .any(|place| path.starts_with(place) || is_beside(path, place));
        !is_data && (!below.starts_with(".git") || is_known_of_git(below))
    };
    let mut digest = Digest::default();
    let (mut files, mut bytes) = (0, 0);
    for entry in WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(is_inside)
    {
        let entry = entry.ok()?;
        if entry.file_type().is_dir() {
            continue;
        }
        let metadata = entry.path().symlink_metadata().ok()?;
        files += 1;
        bytes += metadata.len();
        if files > MOST_FILES || bytes > MOST_BYTES {
            return None;
        }
        digest.update(entry.path().as_os_str().as_encoded_bytes());
        if metadata.is_file() {
            digest.update(disk::sha256_file(entry.path()).ok()?.1.as_bytes());
        } else if metadata.is_symlink() {
            digest.update(std::fs::read_link(entry.path()).ok()?.as_os_str().as_encoded_bytes());
        }
        digest.update(b"\0");
    }
    Some(digest.hex())
}

/// Whether a path is a database's journal or log beside its file.
fn is_beside(path: &Path, place: &Path) -> bool {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    match (name(path), name(place)) {
        (Some(one), Some(other)) => path.parent() == place.parent() && one.starts_with(&format!("{other}-")),
        _ => false,
    }
}

/// What of a repository tells one release from another: its branches and tags, and not what git keeps for itself.
fn is_known_of_git(below: &Path) -> bool {
    let known = [".git/HEAD", ".git/packed-refs", ".git/refs"].map(Path::new);
    let is_own = below.starts_with(".git/refs/guard");
    let is_on_the_way = known.iter().any(|known| known.starts_with(below));
    !is_own && (is_on_the_way || known.iter().any(|known| below.starts_with(known)))
}

fn images_digest(project: &Project) -> Option<String> {
    project.compose.as_ref()?;
    let names = image_names(&project.cx, None).ok()?;
    let lines: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|line| !line.starts_with("guard/"))
        .collect();
    Some(sha256_hex(lines.join("\n").as_bytes()))
}

/// Whether the command of a run brought its own code or images from elsewhere, or made them, so that it may bring others by now.
fn brings_its_own(run: &Run, history: &History, resources: &[Owned], project: &Project) -> bool {
    let read = disk::read_optional(&run.directory.join(RELEASED)).ok().flatten();
    let Some(released) = read.and_then(|bytes| serde_json::from_slice::<Released>(&bytes).ok()) else {
        return false;
    };
    resources.iter().any(|owned| {
        let name = owned.resource.name();
        let (before, after) = (released.before.get(name), released.after.get(name));
        if before == after {
            return false;
        }
        match owned.kind.key {
            "git" => has_remote(project) || is_made_by_command(after, history, project),
            "images" => after
                .into_iter()
                .flatten()
                .any(|(_, image)| comes_from_a_registry(image, &project.cx)),
            _ => false,
        }
    })
}

/// Whether the commit that a command left live is younger than its run: what a command commits is not known before it runs.
fn is_made_by_command(after: Option<&BTreeMap<String, String>>, history: &History, project: &Project) -> bool {
    let mut commits = after
        .into_iter()
        .flatten()
        .filter_map(|(_, release)| release.strip_prefix("commit "));
    commits.any(|commit| {
        let call = Call::new("git").args(["show", "--no-patch", "--format=%ct", commit]);
        let told = project.cx.output(&call.directory(&project.settings.directory));
        // One that is not there any more was nowhere but in that run.
        let made = told.map(|output| output.text().trim().parse::<i64>().unwrap_or(i64::MAX));
        made.unwrap_or(i64::MAX) >= history.opened().timestamp()
    })
}

fn has_remote(project: &Project) -> bool {
    let call = Call::new("git").args(["remote"]).directory(&project.settings.directory);
    project
        .cx
        .output(&call)
        .is_ok_and(|output| !output.text().trim().is_empty())
}

fn comes_from_a_registry(told: &str, cx: &Context) -> bool {
    let id = told.trim_start_matches("image ").split(' ').next().unwrap_or_default();
    let found = image(cx, id).ok().flatten();
    found.is_some_and(|image| !image.digests.is_empty())
}
