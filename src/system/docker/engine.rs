//! What the engine knows: containers, images, volumes, as it tells it through its socket or to `docker inspect`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::road::{asked, asked_all, read};
use super::socket::Request;
use super::{DockerError, check, docker, explained};
use crate::call::Call;
use crate::context::Context;

/// A container as it is now.
#[derive(Debug, Clone, Default, PartialEq)]
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
    /// The words of its health check, a program and its arguments as they are run in the container; empty where it has none.
    pub check: Vec<String>,
    /// How often in a row its health check has failed since it called the container unhealthy: 0 where it has not, or has not
    /// been made again.
    pub failed_further: u64,
    /// The exit code of its last end.
    pub exit_code: i64,
    /// How often the engine has restarted it.
    pub restarts: u64,
    /// The number of its first process on the engine's host; 0 where it does not run.
    pub pid: u32,
    /// Its restart policy, as `docker update --restart` takes it: `always`, `on-failure:3`, `no`.
    pub restart_policy: String,
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
    let mut found = container_as_told(value);
    // The engine tells them in another order each time.
    found.mounts.sort_by(|one, other| one.target.cmp(&other.target));
    found
}

fn container_as_told(value: &Value) -> Container {
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
        check: check::words(value),
        failed_further: failed_further(value),
        exit_code: value
            .pointer("/State/ExitCode")
            .and_then(Value::as_i64)
            .unwrap_or_default(),
        restarts: value
            .pointer("/RestartCount")
            .and_then(Value::as_u64)
            .unwrap_or_default(),
        pid: value
            .pointer("/State/Pid")
            .and_then(Value::as_u64)
            .and_then(|pid| u32::try_from(pid).ok())
            .unwrap_or_default(),
        restart_policy: restart_policy(value),
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

fn restart_policy(value: &Value) -> String {
    let name = text(value, "/HostConfig/RestartPolicy/Name");
    let count = value.pointer("/HostConfig/RestartPolicy/MaximumRetryCount");
    match (name.as_str(), count.and_then(Value::as_u64)) {
        ("", _) => "no".to_owned(),
        ("on-failure", Some(count)) if count > 0 => format!("{name}:{count}"),
        _ => name,
    }
}

fn failed_further(value: &Value) -> u64 {
    let number = |pointer| value.pointer(pointer).and_then(Value::as_u64);
    let in_a_row = number("/State/Health/FailingStreak").unwrap_or_default();
    in_a_row.saturating_sub(check::tries(
        value.pointer("/Config/Healthcheck").unwrap_or(&Value::Null),
    ))
}

/// Looks at all of these at once; the first that is not there is an error.
pub(super) fn inspect(cx: &Context, kind: Kind, ids: &[String]) -> Result<Vec<Value>, DockerError> {
    inspect_within(cx, kind, ids, None)
}

fn limited(call: Call, limit: Option<Duration>) -> Call {
    match limit {
        Some(limit) => call.timeout(limit),
        None => call,
    }
}

fn inspect_within(
    cx: &Context,
    kind: Kind,
    ids: &[String],
    limit: Option<Duration>,
) -> Result<Vec<Value>, DockerError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let requests: Vec<Request> = ids.iter().map(|id| kind.look_at(id).within(limit)).collect();
    if let Some(answers) = asked_all(cx, &requests) {
        let pairs = requests.iter().zip(answers?);
        return pairs.map(|(request, answer)| read(&answer, request)).collect();
    }
    json(
        cx,
        &limited(docker().args([kind.word(), "inspect", "--"]).args(ids), limit),
    )
}

/// A kind of thing that an engine can be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Container,
    Image,
    Volume,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Volume => "volume",
        }
    }

    fn look_at(self, id: &str) -> Request {
        match self {
            Self::Container => Request::get(&["containers", id, "json"]),
            Self::Image => Request::get(&["images", id, "json"]),
            Self::Volume => Request::get(&["volumes", id]),
        }
    }
}

