//! A rule said to people before it decides anything, and what is odd about it.

use super::excuse::excused_for;
use guard_model::health::{Decision, RateForm, Rule};

/// The rule in one sentence: `rolls back after an outage of 10 s (at least 3 probes in a row), or when …`.
#[must_use]
pub fn words(rule: &Rule) -> String {
    let count = rule.consecutive_failures;
    let share = percent(rule.error_threshold);
    let gate = seconds(rule.gate.as_secs_f64());
    let window = seconds(rule.window.as_secs_f64());
    let bad = match (rule.decision, rule.rate) {
        (Decision::Classic, _) => format!(
            "rolls back after {count} failed probes in a row, or when more than {share} of the probes have failed, \
             from the tenth on"
        ),
        (Decision::Guard, form) => {
            let persist = seconds(rule.persist.as_secs_f64());
            let seen = match form {
                RateForm::Evidence => String::new(),
                RateForm::Observed => format!(", counted from the {}th on", rule.min_samples),
            };
            format!(
                "rolls back after an outage of {persist} (at least {count} probes in a row), \
                 or when more than {share} of the probes fail{seen}"
            )
        }
    };
    let slow = match (rule.decision, rule.latency) {
        (Decision::Guard, Some(factor)) => {
            format!(", or when more than half of the answers take over {factor} times as long as before")
        }
        _ => String::new(),
    };
    let excuse = if rule.decision == Decision::Guard && excused_for(rule) > rule.persist.as_secs_f64() {
        format!(
            "; one outage right behind the start is excused for {}",
            seconds(excused_for(rule))
        )
    } else {
        String::new()
    };
    format!("{bad}{slow}; dead on arrival after {gate}{excuse}; window {window}")
}

/// What in a rule cancels something else in it, one sentence each; empty for a sound rule.
#[must_use]
pub fn warnings(rule: &Rule) -> Vec<String> {
    let [window, interval, persist, gate] =
        [rule.window, rule.interval, rule.persist, rule.gate].map(|span| span.as_secs_f64());
    let count = f64::from(rule.consecutive_failures);
    let mut found = Vec::new();
    if interval * count > window {
        found.push(format!(
            "{} failures in a row take {} at one probe every {}, longer than the window of {}: an outage may never decide",
            rule.consecutive_failures,
            seconds(interval * count),
            seconds(interval),
            seconds(window)
        ));
    }
    let is_guard = rule.decision == Decision::Guard;
    let samples = (window / interval).floor();
    if is_guard && samples < f64::from(rule.min_samples) {
        found.push(format!(
            "the window of {} has room for {samples} probes, and {} are needed: the end is always inconclusive",
            seconds(window),
            rule.min_samples
        ));
    }
    if !is_guard && samples < 10.0 {
        found.push(format!(
            "the window of {} has room for {samples} probes, and the share counts from the tenth on: it never decides",
            seconds(window)
        ));
    }
    if is_guard && persist > window {
        found.push(format!(
            "an outage has to last {}, longer than the window of {}: it never decides",
            seconds(persist),
            seconds(window)
        ));
    }
    if is_guard && persist > 15.0 && rule.error_threshold < 1.0 {
        found.push(format!(
            "an outage has to last {}, but failures for so long are also more than {} of the probes: the share decides first",
            seconds(persist),
            percent(rule.error_threshold)
        ));
    }
    if rule.error_threshold >= 1.0 {
        found.push("more than 100 % of the probes can never fail: the share never decides".to_owned());
    }
    if interval * 2.0 > gate {
        found.push(format!(
            "two probes, {} apart, do not fit into the {} that a release has to come up",
            seconds(interval),
            seconds(gate)
        ));
    }
    found
}

/// `10 s`, `2.5 s`, `90 s`, `10 min`: whole minutes from two on.
pub(super) fn seconds(span: f64) -> String {
    if span >= 120.0 && span % 60.0 == 0.0 {
        format!("{} min", span / 60.0)
    } else if span % 1.0 == 0.0 || span >= 10.0 {
        format!("{span:.0} s")
    } else {
        format!("{span:.1} s")
    }
}

/// `85 ms`, `1.2 s`.
pub(super) fn millis(span: f64) -> String {
    if span < 1.0 {
        format!("{:.0} ms", span * 1000.0)
    } else {
        format!("{span:.1} s")
    }
}

/// `10 %`, `2.5 %`.
fn percent(share: f64) -> String {
    let percent = (share * 1000.0).round() / 10.0;
    format!("{percent} %")
}
