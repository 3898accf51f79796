//! Holds still the containers that write to a volume while it is copied, and always wakes exactly those again.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{ResourceError, Result};
use crate::trees::details::Mode;
use guard_model::event::Level;
use guard_model::name::ResourceName;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::docker::{self, Container};

/// What is written down before anything is held, so that a run that was killed can be made good.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    mode: Mode,
    containers: Vec<String>,
    /// Those that were healthy: the engine calls a container unhealthy from its pause until its next health check.
    #[serde(default)]
    healthy: Vec<String>,
}

/// Containers that are held; woken when this is dropped.
pub(super) struct Halt {
    record: Option<(Record, PathBuf)>,
    cx: Context,
}

const PREFIX: &str = "held-";
/// How long a container may take until its health check has said again that it is healthy; a usual interval is 30 s. So three
/// of them.
const HEALTH_LIMIT: Duration = Duration::from_secs(90);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(250);

impl Halt {
    /// Holds the running ones of these containers, in this way.
    ///
    /// # Errors
    /// One cannot be held; those that were are woken again.
    pub(super) fn of(containers: &[Container], mode: Mode, name: &ResourceName, cx: &Context) -> Result<Self> {
        let cx = cx.unstoppable();
        wake_one(&record_file(&cx, name), &cx)?;
        let running: Vec<&Container> = containers.iter().filter(|one| one.is_running()).collect();
        let ids: Vec<String> = running.iter().map(|one| one.id.clone()).collect();
        let was_healthy = |one: &&&Container| one.health.as_deref() == Some("healthy");
        let healthy = running.iter().filter(was_healthy).map(|one| one.id.clone()).collect();
        if mode == Mode::Live || ids.is_empty() {
            return Ok(Self { record: None, cx });
        }
        let record = Record {
            mode,
            containers: ids,
            healthy,
        };
        let path = record_file(&cx, name);
        let bytes = serde_json::to_vec(&record)
            .map_err(|error| ResourceError::because("could not write down which containers are held", error))?;
        disk::write_whole(&path, &bytes)?;
        let ids = record.containers.clone();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let halt = Self {
            record: Some((record, path)),
            cx,
        };
        let (verb, held) = if mode == Mode::Pause {
            ("pause", docker::pause(&halt.cx, &ids))
        } else {
            ("stop", docker::stop(&halt.cx, &ids, None))
        };
        match held {
            Ok(()) => Ok(halt),
            Err(error) => Err(ResourceError::because(
                format!("could not {verb} the containers of {name}"),
                error,
            )),
        }
    }

    /// Wakes them. Beside what follows it is waited until those that were healthy are so again: a deploy command whose services
    /// wait for a healthy one would fail otherwise, so the run settles that before.
    ///
    /// # Errors
    /// One of them cannot be woken.
    pub(super) fn release(mut self) -> Result<()> {
        let Some((record, path)) = self.record.take() else {
            return Ok(());
        };
        wake_one(&path, &self.cx)?;
        if !record.healthy.is_empty() {
            let cx = self.cx.clone();
            self.cx.aside.begin(move || {
                if let Err(error) = await_health(&record.healthy, &cx) {
                    cx.note(Level::Warn, error.to_string());
                }
            });
        }
        Ok(())
    }
}

fn await_health(ids: &[String], cx: &Context) -> Result<()> {
    let begun = cx.clock.steady();
    for id in ids {
        while !is_healthy(id, cx)? {
            if cx.clock.steady().saturating_sub(begun) >= HEALTH_LIMIT {
                let limit = HEALTH_LIMIT.as_secs();
                let text = format!("the container {id} was held for the copy and is not healthy {limit} s after");
                cx.note(Level::Warn, text);
                return Ok(());
            }
            cx.clock.sleep(LOOK);
        }
    }
    Ok(())
}

impl Drop for Halt {
    fn drop(&mut self) {
        if let Some((record, path)) = self.record.take()
            && let Err(error) = wake_one(&path, &self.cx)
        {
            let ids = record.containers.join(" ");
            self.cx.note(
                Level::Error,
                format!("{error}; wake them by hand: docker unpause {ids}; docker start {ids}"),
            );
        }
    }
}

fn record_file(cx: &Context, name: &ResourceName) -> PathBuf {
    cx.scratch.join(format!("{PREFIX}{name}.json"))
}

/// Whether a container is healthy; one that is gone needs no waiting for.
fn is_healthy(id: &str, cx: &Context) -> Result<bool> {
    let found = docker::container_by_id(cx, id)
        .map_err(|error| ResourceError::because("could not look at a container that was held", error))?;
    Ok(found.is_none_or(|one| one.health.as_deref() == Some("healthy")))
}

fn wake_one(path: &std::path::Path, cx: &Context) -> Result<()> {
    let Some(bytes) = disk::read_optional(path)? else {
        return Ok(());
    };
    let record: Record = serde_json::from_slice(&bytes)
        .map_err(|error| ResourceError::because(format!("could not understand {}", path.display()), error))?;
    let mut failure = None;
    for id in &record.containers {
        // One by one: a container that somebody removed or woke meanwhile must not keep the others held.
        let found = docker::container_by_id(cx, id)
            .map_err(|error| ResourceError::because("could not look at a held container", error))?;
        let state = found.map(|found| found.state).unwrap_or_default();
        let (verb, woken) = match (record.mode, state.as_str()) {
            (Mode::Pause, "paused") => ("unpause", docker::unpause(cx, &[id])),
            (Mode::Stop, "exited" | "created") => ("start", docker::start(cx, &[id], None)),
            _ => continue,
        };
        if let Err(error) = woken {
            failure = Some(ResourceError::because(
                format!("could not {verb} the container {id}"),
                error,
            ));
        }
    }
    match failure {
        Some(error) => Err(error.with_hint("look at it with `docker ps --all`, and start it by hand")),
        None => match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(ResourceError::because(
                format!("could not remove {}", path.display()),
                error,
            )),
            _ => Ok(()),
        },
    }
}

/// Wakes the containers that a run held when it was killed: what `guard resume` calls first.
///
/// # Errors
/// One of them cannot be woken.
pub(super) fn wake_left(cx: &Context) -> Result<()> {
    for path in disk::list(&cx.scratch)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name
            .strip_prefix(PREFIX)
            .is_some_and(|rest| rest.strip_suffix(".json").is_some())
        {
            wake_one(&path, cx)?;
        }
    }
    Ok(())
}
