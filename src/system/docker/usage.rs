//! Who uses a volume or a directory, and whether the engine's directories are this host's.

use super::engine::{Container, container, inspect, is_missing};
use super::{DockerError, docker, explained};
use crate::call::Call;
use crate::context::Context;
use crate::privilege;

fn lines(cx: &Context, call: &Call) -> Result<Vec<String>, DockerError> {
    let output = cx.output(call).map_err(explained)?;
    Ok(output.text().lines().map(str::to_owned).collect())
}

/// All containers of the engine that mount one of these volumes or a path at, above or below one of these paths.
///
/// # Errors
/// The engine does not answer.
pub fn containers_using(cx: &Context, sources: &[&str]) -> Result<Vec<Container>, DockerError> {
    let overlaps = |mount: &str| {
        sources.iter().any(|source| {
            let (mount, source) = (std::path::Path::new(mount), std::path::Path::new(source));
            mount == source || (source.is_absolute() && (mount.starts_with(source) || source.starts_with(mount)))
        })
    };
    // A container may vanish between the listing and the look at it: then the listing is made again.
    for attempt in 0.. {
        let ids = lines(cx, &docker().args(["ps", "--all", "--quiet", "--no-trunc"]))?;
        match inspect(cx, "container", &ids) {
            Ok(found) => {
                let mut found: Vec<Container> = found.iter().map(container).collect();
                found.retain(|container| container.mounts.iter().any(|mount| overlaps(&mount.source)));
                found.sort_by(|one, other| one.name.cmp(&other.name));
                return Ok(found);
            }
            Err(error) if attempt < 5 && is_missing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Vec::new())
}

/// Whether the engine runs on this host, outside of any virtual machine, so that a volume's directory can be read here.
/// A path alone would not tell: another host has the same paths.
///
/// # Errors
/// The engine does not answer.
pub fn is_on_this_host(cx: &Context) -> Result<bool, DockerError> {
    let named = cx
        .environment
        .text("DOCKER_HOST")
        .filter(|_| cx.environment.text("DOCKER_CONTEXT").is_none());
    let host = if let Some(host) = named {
        host.to_owned()
    } else {
        let call = docker().args(["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]);
        cx.output(&call).map_err(explained)?.text()
    };
    if !host.starts_with("unix://") {
        return Ok(false);
    }
    let name = cx
        .output(&docker().args(["info", "--format", "{{.Name}}"]))
        .map_err(explained)?;
    Ok(name.text() == privilege::host_name())
}

/// The names of the volumes that match these filters: `label=com.docker.compose.project=shop`.
///
/// # Errors
/// The engine does not answer.
pub fn volumes_matching(cx: &Context, filters: &[String]) -> Result<Vec<String>, DockerError> {
    let mut call = docker().args(["volume", "ls", "--quiet"]);
    for filter in filters {
        call = call.args(["--filter", filter]);
    }
    lines(cx, &call)
}
