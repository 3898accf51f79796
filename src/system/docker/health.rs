//! How long a container's health check may take until it has said anything, by its own settings.

use std::time::Duration;

use serde_json::Value;

use super::DockerError;
use super::engine::inspect;
use crate::context::Context;

/// The longest time that a first verdict of these containers' health checks may take: the start period, and as many tries
/// as the check has, each as long as it may be. Zero where none has a check.
///
/// # Errors
/// The engine does not answer, or a container is not there any more.
pub fn time_to_health(cx: &Context, ids: &[String]) -> Result<Duration, DockerError> {
    let found = inspect(cx, "container", ids)?;
    let checks = found.iter().filter_map(|value| value.pointer("/Config/Healthcheck"));
    Ok(checks.map(patience).max().unwrap_or_default())
}

/// Docker writes 0 where nothing was set, and means its own defaults.
fn patience(check: &Value) -> Duration {
    let number = |key: &str| check.get(key).and_then(Value::as_u64).filter(|number| *number > 0);
    let span = |key: &str, usual: Duration| number(key).map_or(usual, Duration::from_nanos);
    let usual = Duration::from_secs(30);
    let tries = u32::try_from(number("Retries").unwrap_or(3)).unwrap_or(u32::MAX);
    // Who asks every second and sets no time limit does not mean that each of thirty tries may hang for half a minute.
    let interval = span("Interval", usual);
    let limit = span("Timeout", usual.min(interval.saturating_mul(5)));
    let one = interval.saturating_add(limit);
    span("StartPeriod", Duration::ZERO).saturating_add(one.saturating_mul(tries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_dockers_default() {
        assert_eq!(patience(&serde_json::json!({})), Duration::from_mins(3));
        let check = serde_json::json!({
            "Interval": 1_000_000_000, "Timeout": 2_000_000_000, "StartPeriod": 5_000_000_000_u64, "Retries": 2
        });
        assert_eq!(patience(&check), Duration::from_secs(11));
        let check = serde_json::json!({ "Interval": 1_000_000_000, "Retries": 30 });
        assert_eq!(patience(&check), Duration::from_mins(3));
    }
}
