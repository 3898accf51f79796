//! Containers that still see a file or directory which was replaced on the host: a bind mount shows what was there when it began.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

use super::{Result, ServiceError};
use guard_model::event::Level;
use guard_system::context::Context;
use guard_system::docker::{self, Compose, Container, Mount, containers_of};

/// How long the engine may take for one restart: as long as for a stop.
const LIMIT: Duration = Duration::from_mins(5);

/// Restarts the running containers of a project in which a bind mount shows another file than the one that has its name on the
/// host now: a file that is put back is a new file, and a reload would read the failed release's. Returns their names. What
/// cannot be looked into, as on an engine elsewhere, is left alone.
///
/// # Errors
/// The engine does not answer, or a container cannot be restarted.
pub fn restart_stale(compose: &Compose, cx: &Context) -> Result<Vec<String>> {
    let engine = || ServiceError::engine("see the project's containers");
    let containers = containers_of(cx, &compose.project).map_err(engine())?;
    let mut restarted = Vec::new();
    for container in containers.iter().filter(|one| one.is_running() && !one.is_one_off()) {
        let bound: Vec<&Mount> = container.mounts.iter().filter(|mount| mount.kind == "bind").collect();
        if bound.is_empty() {
            continue;
        }
        let Some(root) = root_of(container) else { continue };
        if !bound.iter().any(|mount| is_stale(mount, &root)) {
            continue;
        }
        cx.note(
            Level::Info,
            format!("restarts {}, which still sees a file that was replaced", container.name),
        );
        let done = docker::restart(cx, &container.id, Some(LIMIT));
        done.map_err(ServiceError::engine(format!("restart {}", container.name)))?;
        restarted.push(container.name.clone());
    }
    Ok(restarted)
}

/// Where the files of a running container are seen from the host.
fn root_of(container: &Container) -> Option<PathBuf> {
    let pid = Some(container.pid).filter(|pid| *pid > 0)?;
    // A process of that number on this host may be any, where the engine is elsewhere.
    let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).ok()?;
    (cgroup.contains(&container.id) || mounts.contains(&container.id))
        .then(|| PathBuf::from(format!("/proc/{pid}/root")))
}

/// Whether a mount of a regular file shows another one than its name on the host leads to. What is not there any more, on
/// either side, is nothing that a restart would mend.
fn is_stale(mount: &Mount, root: &Path) -> bool {
    let Ok(outside) = std::fs::metadata(&mount.source) else {
        return false;
    };
    let open = |path: &Path, flags| rustix::fs::openat(CWD, path, flags, Mode::empty());
    let inside = open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC).and_then(|root| {
        // A link inside of the container leads to a place inside of it.
        openat2(
            root,
            mount.target.as_str(),
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT,
        )
    });
    let inside = inside.and_then(rustix::fs::fstat);
    outside.is_file() && inside.is_ok_and(|inside| (inside.st_dev, inside.st_ino) != (outside.dev(), outside.ino()))
}
