//! A container's health check, as the engine makes it of what a container was given.

use std::time::Duration;

use serde_json::Value;

use guard_model::text::duration;

/// A container's health check, as the engine makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// For so long after the start a failure does not count.
    pub start_period: Duration,
    /// Between two tries.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// So many that fail in a row make it unhealthy.
    pub tries: u32,
}

impl Check {
    /// The longest time until it has said anything: the start period, and as many tries as it has, each as long as it may be.
    #[must_use]
    pub fn longest(&self) -> Duration {
        let one = self.interval.saturating_add(self.timeout);
        self.start_period.saturating_add(one.saturating_mul(self.tries))
    }

    /// The settings that say so: `start_period 2min, interval 10s, timeout 30s, retries 12`.
    #[must_use]
    pub fn words(&self) -> String {
        let head = if self.start_period.is_zero() {
            String::new()
        } else {
            format!("start_period {}, ", duration(self.start_period))
        };
        format!(
            "{head}interval {}, timeout {}, retries {}",
            duration(self.interval),
            duration(self.timeout),
            self.tries
        )
    }
}

fn number(check: &Value, key: &str) -> Option<u64> {
    check.get(key).and_then(Value::as_u64).filter(|number| *number > 0)
}

/// How many failures in a row a check needs; Docker's own number where nothing was set.
pub(super) fn tries(check: &Value) -> u64 {
    number(check, "Retries").unwrap_or(3)
}

/// The words that the engine runs in a container to check its health, from all that it says of the container.
pub(super) fn words(container: &Value) -> Vec<String> {
    let list = |pointer: &str| -> Vec<String> {
        let words = container.pointer(pointer).and_then(Value::as_array);
        let words = words.into_iter().flatten().filter_map(Value::as_str);
        words.map(str::to_owned).collect()
    };
    let mut test = list("/Config/Healthcheck/Test");
    if test.is_empty() {
        return test;
    }
    match test.remove(0).as_str() {
        "CMD" => test,
        "CMD-SHELL" => {
            let shell = list("/Config/Shell");
            let usual = || ["/bin/sh", "-c"].map(str::to_owned).to_vec();
            let shell = if shell.is_empty() { usual() } else { shell };
            shell.into_iter().chain(test).collect()
        }
        _ => Vec::new(),
    }
}

/// Docker writes 0 where nothing was set, and means its own defaults. A check that is switched off is none.
pub(super) fn check(check: &Value) -> Option<Check> {
    let test = check.get("Test").and_then(Value::as_array);
    let is_off = test.is_some_and(|words| words.first().is_none_or(|word| word == "NONE"));
    if is_off || !check.is_object() {
        return None;
    }
    let span = |key: &str, usual: Duration| number(check, key).map_or(usual, Duration::from_nanos);
    let usual = Duration::from_secs(30);
    let interval = span("Interval", usual);
    Some(Check {
        start_period: span("StartPeriod", Duration::ZERO),
        interval,
        // Who asks every second and sets no time limit does not mean that each of thirty tries may hang for half a minute.
        timeout: span("Timeout", usual.min(interval.saturating_mul(5))),
        tries: u32::try_from(tries(check)).unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest(settings: &Value) -> Option<Duration> {
        check(settings).map(|check| check.longest())
    }

    #[test]
    fn what_is_not_set_is_dockers_default() {
        assert_eq!(longest(&serde_json::json!({})), Some(Duration::from_mins(3)));
        let settings = serde_json::json!({
            "Interval": 1_000_000_000, "Timeout": 2_000_000_000, "StartPeriod": 5_000_000_000_u64, "Retries": 2
        });
        assert_eq!(longest(&settings), Some(Duration::from_secs(11)));
        let settings = serde_json::json!({ "Interval": 1_000_000_000, "Retries": 30 });
        assert_eq!(longest(&settings), Some(Duration::from_mins(3)));
    }

    #[test]
    fn a_check_is_run_as_the_engine_runs_it() {
        let of = |test: &[&str], shell: &[&str]| {
            words(&serde_json::json!({ "Config": { "Healthcheck": { "Test": test }, "Shell": shell } }))
        };
        assert_eq!(
            of(&["CMD", "pg_isready", "-U", "shop"], &[]),
            ["pg_isready", "-U", "shop"]
        );
        assert_eq!(
            of(&["CMD-SHELL", "curl -f x || exit 1"], &[]),
            ["/bin/sh", "-c", "curl -f x || exit 1"]
        );
        assert_eq!(
            of(&["CMD-SHELL", "x"], &["/bin/bash", "-ec"]),
            ["/bin/bash", "-ec", "x"]
        );
        assert_eq!(of(&["NONE"], &[]), Vec::<String>::new());
        assert_eq!(words(&serde_json::json!({ "Config": {} })), Vec::<String>::new());
    }

    #[test]
    fn a_check_that_is_switched_off_is_none() {
        assert_eq!(longest(&serde_json::json!({ "Test": ["NONE"] })), None);
        assert_eq!(longest(&serde_json::json!({ "Test": [] })), None);
        assert_eq!(longest(&Value::Null), None);
    }
}
