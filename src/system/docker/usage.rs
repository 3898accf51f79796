//! Who uses a volume or a directory, and whether the engine's directories are this host's.

use super::engine::{Container, all_containers};
use super::road::{asked, read};
use super::socket::Request;
use super::{DockerError, docker, explained};
use crate::context::Context;
use crate::privilege;

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
    let mut found = all_containers(cx)?;
    found.retain(|container| container.mounts.iter().any(|mount| overlaps(&mount.source)));
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// Whether the engine runs on this host, outside of any virtual machine, so that a volume's directory can be read here.
/// A path alone would not tell: another host has the same paths.
///
/// # Errors
/// The engine does not answer.
pub fn is_on_this_host(cx: &Context) -> Result<bool, DockerError> {
    let request = Request::get(&["info"]);
    if let Some(answer) = asked(cx, &request) {
        let told = read(&answer?, &request)?;
        let name = told.get("Name").and_then(serde_json::Value::as_str);
        return Ok(name == Some(privilege::host_name().as_str()));
    }
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
