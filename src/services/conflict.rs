//! A port or a name that something else holds: waited for a while, then told with who holds it.

use std::time::Duration;

use super::{Result, ServiceError};
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::docker::{DockerError, docker, explained};

/// Runs a call that starts containers; while something holds what they need it is tried again, so many times, after so long.
pub(super) fn run(call: &Call, patience: (u32, Duration), cx: &Context) -> Result<()> {
    tried(&|| cx.output(call).map(drop).map_err(explained), patience, cx)
}

/// The same of whatever starts containers.
pub(super) fn tried(
    start: &dyn Fn() -> std::result::Result<(), DockerError>,
    patience: (u32, Duration),
    cx: &Context,
) -> Result<()> {
    let (most, pause) = patience;
    let mut tried = 1;
    loop {
        let Err(error) = start() else {
            return Ok(());
        };
        let Some(held) = error.said().and_then(Held::read) else {
            return Err(ServiceError::engine("start the services")(error));
        };
        if tried >= most || cx.stop.is_asked() {
            return Err(ServiceError::Conflict(held.told(cx)));
        }
        tried += 1;
        cx.clock.sleep(pause);
    }
}

/// What something else holds.
#[derive(Debug, PartialEq, Eq)]
enum Held {
    /// A port of the host.
    Port(String),
    /// A container's name, and the id of the container that has it.
    Name(String, String),
}

impl Held {
    /// Finds it in what Docker says.
    fn read(stderr: &str) -> Option<Self> {
        if stderr.contains("is already in use by container") {
            let mut quoted = stderr
                .split('"')
                .skip_while(|part| !part.contains("container name"))
                .skip(1)
                .step_by(2);
            let name = quoted.next()?.trim_start_matches('/').to_owned();
            return Some(Self::Name(name, quoted.next().unwrap_or_default().to_owned()));
        }
        let line = stderr
            .lines()
            .find(|line| line.contains("port is already allocated") || line.contains("address already in use"))?;
        // `Bind for 0.0.0.0:8080 failed: …`, `listen tcp4 0.0.0.0:8080: bind: …`: the last word with a port in it.
        let mut ports = line.split_whitespace().filter_map(|word| {
            let port = word.trim_end_matches(':').rsplit_once(':')?.1;
            port.parse::<u16>().ok()
        });
        ports.next_back().map(|port| Self::Port(port.to_string()))
    }

    /// Says who holds it.
    fn told(&self, cx: &Context) -> String {
        match self {
            Self::Port(port) => {
                let filter = format!("publish={port}");
                let format = "{{.Names}} ({{.Image}}, {{.Status}})";
                let holder = answer(&docker().args(["ps", "--filter", &filter, "--format", format]), cx);
                match holder {
                    Ok(text) if !text.is_empty() => {
                        let name = text.split(' ').next().unwrap_or_default();
                        format!("port {port} is held by the container {text}; `docker stop {name}` frees it")
                    }
                    _ => format!(
                        "port {port} is held by a process that is not a container; `ss --listening --tcp --processes sport = :{port}` names it"
                    ),
                }
            }
            Self::Name(name, id) => {
                let format = "made {{.CreatedAt}}, {{.Status}}, project {{.Label \"com.docker.compose.project\"}}";
                let filter = format!("id={id}");
                let whose = answer(
                    &docker().args(["ps", "--all", "--filter", &filter, "--format", format]),
                    cx,
                );
                let whose = whose.unwrap_or_default();
                format!(
                    "the name {name} is held by another container ({whose}); `docker rename {name} {name}-old` frees it"
                )
            }
        }
    }
}

fn answer(call: &Call, cx: &Context) -> std::result::Result<String, DockerError> {
    let text = cx.output(call).map_err(explained)?.text();
    Ok(text.lines().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_says_is_understood() {
        let said = "Error response from daemon: driver failed programming external connectivity on endpoint shop-nginx-1 (ab12): Bind for 127.0.0.1:8080 failed: port is already allocated";
        assert_eq!(Held::read(said), Some(Held::Port("8080".to_owned())));
        let said = "Error response from daemon: Error starting userland proxy: listen tcp4 127.0.0.1:8081: bind: address already in use";
        assert_eq!(Held::read(said), Some(Held::Port("8081".to_owned())));
        let said = "Error response from daemon: Conflict. The container name \"/shop-app\" is already in use by container \"0123ab\". You have to remove (or rename) that container to be able to reuse that name.";
        assert_eq!(
            Held::read(said),
            Some(Held::Name("shop-app".to_owned(), "0123ab".to_owned()))
        );
        assert_eq!(Held::read("no such service: app"), None);
    }
}
