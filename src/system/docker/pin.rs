//! Pins: what keeps an image in the engine while a backup may need it.
//!
//! A pin is a never-started container made from the image, and a name for it. Measured on Engine 20.10: the container
//! holds the image against `docker image prune --all` (which may take all of its names but one) and `docker rmi`; the name
//! holds it against `docker container prune` and `docker system prune`, which remove the container and then what has no
//! name. Nothing that does not run holds it against `docker system prune --all`, and nothing at all against `docker rmi
//! --force`; `docker system prune --all --filter label!=guard.pin` spares the container and so the image.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::acts::{create, remove, tag, untag};
use super::engine::{Kind, inspect_one};
use super::{DockerError, docker, explained};
use crate::context::Context;
use crate::disk::sha256_hex;

/// The label of a pin's container; its value is the token of the run that made it.
///
/// It is not [`super::LABEL`]: what carries that one is removed when its run is over.
pub const PIN_LABEL: &str = "guard.pin";

const PROJECT_LABEL: &str = "com.docker.compose.project";
/// What a pin says is its project where it has to name one; `docker compose ls --all` shows it.
const PINS_PROJECT: &str = "guard-pins";

/// What a pin would run if somebody started it: nothing that there is.
const COMMAND: &str = "never-started";

/// What holds one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The full id of the image.
    pub image: String,
    /// The container's name.
    pub container: String,
    /// The image's additional name.
    pub tag: String,
}

/// A text as a component of an image's name, which allows less than a service's name does; two texts stay two.
fn component(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                c
            } else {
                '-'
            }
        })
        .collect();
    let plain = plain.trim_matches('-').to_owned();
    if plain == text {
        return plain;
    }
    let digest = sha256_hex(text.as_bytes());
    format!("{plain}.{}", digest.get(..8).unwrap_or_default())
        .trim_start_matches('.')
        .to_owned()
}

/// Pins an image for a service. Safe to repeat: names follow from the arguments.
///
/// # Errors
/// The engine does not answer, or has no such image.
pub fn pin(cx: &Context, image_id: &str, project: &str, service: &str, token: &str) -> Result<Pin, DockerError> {
    let (project, service) = (component(project), component(service));
    let pin = Pin {
        image: image_id.to_owned(),
        container: format!("guard-pin-{project}-{service}-{token}"),
        tag: format!("guard/pin/{project}/{service}:{token}"),
    };
    tag(cx, image_id, &pin.tag)?;
    if let Some(there) = inspect_one(cx, Kind::Container, &pin.container)? {
        if there.pointer("/Image").and_then(Value::as_str) == Some(image_id) {
            return Ok(pin);
        }
        remove_pin_container(cx, &pin.container)?;
    }
    let found = inspect_one(cx, Kind::Image, image_id)?
        .ok_or_else(|| DockerError::Missing(format!("the engine has no image {image_id}")))?;
    let mut labels = vec![(PIN_LABEL.to_owned(), token.to_owned())];
    // An image that Compose built carries the project's labels, and a container would inherit them: it must not be taken
    // for one of the service's own.
    for label in ["project", "service", "oneoff", "container-number"] {
        labels.push((format!("com.docker.compose.{label}"), String::new()));
    }
    // `docker compose build` labels what it builds, and a container inherits its image's labels: Compose would take the
    // pin for a container of its project, and start or remove it.
    if names_of(&found, "/Config/Labels").any(|label| label == PROJECT_LABEL) {
        labels.push((PROJECT_LABEL.to_owned(), PINS_PROJECT.to_owned()));
    }
    // The engine would make an anonymous volume for every volume that the image declares.
    let volumes: Vec<&String> = names_of(&found, "/Config/Volumes").collect();
    let mounts = volumes.iter().map(|path| json!({ "Type": "tmpfs", "Target": path }));
    let what = json!({
        "Image": image_id,
        "Cmd": [COMMAND],
        "Labels": labels.iter().cloned().collect::<BTreeMap<String, String>>(),
        "HostConfig": { "NetworkMode": "none", "Mounts": mounts.collect::<Vec<Value>>() },
    });
    if let Some(made) = create(cx, &pin.container, &what) {
        return made.map(|_| pin);
    }
    let mut call = docker().args(["create", "--name", &pin.container]);
    for (name, value) in &labels {
        call = call.args(["--label", &format!("{name}={value}")]);
    }
    call = call.args(["--network", "none"]);
    for path in volumes {
        call = call.args(["--mount", &format!("type=tmpfs,destination={path}")]);
    }
    cx.output(&call.args([image_id, COMMAND])).map_err(explained)?;
    Ok(pin)
}

/// Removes a pin. The image stays while something else holds or names it. What is gone already is fine.
///
/// # Errors
/// The engine does not answer.
pub fn unpin(cx: &Context, pin: &Pin) -> Result<(), DockerError> {
    remove_pin_container(cx, &pin.container)?;
    untag(cx, &pin.tag)
}

fn remove_pin_container(cx: &Context, name: &str) -> Result<(), DockerError> {
    let Some(there) = inspect_one(cx, Kind::Container, name)? else {
        return Ok(());
    };
    if there
        .pointer("/Config/Labels")
        .and_then(|labels| labels.get(PIN_LABEL))
        .is_none()
    {
        return Err(DockerError::Missing(format!(
            "the container {name} is not a pin of guard: it does not carry the label {PIN_LABEL}"
        )));
    }
    remove(cx, name, (true, true), None)
}

fn names_of<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a String> {
    let entries = value.pointer(pointer).and_then(Value::as_object);
    entries.into_iter().flatten().map(|(name, _)| name)
}
