//! How a release is judged, and what follows from the judgement: `[monitor]` and `[policy]`.

use std::time::Duration;

use super::layer::{Layers, Origin};
use super::value::{self, Wrong};
use guard_model::health::{Decision, RateForm, Rule};
use guard_model::policy::{DataRestore, OnFailure, OnInconclusive, Policy};
use guard_model::section::Section;
use guard_model::setting::Value;

/// The rule, and its deadline for a start where somebody says one; else it is to be learned from earlier starts.
pub(super) fn rule(section: &mut Section<'_>, layers: &mut Layers<'_>) -> (Rule, Option<Duration>) {
    let default = Rule::default();
    let gate = layers.value(section, "monitor.gate", learned, None, "auto");
    let rule = Rule {
        decision: layers.value(section, "monitor.decision", decision, default.decision, "guard"),
        window: layers.value(section, "monitor.duration", value::duration, default.window, "10m"),
        interval: layers.value(section, "monitor.interval", value::duration, default.interval, "1s"),
        consecutive_failures: layers.value(
            section,
            "monitor.consecutive_failures",
            value::count,
            default.consecutive_failures,
            "3",
        ),
        persist: layers.value(section, "monitor.persist", value::duration, default.persist, "10s"),
        error_threshold: layers.value(
            section,
            "monitor.error_threshold",
            value::ratio,
            default.error_threshold,
            "0.10",
        ),
        min_samples: layers.value(section, "monitor.min_samples", value::count, default.min_samples, "20"),
        gate: gate.unwrap_or(default.gate),
        longest_start: None,
        usual_start: None,
        latency: layers.value(section, "monitor.latency", factor, default.latency, "2"),
        rate: layers.value(section, "monitor.rate", rate, default.rate, "evidence"),
    };
    let rule = Rule {
        min_samples: fitting_samples(&rule, layers),
        ..rule
    };
    // Each value is fine by itself here; together they would watch without ever being able to decide.
    if rule.interval.saturating_mul(rule.consecutive_failures) > rule.window {
        let keys = ["monitor.duration", "monitor.interval", "monitor.consecutive_failures"];
        let origin = layers
            .effective
            .iter()
            .find(|value| keys.contains(&value.key) && value.origin != Origin::Default)
            .map_or(Origin::Default, |value| value.origin.clone());
        let message = format!(
            "{} failures in a row, {} s apart, do not fit into a watch of {} s, so this rule could never fire",
            rule.consecutive_failures,
            rule.interval.as_secs_f64(),
            rule.window.as_secs_f64()
        );
        let hint = "a longer `duration`, or a shorter `interval`";
        layers.wrong(&origin, Wrong::new(message, Some(hint)));
    }
    (rule, gate)
}

/// So many readings as the share needs, or as a shorter watch can give: three quarters of those that are due in it, since an
/// answer may be missing. A number that somebody asked for as closely as for the watch, and that does not fit into it, is
/// wrong: such a watch could only end without a verdict.
fn fitting_samples(rule: &Rule, layers: &mut Layers<'_>) -> u32 {
    let due = rule.window.as_secs_f64() / rule.interval.as_secs_f64().max(0.001);
    if f64::from(rule.min_samples) < due {
        return rule.min_samples;
    }
    let origin = |key: &str| {
        let mut all = layers.effective.iter();
        all.find(|value| value.key == key)
            .map_or(Origin::Default, |value| value.origin.clone())
    };
    let asked = origin("monitor.min_samples");
    let shape = ["monitor.duration", "monitor.interval"].map(origin);
    if asked != Origin::Default && shape.iter().all(|other| closeness(&asked) >= closeness(other)) {
        let message = format!(
            "{} readings, {} s apart, do not fit into a watch of {} s, so this rule could never judge a release",
            rule.min_samples,
            rule.interval.as_secs_f64(),
            rule.window.as_secs_f64()
        );
        let hint = "leave it out and it fits itself to the watch; or a longer `duration`, or a shorter `interval`";
        layers.wrong(&asked, Wrong::new(message, Some(hint)));
        return rule.min_samples;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and at most `min_samples`"
    )]
    let fitting = (due * 0.75) as u32;
    fitting.max(rule.consecutive_failures.min(rule.min_samples)).max(1)
}

