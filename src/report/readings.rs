//! Readings in a few sentences: what each probe saw, and when it first failed.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::moment::moment;
use super::outputs::counts;
use guard_model::health::{Outcome, Reading, Tally};
use guard_model::name::ProbeName;

/// The first failure of the last bad spell before a moment: of the probe that was failing then, the first failed reading
/// after its last good one.
#[must_use]
pub fn first_failure(readings: &[Reading], before: DateTime<Utc>) -> Option<&Reading> {
    let mut spells: BTreeMap<&ProbeName, Option<&Reading>> = BTreeMap::new();
    for reading in readings.iter().filter(|reading| reading.at <= before) {
        let spell = spells.entry(&reading.probe).or_default();
        match reading.outcome {
            Outcome::Ok => *spell = None,
            Outcome::Failed => *spell = spell.or(Some(reading)),
            Outcome::Unknown => {}
        }
    }
    spells.into_values().flatten().min_by_key(|reading| reading.at)
}

/// For each probe one sentence: how often it was asked, how often it failed, how it failed first and last.
#[must_use]
pub fn summary(readings: &[Reading]) -> Vec<String> {
    let mut probes: BTreeMap<&ProbeName, Vec<&Reading>> = BTreeMap::new();
    for reading in readings {
        probes.entry(&reading.probe).or_default().push(reading);
    }
    probes
        .into_iter()
        .map(|(name, readings)| sentence(name, &readings))
        .collect()
}

fn sentence(name: &ProbeName, readings: &[&Reading]) -> String {
    let count = |outcome| readings.iter().filter(|reading| reading.outcome == outcome).count() as u64;
    let failures = count(Outcome::Failed);
    let tally = Tally {
        checks: count(Outcome::Ok) + failures,
        failures,
        consecutive: 0,
        unknown: count(Outcome::Unknown),
        worst: None,
    };
    let mut failed = readings.iter().filter(|reading| reading.outcome == Outcome::Failed);
    let mut text = format!("{name}: {}", counts(&tally));
    if let Some(first) = failed.next() {
        text = format!("{text}; first failure {} ({})", moment(first.at), first.note);
    }
    if let Some(last) = failed.next_back() {
        text = format!("{text}, last {} ({})", moment(last.at), last.note);
    }
    text
}
