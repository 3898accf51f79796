//! By which road an engine is asked: through its socket, where it has one on this host, and else by the program `docker`.
//!
//! Which engine is meant is decided as the program decides it: `DOCKER_HOST`, then `DOCKER_CONTEXT`, then the context that its
//! settings name, then the usual socket. Where a part of that is more than the address of a socket (ssh, TLS, headers, a
//! version), the program is asked, which knows.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use serde_json::Value;

use super::client::{DockerError, docker, explained};
use super::known::Road;
use super::socket::{Answer, NoSocket, Request, Silence, Socket, Until};
use crate::context::Context;
use crate::disk;
use crate::processes::CallError;

/// Where the engine listens where nobody says otherwise.
const USUAL: &str = "unix:///var/run/docker.sock";
/// Variables that change how the program speaks with an engine, and which only it understands.
const PROGRAMS_OWN: [&str; 3] = ["DOCKER_API_VERSION", "DOCKER_CUSTOM_HEADERS", "DOCKER_TLS_VERIFY"];

/// The engine's socket, where it is asked there; `None` where the program has to be asked.
pub(super) fn socket(cx: &Context) -> Option<Arc<Socket>> {
    if cx.roads.by_program {
        return None;
    }
    let named = ["DOCKER_HOST", "DOCKER_CONTEXT"].map(|name| cx.environment.text(name).map(str::to_owned));
    let mut known = cx.roads.known.lock().unwrap_or_else(PoisonError::into_inner);
    match known.get(&named) {
        Some(Road::Socket(socket)) => return Some(Arc::clone(socket)),
        Some(Road::Program) => return None,
        None => {}
    }
    let Some(path) = path_of(cx) else {
        known.insert(named, Road::Program);
        return None;
    };
    match Socket::open(&path, until(cx)) {
        Ok(socket) => {
            let socket = Arc::new(socket);
            known.insert(named, Road::Socket(Arc::clone(&socket)));
            Some(socket)
        }
        // It may answer later.
        Err(NoSocket::Silent) => None,
        Err(NoSocket::Unknown) => {
            known.insert(named, Road::Program);
            None
        }
    }
}

/// The path of the socket at which the program would ask; `None` where it would ask otherwise.
fn path_of(cx: &Context) -> Option<PathBuf> {
    let told = |name| cx.environment.text(name);
    if PROGRAMS_OWN.iter().any(|name| told(name).is_some()) {
        return None;
    }
    let directory = cx
        .environment
        .path("DOCKER_CONFIG")
        .or_else(|| Some(cx.environment.path("HOME")?.join(".docker")))?;
    let settings = disk::read_optional(&directory.join("config.json")).ok()?;
    let settings: Value = settings.map_or(Some(Value::Null), |bytes| serde_json::from_slice(&bytes).ok())?;
    if settings.get("HttpHeaders").is_some() {
        return None;
    }
    let address = if let Some(host) = told("DOCKER_HOST") {
        host.to_owned()
    } else {
        let chosen = settings.get("currentContext").and_then(Value::as_str);
        match told("DOCKER_CONTEXT").or(chosen) {
            None | Some("" | "default") => USUAL.to_owned(),
            Some(_) => {
                let mut call = docker().args(["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]);
                for name in ["DOCKER_CONTEXT", "DOCKER_CONFIG"] {
                    if let Some(value) = told(name) {
                        call = call.env(name, value);
                    }
                }
                cx.output(&call).ok()?.text()
            }
        }
    };
    let path = Path::new(address.strip_prefix("unix://")?);
    path.is_absolute().then(|| path.to_owned())
}

/// Whether the engine is asked through its socket.
#[must_use]
pub fn has_socket(cx: &Context) -> bool {
    socket(cx).is_some()
}

/// What ends a wait in these surroundings.
pub(super) fn until(cx: &Context) -> Until<'_> {
    Until {
        clock: cx.clock.as_ref(),
        stop: &cx.stop,
    }
}

/// What the engine answers through its socket; `None` where the program has to be asked.
pub(super) fn asked(cx: &Context, request: &Request) -> Option<Result<Answer, DockerError>> {
    let socket = socket(cx)?;
    heard(socket.ask(until(cx), request), request, cx)
        .map(|answer| answer.and_then(|answer| sound(answer, request, cx)))
}

/// The same for several requests, side by side. The first that is refused is told.
pub(super) fn asked_all(cx: &Context, requests: &[Request]) -> Option<Result<Vec<Answer>, DockerError>> {
    let first = requests.first()?;
    let socket = socket(cx)?;
    let answers = heard(socket.ask_all(until(cx), requests), first, cx)?;
    Some(answers.and_then(|answers| {
        let pairs = answers.into_iter().zip(requests);
        pairs.map(|(answer, request)| sound(answer, request, cx)).collect()
    }))
}

/// What came of a question, in the words of this room; `None`: nothing was heard, so that the program has to be asked.
pub(super) fn heard<T>(outcome: Result<T, Silence>, request: &Request, cx: &Context) -> Option<Result<T, DockerError>> {
    let call = || cx.redaction.clean(&request.words());
    let error = match outcome {
        Ok(answer) => return Some(Ok(answer)),
        Err(Silence::Unheard) => return None,
        Err(Silence::Stopped) => CallError::Stopped { call: call() },
        Err(Silence::TimedOut(after)) => CallError::TimedOut { call: call(), after },
        Err(Silence::Refused(source)) => CallError::Data { call: call(), source },
    };
    Some(Err(explained(error)))
}

/// An answer that is one.
pub(super) fn sound(answer: Answer, request: &Request, cx: &Context) -> Result<Answer, DockerError> {
    // 304 is said of a container that is started or stopped already.
    if answer.status < 300 || answer.status == 304 {
        return Ok(answer);
    }
    let told: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let message = told
        .as_ref()
        .and_then(|told| told.get("message"))
        .and_then(Value::as_str);
    let message = message.map_or_else(
        || String::from_utf8_lossy(&answer.body).trim().to_owned(),
        str::to_owned,
    );
    Err(DockerError::Refused {
        call: cx.redaction.clean(&request.words()),
        status: answer.status,
        message: cx.redaction.clean(&message),
    })
}

/// An answer as what it says.
pub(super) fn read(answer: &Answer, request: &Request) -> Result<Value, DockerError> {
    serde_json::from_slice(&answer.body).map_err(|source| DockerError::Answer {
        call: request.words(),
        source,
    })
}
