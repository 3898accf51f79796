//! What the engine knows: containers, images, volumes, read by `docker inspect`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use super::{DockerError, check, docker, explained};
use crate::call::Call;
use crate::context::Context;

/// A container as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// Full id.
    pub id: String,
    /// Name, without the slash.
    pub name: String,
    /// The compose service it belongs to; empty where none.
    pub service: String,
    /// Full id of the image it was made from, `sha256:…`.
    pub image_id: String,
    /// The image's name as it was asked for, `app:latest`.
    pub image_name: String,
    /// `running`, `exited`, `restarting`, `paused`, `created`, `dead`.
    pub state: String,
    /// `healthy`, `unhealthy`, `starting`; `None` where it has no health check, or it is switched off.
    pub health: Option<String>,
    /// How often in a row its health check has failed since it called the container unhealthy: 0 where it has not, or has not
    /// been made again.
    pub failed_further: u64,
    /// The exit code of its last end.
    pub exit_code: i64,
    /// How often the engine has restarted it.
    pub restarts: u64,
    /// When it was last started, RFC 3339.
    pub started_at: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// What is mounted in it.
    pub mounts: Vec<Mount>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A mount of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// `volume`, `bind`, `tmpfs`.
    pub kind: String,
    /// The volume's name, or the host's path.
    pub source: String,
    /// Where it lies on the engine's host.
    pub directory: PathBuf,
    /// Where in the container.
    pub target: String,
    /// Whether the container may write to it.
    pub is_writable: bool,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Full id, `sha256:…`.
    pub id: String,
    /// Its names.
    pub tags: Vec<String>,
    /// Its digests in registries.
    pub digests: Vec<String>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// `local`, or a plugin.
    pub driver: String,
    /// Its directory on the engine's host.
    pub mountpoint: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The options it was made with.
    pub options: BTreeMap<String, String>,
}

impl Container {
    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == "running"
    }

    /// Whether it runs, and its health check has not said anything yet. What `docker compose run` made comes and goes.
    #[must_use]
    pub fn is_starting(&self) -> bool {
        self.is_running() && !self.is_one_off() && self.health.as_deref() == Some("starting")
    }

    /// Whether it runs, and is healthy where it has a health check.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.is_running() && self.health.as_deref().is_none_or(|health| health == "healthy")
    }

    /// The services that it waits for, from the label that Compose leaves.
    #[must_use]
    pub fn depends_on(&self) -> Vec<String> {
        let label = self
            .labels
            .get("com.docker.compose.depends_on")
            .map(String::as_str)
            .unwrap_or_default();
        label
            .split(',')
            .filter_map(|entry| entry.split(':').next())
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

fn json<T: for<'de> Deserialize<'de>>(cx: &Context, call: &Call) -> Result<T, DockerError> {
    let output = cx.output(call).map_err(explained)?;
    serde_json::from_slice(&output.stdout).map_err(|source| DockerError::Answer {
        call: call.to_string(),
        source,
    })
}

fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn texts(value: Option<&Value>) -> BTreeMap<String, String> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn list(value: Option<&Value>) -> Vec<String> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.as_str().map(str::to_owned))
        .collect()
}

pub(super) fn container(value: &Value) -> Container {
    let labels = texts(value.pointer("/Config/Labels"));
    Container {
        id: text(value, "/Id"),
        name: text(value, "/Name").trim_start_matches('/').to_owned(),
        service: labels.get("com.docker.compose.service").cloned().unwrap_or_default(),
        image_id: text(value, "/Image"),
        image_name: text(value, "/Config/Image"),
        state: text(value, "/State/Status"),
        health: value
            .pointer("/State/Health/Status")
            .and_then(Value::as_str)
            .filter(|health| !matches!(*health, "" | "none"))
            .map(str::to_owned),
        failed_further: failed_further(value),
        exit_code: value
            .pointer("/State/ExitCode")
            .and_then(Value::as_i64)
            .unwrap_or_default(),
        restarts: value
            .pointer("/RestartCount")
            .and_then(Value::as_u64)
            .unwrap_or_default(),
        started_at: text(value, "/State/StartedAt"),
        created_at: text(value, "/Created"),
        mounts: value
            .pointer("/Mounts")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|mount| {
                let kind = text(mount, "/Type");
                let source = if kind == "volume" {
                    text(mount, "/Name")
                } else {
                    text(mount, "/Source")
                };
                Mount {
                    kind,
                    source,
                    directory: text(mount, "/Source").into(),
                    target: text(mount, "/Destination"),
                    is_writable: mount.get("RW").and_then(Value::as_bool).unwrap_or(true),
                }
            })
            .collect(),
        labels,
    }
}

fn failed_further(value: &Value) -> u64 {
    let number = |pointer| value.pointer(pointer).and_then(Value::as_u64);
    let in_a_row = number("/State/Health/FailingStreak").unwrap_or_default();
    in_a_row.saturating_sub(check::tries(
        value.pointer("/Config/Healthcheck").unwrap_or(&Value::Null),
    ))
}