pub(super) fn inspect_one(cx: &Context, kind: Kind, name: &str) -> Result<Option<Value>, DockerError> {
    match inspect(cx, kind, &[name.to_owned()]) {
        Ok(found) => Ok(found.into_iter().next()),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The full ids of the containers that have all of these labels, `name=value`, stopped ones included.
fn listed(cx: &Context, labels: &[&str], limit: Option<Duration>) -> Result<Vec<String>, DockerError> {
    let mut request = Request::get(&["containers", "json"]).with("all", "1").within(limit);
    if !labels.is_empty() {
        request = request.with("filters", serde_json::json!({ "label": labels }).to_string());
    }
    if let Some(answer) = asked(cx, &request) {
        let found = read(&answer?, &request)?;
        let found = found.as_array().into_iter().flatten();
        return Ok(found.map(|one| text(one, "/Id")).collect());
    }
    let mut call = limited(docker().args(["ps", "--all", "--quiet", "--no-trunc"]), limit);
    for label in labels {
        call = call.arg("--filter").arg(format!("label={label}"));
    }
    let told = cx.output(&call).map_err(explained)?;
    Ok(told.text().lines().map(str::to_owned).collect())
}

/// What the engine says of all containers that have these labels. One may vanish between the listing and the look at it, as
/// during an `up`: then the listing is made again.
fn looked_at(cx: &Context, labels: &[&str], limit: Option<Duration>) -> Result<Vec<Value>, DockerError> {
    for attempt in 0.. {
        let ids = listed(cx, labels, limit)?;
        match inspect_within(cx, Kind::Container, &ids, limit) {
            Err(error) if attempt < 5 && error.is_missing() => {}
            outcome => return outcome,
        }
    }
    Ok(Vec::new())
}

/// All containers of the engine, stopped ones included.
pub(super) fn all_containers(cx: &Context) -> Result<Vec<Container>, DockerError> {
    Ok(looked_at(cx, &[], None)?.iter().map(container).collect())
}

/// A container that runs or is paused, as a listing tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Full id.
    pub id: String,
    /// Name, without the slash.
    pub name: String,
    /// The image's name as it was asked for; an id where that name is another image's by now.
    pub image: String,
    /// `running`, `paused`, `restarting`.
    pub state: String,
}

/// All containers of the engine that run or are paused.
///
/// # Errors
/// The engine does not answer.
pub fn running_containers(cx: &Context) -> Result<Vec<Listed>, DockerError> {
    let request = Request::get(&["containers", "json"]);
    if let Some(answer) = asked(cx, &request) {
        let found = read(&answer?, &request)?;
        let found = found.as_array().into_iter().flatten();
        let listed = found.map(|one| Listed {
            id: text(one, "/Id"),
            name: text(one, "/Names/0").trim_start_matches('/').to_owned(),
            image: text(one, "/Image"),
            state: text(one, "/State"),
        });
        return Ok(listed.collect());
    }
    let format = "{{.ID}} {{.Image}} {{.Names}} {{.State}}";
    let call = docker().args(["ps", "--no-trunc", "--format", format]);
    let told = cx.output(&call).map_err(explained)?.text();
    let read = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        let (id, image, name, state) = (words.next()?, words.next()?, words.next()?, words.next()?);
        // One that others link to has several names; the first that Docker tells is its own or theirs.
        let name = name.split(',').next().unwrap_or_default().to_owned();
        Some(Listed { id, name, image, state })
    };
    Ok(told.lines().filter_map(read).collect())
}

fn label_of(project: &str) -> String {
    format!("com.docker.compose.project={project}")
}

/// All containers of a compose project, stopped ones and one-off ones included, in order of service and name.
///
/// # Errors
/// The engine does not answer.
pub fn containers_of(cx: &Context, project: &str) -> Result<Vec<Container>, DockerError> {
    let found = looked_at(cx, &[&label_of(project)], None)?;
    let mut containers: Vec<Container> = found.iter().map(container).collect();
    containers.sort_by(|one, other| (&one.service, &one.name).cmp(&(&other.service, &other.name)));
    Ok(containers)
}

/// All that the engine says of the containers of a compose project, each in the engine's own form; each question within `limit`.
///
/// # Errors
/// The engine does not answer.
pub fn inspections_of(cx: &Context, project: &str, limit: Option<Duration>) -> Result<Vec<Value>, DockerError> {
    looked_at(cx, &[&label_of(project)], limit)
}

/// A container by its id or name; `None` where the engine has none.
///
/// # Errors
/// The engine does not answer.
pub fn container_by_id(cx: &Context, id: &str) -> Result<Option<Container>, DockerError> {
    Ok(inspect_one(cx, Kind::Container, id)?.as_ref().map(container))
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

fn image_of(value: &Value) -> Image {
    Image {
        id: text(value, "/Id"),
        tags: list(value.pointer("/RepoTags")),
        digests: list(value.pointer("/RepoDigests")),
    }
}

/// An image by name or id; `None` where the engine has none.
///
/// # Errors
/// The engine does not answer.
pub fn image(cx: &Context, name: &str) -> Result<Option<Image>, DockerError> {
    Ok(inspect_one(cx, Kind::Image, name)?.as_ref().map(image_of))
}

/// The images of these names or ids that the engine has, by the names and ids that were asked for.
///
/// # Errors
/// The engine does not answer.
pub fn images(cx: &Context, names: &BTreeSet<String>) -> Result<BTreeMap<String, Image>, DockerError> {
    let asked_for: Vec<String> = names.iter().cloned().collect();
    // One call for all; only where one of them is not there each is asked for by itself.
    match inspect(cx, Kind::Image, &asked_for) {
        Ok(found) => Ok(asked_for.into_iter().zip(found.iter().map(image_of)).collect()),
        Err(error) if error.is_missing() => {
            let mut there = BTreeMap::new();
            for name in asked_for {
                if let Some(image) = image(cx, &name)? {
                    there.insert(name, image);
                }
            }
            Ok(there)
        }
        Err(error) => Err(error),
    }
}

/// What the labels of images are called that say which release they are, as the open container initiative has it.
const REVISION: &str = "/Config/Labels/org.opencontainers.image.revision";
const VERSION: &str = "/Config/Labels/org.opencontainers.image.version";
/// Where Compose says which service it has built an image for.
const SERVICE: &str = "/Config/Labels/com.docker.compose.service";

/// An image and what it says of its release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// The image.
    pub image: Image,
    /// The commit that it was built from, by its label; empty: it does not say.
    pub revision: String,
    /// Its version, by its label; empty: it does not say.
    pub version: String,
    /// The Compose service that it was built for; empty: it does not say.
    pub service: String,
}

