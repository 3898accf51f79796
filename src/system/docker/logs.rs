//! What containers have written: through the engine's socket, and where there is none by `docker logs`.

use std::io;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

use super::engine::{Kind, inspect};
use super::road::{heard, socket, sound, until};
use super::socket::Request;
use super::{DockerError, docker};
use crate::context::Context;
use crate::processes::CallError;

/// Which part of a log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Part {
    /// From this moment on, itself included.
    pub since: Option<DateTime<Utc>>,
    /// So many lines at most: the last ones.
    pub last: Option<u32>,
    /// Whether each line begins with its moment, RFC 3339 with nine digits, and a space.
    pub stamped: bool,
}

/// Hands on what a container has written to both its outputs, as it comes.
///
/// # Errors
/// The engine does not answer or refuses, it takes longer than `limit`, or the sink failed.
pub fn logs(
    cx: &Context,
    id: &str,
    part: Part,
    limit: Option<Duration>,
    sink: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
) -> Result<(), DockerError> {
    if let Some(socket) = socket(cx) {
        // A container with a terminal has no frames, and before version 1.42 no header says so.
        let looked = inspect(cx, Kind::Container, &[id.to_owned()])?;
        let has_terminal = looked
            .first()
            .and_then(|one| one.pointer("/Config/Tty"))
            .and_then(Value::as_bool);
        let mut request = Request::get(&["containers", id, "logs"])
            .with("stdout", "1")
            .with("stderr", "1")
            .with("timestamps", if part.stamped { "1" } else { "0" })
            .within(limit);
        if let Some(since) = part.since {
            let moment = format!("{}.{:09}", since.timestamp(), since.timestamp_subsec_nanos());
            request = request.with("since", moment);
        }
        if let Some(last) = part.last {
            request = request.with("tail", last.to_string());
        }
        let mut is_begun = false;
        let streamed = socket.stream(until(cx), &request, has_terminal == Some(true), &mut |bytes| {
            is_begun = true;
            sink(bytes)
        });
        match heard(streamed, &request, cx) {
            Some(outcome) => return outcome.and_then(|answer| sound(answer, &request, cx)).map(drop),
            // A part was handed on: the program would tell it again.
            None if is_begun => {
                return Err(DockerError::Unreachable(
                    "it broke off in the middle of a container's log".to_owned(),
                ));
            }
            None => {}
        }
    }
    let mut call = docker().arg("logs").merged();
    if part.stamped {
        call = call.arg("--timestamps");
    }
    if let Some(since) = part.since {
        call = call.args(["--since", &since.to_rfc3339_opts(SecondsFormat::Nanos, true)]);
    }
    if let Some(last) = part.last {
        call = call.args(["--tail", &last.to_string()]);
    }
    if let Some(limit) = limit {
        call = call.timeout(limit);
    }
    let call = call.arg(id);
    let output = cx.stream(&call, sink)?;
    if output.status.success() {
        return Ok(());
    }
    Err(DockerError::Call(CallError::Exit {
        call: call.shown(&cx.redaction),
        exit: output.exit(),
        stderr: output.stderr,
    }))
}