pub(super) fn inspect(cx: &Context, kind: &str, ids: &[String]) -> Result<Vec<Value>, DockerError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    json(cx, &docker().args([kind, "inspect", "--"]).args(ids))
}

/// Whether an error of `docker … inspect` says that the thing is not there.
pub(super) fn is_missing(error: &DockerError) -> bool {
    matches!(error, DockerError::Call(crate::processes::CallError::Exit { stderr, .. })
        if stderr.to_lowercase().contains("no such"))
}

pub(super) fn inspect_one(cx: &Context, kind: &str, name: &str) -> Result<Option<Value>, DockerError> {
    match inspect(cx, kind, &[name.to_owned()]) {
        Ok(found) => Ok(found.into_iter().next()),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// All containers of a compose project, stopped ones and one-off ones included, in order of service and name.
///
/// # Errors
/// The engine does not answer.
pub fn containers_of(cx: &Context, project: &str) -> Result<Vec<Container>, DockerError> {
    let filter = format!("label=com.docker.compose.project={project}");
    // A container may vanish between the listing and the look at it, as during an `up`: then the listing is made again.
    for attempt in 0.. {
        let call = docker().args(["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter]);
        let listed = cx.output(&call).map_err(explained)?;
        let ids: Vec<String> = listed.text().lines().map(str::to_owned).collect();
        match inspect(cx, "container", &ids) {
            Ok(found) => {
                let mut containers: Vec<Container> = found.iter().map(container).collect();
                containers.sort_by(|one, other| (&one.service, &one.name).cmp(&(&other.service, &other.name)));
                return Ok(containers);
            }
            Err(error) if attempt < 5 && is_missing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Vec::new())
}

/// A container of this service in a compose project, a running one before a stopped one.
///
/// # Errors
/// The engine does not answer.
pub fn container_by_service(cx: &Context, project: &str, service: &str) -> Result<Option<Container>, DockerError> {
    let mut found = containers_of(cx, project)?;
    found.retain(|container| container.service == service);
    found.sort_by_key(|container| !container.is_running());
    Ok(found.into_iter().next())
}

/// What is to be said where no container of a service runs, and the command that starts one. Of the project only its name is
/// known here: one that was made before needs no more.
#[must_use]
pub fn not_running(found: Option<&Container>, project: &str, service: &str) -> (String, String) {
    let what = |how: &str| format!("no container of the service {service:?} is running: {how}");
    let Some(found) = found else {
        let command = format!("docker compose --project-name {project} up --detach {service}");
        return (
            what("there is none"),
            format!("start it, in the directory of its compose file: `{command}`"),
        );
    };
    let verb = if found.state == "paused" { "unpause" } else { "start" };
    (
        what(&format!("it is {}", found.state)),
        format!("start it: `docker {verb} {}`", found.name),
    )
}

/// An image by name or id; `None` where the engine has none.
///
/// # Errors
/// The engine does not answer.
pub fn image(cx: &Context, name: &str) -> Result<Option<Image>, DockerError> {
    Ok(inspect_one(cx, "image", name)?.map(|value| Image {
        id: text(&value, "/Id"),
        tags: list(value.pointer("/RepoTags")),
        digests: list(value.pointer("/RepoDigests")),
    }))
}

/// A volume by name; `None` where the engine has none.
///
/// # Errors
/// The engine does not answer.
pub fn volume(cx: &Context, name: &str) -> Result<Option<Volume>, DockerError> {
    Ok(inspect_one(cx, "volume", name)?.map(|value| Volume {
        name: text(&value, "/Name"),
        driver: text(&value, "/Driver"),
        mountpoint: text(&value, "/Mountpoint"),
        labels: texts(value.pointer("/Labels")),
        options: texts(value.pointer("/Options")),
    }))
}

/// The names of the volumes of a compose project.
///
/// # Errors
/// The engine does not answer.
pub fn volumes_of(cx: &Context, project: &str) -> Result<Vec<String>, DockerError> {
    let filter = format!("label=com.docker.compose.project={project}");
    let call = docker().args(["volume", "ls", "--quiet", "--filter", &filter]);
    Ok(cx
        .output(&call)
        .map_err(explained)?
        .text()
        .lines()
        .map(str::to_owned)
        .collect())
}

/// A call that runs a program in a running container, without a terminal. Variables are handed on by name, so that
/// their values never show in an argument list; `reads` opens its standard input.
#[must_use]
pub fn exec(container: &str, env: &[(&str, &str)], reads: bool, words: &[&str]) -> Call {
    let mut call = docker().arg("exec");
    if reads {
        call = call.arg("--interactive");
    }
    for (name, value) in env {
        call = call.args(["--env", name]).env(name, value);
    }
    call.arg(container).args(words)
}