/// How closely a value was asked for: a flag is for this run, the file for all.
fn closeness(origin: &Origin) -> u8 {
    match origin {
        Origin::Default => 0,
        Origin::File(_) => 1,
        Origin::Env(_) | Origin::Alias(_) => 2,
        Origin::Flag(_) => 3,
    }
}

/// A duration, or `auto`.
fn learned(value: &Value, text: bool) -> Result<Option<Duration>, Wrong> {
    match value {
        Value::Text(word) if word == "auto" => Ok(None),
        value => value::duration(value, text)
            .map(Some)
            .map_err(|wrong| Wrong::new(wrong.message, Some("`auto` learns it from earlier starts"))),
    }
}

/// A factor over 1, or `off`.
fn factor(value: &Value, _: bool) -> Result<Option<f64>, Wrong> {
    let factor = match value {
        Value::Text(word) if word == "off" => return Ok(None),
        #[expect(clippy::cast_precision_loss, reason = "a factor that a person wrote")]
        Value::Whole(number) => *number as f64,
        Value::Real(number) => *number,
        _ => f64::NAN,
    };
    if factor > 1.0 && factor.is_finite() {
        return Ok(Some(factor));
    }
    Err(Wrong::new(
        "expected a factor over 1, as in 2 or 2.5",
        Some("`off` lets it decide nothing"),
    ))
}

pub(super) fn policy(section: &mut Section<'_>, layers: &mut Layers<'_>) -> Policy {
    let default = Policy::default();
    Policy {
        on_failure: layers.value(section, "policy.on_failure", on_failure, default.on_failure, "rollback"),
        on_unknown: layers.value(section, "policy.on_unknown", on_failure, default.on_unknown, "rollback"),
        on_interrupt: layers.value(
            section,
            "policy.on_interrupt",
            on_failure,
            default.on_interrupt,
            "rollback",
        ),
        data_restore: layers.value(
            section,
            "policy.data_restore",
            data_restore,
            default.data_restore,
            "auto",
        ),
        on_inconclusive: layers.value(
            section,
            "policy.on_inconclusive",
            on_inconclusive,
            default.on_inconclusive,
            "leave",
        ),
        on_drift: layers.value(section, "policy.on_drift", on_drift, default.on_drift, "hold"),
        deploy_timeout: layers.value(section, "policy.timeout", value::limit, default.deploy_timeout, "30m"),
        rollback_timeout: layers.value(
            section,
            "policy.rollback_timeout",
            value::limit,
            default.rollback_timeout,
            "none",
        ),
    }
}

fn decision(value: &Value, _: bool) -> Result<Decision, Wrong> {
    value::choice(value, &[("guard", Decision::Guard), ("classic", Decision::Classic)])
}

fn rate(value: &Value, _: bool) -> Result<RateForm, Wrong> {
    value::choice(
        value,
        &[("evidence", RateForm::Evidence), ("observed", RateForm::Observed)],
    )
}

/// The file says `rollback` or `hold`; the flag and the variable are `--no-rollback`, so they say yes or no.
fn on_failure(value: &Value, text: bool) -> Result<OnFailure, Wrong> {
    if text {
        return value::flag(value, true).map(|no| if no { OnFailure::Hold } else { OnFailure::Rollback });
    }
    value::choice(value, &[("rollback", OnFailure::Rollback), ("hold", OnFailure::Hold)])
}

fn on_drift(value: &Value, _: bool) -> Result<OnFailure, Wrong> {
    value::choice(value, &[("rollback", OnFailure::Rollback), ("hold", OnFailure::Hold)])
}

/// The file says whether there is one; the flag and the variable are `--no-watcher`.
pub(super) fn watcher(value: &Value, text: bool) -> Result<bool, Wrong> {
    value::flag(value, text).map(|given| given != text)
}

fn data_restore(value: &Value, _: bool) -> Result<DataRestore, Wrong> {
    value::choice(
        value,
        &[
            ("auto", DataRestore::Auto),
            ("always", DataRestore::Always),
            ("never", DataRestore::Never),
            ("if-no-writes", DataRestore::IfNoWrites),
        ],
    )
}

fn on_inconclusive(value: &Value, _: bool) -> Result<OnInconclusive, Wrong> {
    value::choice(
        value,
        &[("leave", OnInconclusive::Leave), ("rollback", OnInconclusive::Rollback)],
    )
}
