//! The decision: tables of readings, chance, and real processes that die.

#![expect(clippy::float_cmp, reason = "whole seconds are exact")]

mod chance;
mod fatal;
mod figures;
mod replica;
mod rules;
mod table;
mod user_rules;

use std::time::Duration;

use chrono::DateTime;
use guard::model::health::{Class, Outcome, Reading, Rule, Verdict};
use guard::model::name::ProbeName;
use guard::watch::Judge;

/// The name of a probe.
pub fn name(text: &str) -> ProbeName {
    text.parse().expect("a name")
}

/// A reading that took 10 ms.
pub fn reading(probe: &ProbeName, t: f64, outcome: Outcome) -> Reading {
    Reading {
        probe: probe.clone(),
        at: DateTime::UNIX_EPOCH,
        t,
        outcome,
        class: (outcome != Outcome::Ok).then_some(Class::Refused),
        note: String::new(),
        latency: Duration::from_millis(10),
        figures: std::collections::BTreeMap::new(),
        number: None,
        is_restart: false,
    }
}

/// Asks `outcome` once per interval until the judge has decided; when that was, and what.
pub fn run(rule: &Rule, mut outcome: impl FnMut(f64) -> Outcome) -> (f64, Verdict) {
    let probe = name("web");
    let mut judge = Judge::new(rule.clone(), vec![probe.clone()]);
    let mut reading = reading(&probe, 0.0, Outcome::Ok);
    let mut turn = 0_u32;
    loop {
        reading.t = f64::from(turn) * rule.interval.as_secs_f64();
        reading.outcome = outcome(reading.t);
        reading.class = (reading.outcome != Outcome::Ok).then_some(Class::Refused);
        judge.take(&reading);
        let now = reading.t + reading.latency.as_secs_f64();
        match judge.verdict(now) {
            Verdict::Undecided => {}
            verdict => return (now, verdict),
        }
        turn += 1;
        assert!(turn < 10_000, "a watch ends");
    }
}

/// Fails within these spans.
pub fn down(t: f64, spans: &[(f64, f64)]) -> Outcome {
    if spans.iter().any(|(from, to)| (*from..*to).contains(&t)) {
        Outcome::Failed
    } else {
        Outcome::Ok
    }
}
