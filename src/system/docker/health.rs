//! How long a container's health check may take until it has said anything, by its own settings.

use std::time::Duration;

use super::check::{Check, check};
use super::client::DockerError;
use super::engine::{Kind, inspect};
use crate::context::Context;

/// The longest time that a first verdict of these containers' health checks may take. Zero where none has a check.
///
/// # Errors
/// The engine does not answer, or a container is not there any more.
pub fn time_to_health(cx: &Context, ids: &[String]) -> Result<Duration, DockerError> {
    let checks = health_checks(cx, ids)?;
    let times = checks.into_iter().flatten().map(|check| check.longest());
    Ok(times.max().unwrap_or_default())
}

/// The health checks of these containers, in their order; `None` for one that has none.
///
/// # Errors
/// The engine does not answer, or a container is not there any more.
pub fn health_checks(cx: &Context, ids: &[String]) -> Result<Vec<Option<Check>>, DockerError> {
    let found = inspect(cx, Kind::Container, ids)?;
    Ok(found
        .iter()
        .map(|value| value.pointer("/Config/Healthcheck").and_then(check))
        .collect())
}
