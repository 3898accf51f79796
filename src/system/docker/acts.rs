//! What is done to containers and images: through the engine's socket, and where there is none by the same words of `docker`.

use std::time::Duration;

use serde_json::{Value, json};

use super::road::{asked, asked_all, heard, read, socket, sound, until};
use super::socket::Request;
use super::{DockerError, docker, explained};
use crate::call::Call;
use crate::context::Context;

/// Does it to each of these containers, side by side; the first that refuses is told when all are done.
fn each(
    verb: &str,
    ids: &[&str],
    limit: Option<Duration>,
    cx: &Context,
    request: impl Fn(&str) -> Request,
) -> Result<(), DockerError> {
    let requests: Vec<Request> = ids.iter().map(|id| request(id).within(limit)).collect();
    match asked_all(cx, &requests) {
        Some(outcome) => outcome.map(drop),
        None if ids.is_empty() => Ok(()),
        None => by_program(docker().arg(verb).args(ids), limit, cx),
    }
}

fn by_program(mut call: Call, limit: Option<Duration>, cx: &Context) -> Result<(), DockerError> {
    if let Some(limit) = limit {
        call = call.timeout(limit);
    }
    cx.output(&call).map(drop).map_err(explained)
}

/// Does it; without a socket by this call.
fn once(request: Request, call: Call, limit: Option<Duration>, cx: &Context) -> Result<(), DockerError> {
    match asked(cx, &request.within(limit)) {
        Some(outcome) => outcome.map(drop),
        None => by_program(call, limit, cx),
    }
}

/// Starts containers, all at once. Those that run already are left as they are.
///
/// # Errors
/// The engine does not answer, or cannot start one; the others are started all the same.
pub fn start(cx: &Context, ids: &[&str], limit: Option<Duration>) -> Result<(), DockerError> {
    each("start", ids, limit, cx, |id| {
        Request::post(&["containers", id, "start"])
    })
}

/// Stops containers, all at once, each within its own grace. Those that do not run are left as they are.
///
/// # Errors
/// The engine does not answer, or cannot stop one; the others are stopped all the same.
pub fn stop(cx: &Context, ids: &[&str], limit: Option<Duration>) -> Result<(), DockerError> {
    each("stop", ids, limit, cx, |id| Request::post(&["containers", id, "stop"]))
}

/// Pauses containers.
///
/// # Errors
/// The engine does not answer, or cannot pause one; the others are paused all the same.
pub fn pause(cx: &Context, ids: &[&str]) -> Result<(), DockerError> {
    each("pause", ids, None, cx, |id| Request::post(&["containers", id, "pause"]))
}

/// Lets paused containers go on.
///
/// # Errors
/// The engine does not answer, or one is not paused; the others go on all the same.
pub fn unpause(cx: &Context, ids: &[&str]) -> Result<(), DockerError> {
    each("unpause", ids, None, cx, |id| {
        Request::post(&["containers", id, "unpause"])
    })
}

/// Stops a container within its own grace, and starts it.
///
/// # Errors
/// The engine does not answer, or cannot.
pub fn restart(cx: &Context, id: &str, limit: Option<Duration>) -> Result<(), DockerError> {
    each("restart", &[id], limit, cx, |id| {
        Request::post(&["containers", id, "restart"])
    })
}

/// Gives a container another name.
///
/// # Errors
/// The engine does not answer, has no such container, or another one has the name.
pub fn rename(cx: &Context, id: &str, name: &str) -> Result<(), DockerError> {
    let request = Request::post(&["containers", id, "rename"]).with("name", name);
    once(request, docker().args(["rename", id, name]), None, cx)
}

/// Removes a container, with its anonymous volumes where `volumes`; one that runs is killed where `force`.
///
/// # Errors
/// The engine does not answer, has no such container, or it runs.
pub fn remove(
    cx: &Context,
    id: &str,
    (force, volumes): (bool, bool),
    limit: Option<Duration>,
) -> Result<(), DockerError> {
    let number = |flag: bool| if flag { "1" } else { "0" };
    let request = Request::delete(&["containers", id])
        .with("force", number(force))
        .with("v", number(volumes));
    let mut call = docker().arg("rm");
    for (flag, word) in [(force, "--force"), (volumes, "--volumes")] {
        if flag {
            call = call.arg(word);
        }
    }
    once(request, call.arg(id), limit, cx)
}

