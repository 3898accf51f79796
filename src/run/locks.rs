//! What keeps two guards from one target: the lock of the state, the lock of the target on this machine, one for each volume,
//! directory, database file and checkout, which all users of the machine see, and one in each database, which other hosts see.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::assembly::Owned;
use crate::outcome::Refusal;
use crate::project::Project;
use guard_config::state_root;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::fact::Failure;
use guard_resources::{Held, Hold};
use guard_system::context::Context;
use guard_system::disk;
use guard_system::docker::Compose;
use guard_system::lock::{Common, Lock, LockError, Sharing};

/// How often a held lock is asked for again.
const POLL: Duration = Duration::from_millis(500);
/// How long a lock may be held by somebody who only looks whether it is held, as `guard status` does. A guess.
const BLINK: Duration = Duration::from_millis(100);
/// Below the directory of all states: one file for each target of this machine. No project can have this name.
const TARGETS: &str = ".locks";

/// The locks of a command, held as long as this lives.
pub struct Locks {
    _state: Lock,
    _targets: Vec<Lock>,
}

/// Why a lock was not taken.
enum Busy {
    /// Somebody has it; a sentence.
    Held(String),
    /// It cannot be taken at all.
    Failed(Refusal),
}

/// Takes the locks of the state and of the target, waiting for them where that was asked for.
///
/// # Errors
/// Another run holds one, a wish to stop came, or this guard was called by the deploy command of another.
pub fn begin(project: &Project, doing: &str) -> Result<Locks, Refusal> {
    refuse_nested(&project.cx)?;
    let state = waited(project, BLINK, |since| {
        take(Lock::take(&project.state.join("lock"), &project.actor, doing, since))
    })?;
    Ok(Locks {
        _state: state,
        _targets: targets(project, doing)?,
    })
}

/// Takes the locks of the targets on this machine: two checkouts, or two state directories, may lead to the same one. They are
/// taken in the order of their names, so that two runs that share several cannot wait for each other. None where there is no
/// place for them.
///
/// # Errors
/// Another run holds one.
pub fn targets(project: &Project, doing: &str) -> Result<Vec<Lock>, Refusal> {
    let mut locks = Vec::new();
    for path in paths_of_targets(project) {
        if let Some(Err(error)) = path.parent().map(disk::create_private_dir) {
            project.cx.note(
                Level::Warn,
                format!("another checkout of this project would not be noticed: {error}"),
            );
            return Ok(locks);
        }
        let doing = format!("{doing} in {}", project.settings.directory.display());
        locks.push(waited(project, BLINK, |since| {
            take(Lock::take(&path, &project.actor, &doing, since))
        })?);
    }
    Ok(locks)
}

/// Where the locks of the targets are, in order: each is named after an engine and a Compose project, or else after the
/// directory.
#[must_use]
pub fn paths_of_targets(project: &Project) -> BTreeSet<PathBuf> {
    let Some(root) = state_root(&project.wish) else {
        return BTreeSet::new();
    };
    let further = project
        .further
        .iter()
        .map(|further| of_compose(&project.cx.at(further.engine.as_ref()), &further.compose));
    let own = if let Some(compose) = &project.compose {
        of_compose(&project.cx, compose)
    } else {
        let directory = &project.settings.directory;
        let real = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.clone());
        format!("directory {}", real.display())
    };
    let names = further.chain([own]);
    names
        .map(|name| root.join(TARGETS).join(disk::sha256_hex(name.as_bytes())))
        .collect()
}

fn of_compose(cx: &Context, compose: &Compose) -> String {
    let told = |name| cx.environment.text(name);
    let host = told("DOCKER_HOST").filter(|host| !host.ends_with("/run/docker.sock"));
    let engine = host.or_else(|| told("DOCKER_CONTEXT").filter(|context| *context != "default"));
    format!("compose {} {}", engine.unwrap_or("default"), compose.project)
}

/// Where all users of this machine have their locks: the first that is there.
const COMMON: [&str; 2] = ["/run/lock", "/tmp"];

/// What a run holds of its resources, as long as this lives.
pub struct Grounds {
    _grounds: Vec<Common>,
    _databases: Vec<Box<dyn Hold>>,
}

/// Takes the locks of the resources: of what they are on this machine, whoever's project or user it is, and in their
/// databases.
///
/// # Errors
/// Another guard holds one of them, and still does after `patience`.
pub fn resources(project: &Project, resources: &[Owned], patience: Duration) -> Result<Grounds, Refusal> {
    Ok(Grounds {
        _grounds: grounds(project, resources, patience)?,
        _databases: databases(project, resources, patience)?,
    })
}

/// The names of the locks of some resources, in order, and whether each is held alone: a path of a resource alone, what
/// leads to it with whoever else has something below it.
fn names_of_grounds(cx: &Context, resources: &[Owned]) -> BTreeMap<String, (bool, String)> {
    let mut names: BTreeMap<String, (bool, String)> = BTreeMap::new();
    let mut alone = |name: String, shown: String| {
        names.insert(name, (true, shown));
    };
    let mut above = Vec::new();
    for owned in resources {
        let (resource, cx) = owned.resource.at(cx);
        let paths = resource.grounds(&cx);
        for path in &paths {
            alone(format!("path {}", path.display()), path.display().to_string());
            // The same thing may have two names, as where it is mounted twice. When it was made belongs to what it is: a
            // release that removes a volume gives its number free, and a directory of somebody else may get it.
            if let Ok(metadata) = std::fs::metadata(path) {
                let born = metadata
                    .created()
                    .ok()
                    .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
                let born = born.map_or(0, |since| since.as_nanos());
                let name = format!("inode {}:{}:{born}", metadata.dev(), metadata.ino());
                alone(name, path.display().to_string());
            }
            above.extend(path.ancestors().skip(1).map(std::path::Path::to_owned));
        }
        if paths.is_empty() && !owned.kind.is_of_server() {
            for name in resource.identity(&cx) {
                alone(name.clone(), name);
            }
        }
    }
    for path in above {
        let shown = path.display().to_string();
        names.entry(format!("path {shown}")).or_insert((false, shown));
    }
    names
}