/// All images of the engine, those that have lost their names among them, with what they say of their release.
///
/// # Errors
/// The engine does not answer.
pub fn labelled_images(cx: &Context) -> Result<Vec<Labelled>, DockerError> {
    let request = Request::get(&["images", "json"]);
    let ids: BTreeSet<String> = if let Some(answer) = asked(cx, &request) {
        let listed = read(&answer?, &request)?;
        listed
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| text(one, "/Id"))
            .collect()
    } else {
        let told = cx
            .output(&docker().args(["image", "ls", "--no-trunc", "--quiet"]))
            .map_err(explained)?
            .text();
        told.lines().map(str::to_owned).collect()
    };
    let found = inspect(cx, Kind::Image, &ids.into_iter().collect::<Vec<_>>())?;
    let labelled = found.iter().map(|value| Labelled {
        image: image_of(value),
        revision: text(value, REVISION),
        version: text(value, VERSION),
        service: text(value, SERVICE),
    });
    Ok(labelled.collect())
}

/// The names of all images with their full ids, `app:latest sha256:…`, in order; those without a name are left out.
///
/// # Errors
/// The engine does not answer within `limit`.
pub fn image_names(cx: &Context, limit: Option<Duration>) -> Result<Vec<String>, DockerError> {
    let request = Request::get(&["images", "json"]).within(limit);
    let mut lines: Vec<String> = if let Some(answer) = asked(cx, &request) {
        let found = read(&answer?, &request)?;
        let found = found.as_array().into_iter().flatten();
        found
            .flat_map(|one| {
                let id = text(one, "/Id");
                list(one.pointer("/RepoTags"))
                    .into_iter()
                    .map(move |name| format!("{name} {id}"))
            })
            .collect()
    } else {
        let format = "{{.Repository}}:{{.Tag}} {{.ID}}";
        let call = limited(docker().args(["image", "ls", "--no-trunc", "--format", format]), limit);
        let told = cx.output(&call).map_err(explained)?.text();
        told.lines().map(str::to_owned).collect()
    };
    lines.retain(|line| !line.contains("<none>"));
    lines.sort_unstable();
    lines.dedup();
    Ok(lines)
}

/// A volume by name; `None` where the engine has none.
///
/// # Errors
/// The engine does not answer.
pub fn volume(cx: &Context, name: &str) -> Result<Option<Volume>, DockerError> {
    Ok(inspect_one(cx, Kind::Volume, name)?.map(|value| Volume {
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
    volumes_labelled(cx, &[&label_of(project)])
}

/// The names of the volumes that have all of these labels, `name=value`, in order.
///
/// # Errors
/// The engine does not answer.
pub fn volumes_labelled(cx: &Context, labels: &[&str]) -> Result<Vec<String>, DockerError> {
    let request = Request::get(&["volumes"]).with("filters", serde_json::json!({ "label": labels }).to_string());
    let mut names: Vec<String> = if let Some(answer) = asked(cx, &request) {
        let found = read(&answer?, &request)?;
        let found = found
            .pointer("/Volumes")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        found.map(|one| text(one, "/Name")).collect()
    } else {
        let mut call = docker().args(["volume", "ls", "--quiet"]);
        for label in labels {
            call = call.arg("--filter").arg(format!("label={label}"));
        }
        let told = cx.output(&call).map_err(explained)?.text();
        told.lines().map(str::to_owned).collect()
    };
    names.sort_unstable();
    Ok(names)
}

/// A call that runs a program in a running container, without a terminal. Variables are handed on by name, so that
/// their values never show in an argument list; `reads` opens its standard input. Where the engine has a socket on this host it is
/// asked there, and no process is started here; [`Call::by_program`] is for what may go on for long.
#[must_use]
pub fn exec(container: &str, env: &[(&str, &str)], reads: bool, words: &[&str]) -> Call {
    let mut call = docker().arg("exec");
    if reads {
        call = call.arg("--interactive");
    }
    for (name, value) in env {
        call = call.args(["--env", name]).env(name, value);
    }
    let variables: Vec<&str> = env.iter().map(|(name, _)| *name).collect();
    call.arg(container).within(container, &variables, reads).args(words)
}