/// Gives containers this restart policy, as `docker update --restart` takes it: `always`, `on-failure:3`.
///
/// # Errors
/// The engine does not answer, or one is not there; the others are given it all the same.
pub fn set_restart_policy(cx: &Context, ids: &[&str], policy: &str) -> Result<(), DockerError> {
    let (name, count) = policy.split_once(':').unwrap_or((policy, "0"));
    let count: u32 = count.parse().unwrap_or_default();
    let body = json!({ "RestartPolicy": { "Name": name, "MaximumRetryCount": count } });
    let request = |id: &&str| Request::post(&["containers", id, "update"]).body(body.clone());
    let requests: Vec<Request> = ids.iter().map(request).collect();
    match asked_all(cx, &requests) {
        Some(outcome) => outcome.map(drop),
        None if ids.is_empty() => Ok(()),
        None => by_program(docker().args(["update", "--restart", policy]).args(ids), None, cx),
    }
}

/// Gives an image a name, taking it from another image where one has it.
///
/// # Errors
/// The engine does not answer, has no such image, or the name cannot be one.
pub fn tag(cx: &Context, image: &str, name: &str) -> Result<(), DockerError> {
    let call = docker().args(["tag", image, name]);
    // What comes behind a colon is a tag only where no slash follows: else it is the registry's port.
    let (place, tag) = match name.rsplit_once(':') {
        Some((place, tag)) if !tag.contains('/') => (place, tag),
        _ => (name, "latest"),
    };
    if name.contains('@') {
        return by_program(call, None, cx);
    }
    let request = Request::post(&["images", image, "tag"])
        .with("repo", place)
        .with("tag", tag);
    once(request, call, None, cx)
}

/// Takes a name from its image; an image that has no other name and no container is removed with it. A name that is not
/// there is fine.
///
/// # Errors
/// The engine does not answer or refuses.
pub fn untag(cx: &Context, name: &str) -> Result<(), DockerError> {
    let request = Request::delete(&["images", name]).with("noprune", "1");
    match once(request, docker().args(["rmi", "--no-prune", name]), None, cx) {
        Err(error) if error.is_missing() => Ok(()),
        outcome => outcome,
    }
}

/// Makes a container of this name by the engine's API, in the form of `POST /containers/create`. `None`: the engine is not
/// asked through a socket, and nothing was made.
///
/// # Errors
/// The engine refuses it.
#[must_use]
pub fn create(cx: &Context, name: &str, what: &Value) -> Option<Result<String, DockerError>> {
    let request = Request::post(&["containers", "create"])
        .with("name", name)
        .body(what.clone());
    let answer = asked(cx, &request)?;
    Some(answer.and_then(|answer| {
        let made = read(&answer, &request)?;
        Ok(made.get("Id").and_then(Value::as_str).unwrap_or_default().to_owned())
    }))
}

/// Runs a program in a running container through the engine's socket, as the container's own user, without input. Its exit code,
/// and the end of what it wrote. `None`: the engine is not asked through a socket.
///
/// # Errors
/// The engine refuses it, or it takes longer than `limit`; it then goes on in the container.
#[must_use]
pub fn run_inside(
    cx: &Context,
    container: &str,
    words: &[String],
    limit: Duration,
) -> Option<Result<(i64, String), DockerError>> {
    /// The end of what it wrote that is kept, in bytes.
    const KEPT: usize = 4096;
    let socket = socket(cx)?;
    let made = Request::post(&["containers", container, "exec"]).body(json!({
        "Cmd": words, "AttachStdout": true, "AttachStderr": true,
    }));
    let done = || -> Option<Result<(i64, String), DockerError>> {
        let told = match asked(cx, &made)? {
            Ok(answer) => read(&answer, &made),
            Err(error) => Err(error),
        };
        let id = match told {
            Ok(told) => told.get("Id").and_then(Value::as_str).unwrap_or_default().to_owned(),
            Err(error) => return Some(Err(error)),
        };
        let begun = Request::post(&["exec", &id, "start"])
            .body(json!({ "Detach": false, "Tty": false }))
            .within(Some(limit));
        let mut kept = Vec::new();
        let streamed = socket.stream(until(cx), &begun, false, &mut |bytes| {
            kept.extend_from_slice(bytes);
            let surplus = kept.len().saturating_sub(KEPT);
            kept.drain(..surplus);
            Ok(())
        });
        if let Err(error) = heard(streamed, &begun, cx)?.and_then(|answer| sound(answer, &begun, cx)) {
            return Some(Err(error));
        }
        let looked = Request::get(&["exec", &id, "json"]);
        let told = match asked(cx, &looked)? {
            Ok(answer) => read(&answer, &looked),
            Err(error) => Err(error),
        };
        Some(told.map(|told| {
            let code = told.get("ExitCode").and_then(Value::as_i64);
            // Without a code nothing was proven: that is not what ends well.
            (code.unwrap_or(-1), cx.redaction.clean(&String::from_utf8_lossy(&kept)))
        }))
    };
    done()
}