fn grounds(project: &Project, resources: &[Owned], patience: Duration) -> Result<Vec<Common>, Refusal> {
    let Some(place) = COMMON.iter().map(std::path::Path::new).find(|place| place.is_dir()) else {
        return Ok(Vec::new());
    };
    let mut held = Vec::new();
    for (name, (is_alone, shown)) in names_of_grounds(&project.cx, resources) {
        let digest = disk::sha256_hex(name.as_bytes());
        let path = place.join(format!("guard-{}.lock", digest.get(..32).unwrap_or(&digest)));
        let taken = waited(project, patience.max(BLINK), |since| {
            let actor = &project.actor;
            let owner = format!(
                "guard in {} since {since} by {} (pid {} on {})\n",
                project.settings.directory.display(),
                actor.user,
                actor.pid,
                actor.host
            );
            match Lock::take_common(&path, &owner, if is_alone { Sharing::Alone } else { Sharing::Shared }) {
                Ok(lock) => Ok(Some(lock)),
                Err(LockError::Held { owner }) => Err(Busy::Held(format!(
                    "another guard works on {shown}, or on a part of it: {owner}"
                ))),
                Err(LockError::Disk(error)) => {
                    let what = format!(
                        "{shown} is not locked against guards of other users: {error}: {}",
                        error.source
                    );
                    project.cx.note(Level::Warn, what);
                    Ok(None)
                }
            }
        })?;
        held.extend(taken);
    }
    Ok(held)
}

/// Takes the lock in each database among the resources. A server that does not answer holds up nobody: whatever else the
/// run does tells of it, and the lock is taken when it answers again.
///
/// # Errors
/// A guard, perhaps on another host, holds one of them, and still does after `patience`.
fn databases(project: &Project, resources: &[Owned], patience: Duration) -> Result<Vec<Box<dyn Hold>>, Refusal> {
    let actor = &project.actor;
    let mut all = Vec::new();
    for owned in resources {
        let name = owned.resource.name();
        let (resource, cx) = owned.resource.at(&project.cx.unstoppable());
        let taken = waited(project, patience, |since| {
            let holder = format!("guard {}@{} pid {} since {since}", actor.user, actor.host, actor.pid);
            match resource.hold(&holder, &cx) {
                Ok(Held::Nothing) => Ok(None),
                Ok(Held::Ours(lock)) => Ok(Some(lock)),
                Ok(Held::Theirs(owner)) => Err(Busy::Held(format!(
                    "another guard works on the database of {name}: {owner}"
                ))),
                Err(error) => {
                    let why = Failure::from_error(&error).sentence();
                    let why = format!("{name} is not locked against guards on other hosts: {why}");
                    project.cx.note(Level::Warn, why);
                    Ok(None)
                }
            }
        })?;
        all.extend(taken);
    }
    Ok(all)
}

fn take(taken: Result<Lock, LockError>) -> Result<Lock, Busy> {
    taken.map_err(|error| match error {
        LockError::Disk(error) => Busy::Failed(Refusal::of_error(ExitCode::LOCKED, &error)),
        held @ LockError::Held { .. } => Busy::Held(held.to_string()),
    })
}

/// Tries until it succeeds: for this long at least, and where somebody wants to wait, for as long as they want to.
fn waited<T>(project: &Project, patience: Duration, attempt: impl Fn(&str) -> Result<T, Busy>) -> Result<T, Refusal> {
    let cx = &project.cx;
    let lock = &project.settings.lock;
    let limit = if lock.wait {
        lock.wait_timeout.max(patience)
    } else {
        patience
    };
    let begun = cx.clock.steady();
    let mut is_told = false;
    loop {
        let since = cx.clock.now().format("%Y-%m-%d %H:%M:%S UTC").to_string();
        let held = match attempt(&since) {
            Ok(taken) => return Ok(taken),
            Err(Busy::Failed(refusal)) => return Err(refusal),
            Err(Busy::Held(held)) => held,
        };
        let waited = cx.clock.steady().saturating_sub(begun);
        if waited >= limit || cx.stop.is_asked() {
            let refusal = Refusal::new(ExitCode::LOCKED, held);
            return Err(refusal.next("to see what it does", "guard status"));
        }
        if !is_told && lock.wait {
            cx.note(Level::Info, format!("{held}; waiting for it"));
            is_told = true;
        }
        cx.clock.sleep(POLL.min(limit));
    }
}

/// Refuses a guard that is called by another guard's deploy command: it would wait for itself for ever.
fn refuse_nested(cx: &Context) -> Result<(), Refusal> {
    let Some(run) = cx.environment.text("GUARD_RUN_ID") else {
        return Ok(());
    };
    let refusal = Refusal::new(
        ExitCode::USAGE,
        format!("guard was called by a command that guard itself runs (run {run})"),
    );
    Err(refusal.because(
        "the outer guard holds the lock, so the inner one could never begin; call the script that deploys, not guard",
    ))
}
