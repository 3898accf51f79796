//! Trials of a scene: one watch each, through the real judge, and the figures of many.

use std::time::Duration;

use chrono::DateTime;

use super::luck::Luck;
use super::said::Said;
use super::scenes::Scene;
use crate::judge::Judge;
use guard_model::health::{Class, Decision, Outcome, Reading, Rule, Verdict};
use guard_model::name::{ProbeName, RuleName};

/// What many trials of a scene came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// The scene's key.
    pub key: &'static str,
    /// How many trials there were.
    pub trials: u32,
    /// The seconds from the fault to the verdict, of those that were found bad, in order.
    pub found: Vec<f64>,
}

impl Figures {
    /// The share of trials that were found bad, in percent.
    #[must_use]
    pub fn bad(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of trials")]
        let found = self.found.len() as f64;
        100.0 * found / f64::from(self.trials.max(1))
    }

    /// The time by which this share (0 to 1) of them was found; `None` where none was.
    #[must_use]
    pub fn after(&self, share: f64) -> Option<f64> {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place in a list"
        )]
        let place = (self.found.len() as f64 * share) as usize;
        self.found.get(place.min(self.found.len().checked_sub(1)?)).copied()
    }
}

/// Tries a scene many times, on two threads; the same seeds give the same figures everywhere.
#[must_use]
pub fn figures(scene: &Scene, rule: &Rule, trials: u32) -> Figures {
    let half = |parity: u32| {
        let seeds = (0..trials).filter(move |seed| seed % 2 == parity);
        seeds.filter_map(|seed| trial(scene, rule, seed)).collect::<Vec<f64>>()
    };
    let mut found = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        let mut found = half(0);
        // A panic there is a bug that shows in the figures: half of the trials are missing.
        found.extend(other.join().unwrap_or_default());
        found
    });
    found.sort_by(f64::total_cmp);
    Figures {
        key: scene.key,
        trials,
        found,
    }
}

/// One watch: the seconds from the fault to the verdict that the release is bad; `None` where there was no such verdict.
#[must_use]
pub fn trial(scene: &Scene, rule: &Rule, seed: u32) -> Option<f64> {
    let mut luck = Luck::new(seed);
    let (mut world, fault) = (scene.world)(&mut luck);
    // Names are made of rule names here: both have one form, and this one needs no check.
    let name: ProbeName = (&RuleName::simulated()).into();
    let mut reading = blank(&name);
    let mut judge = Judge::new(rule.clone(), vec![name.clone()]);
    if let Some(before) = scene.before {
        let mut before = before(&mut luck);
        let usual: Vec<Reading> = (0..60)
            .map(|turn| {
                let said = before(f64::from(turn), &mut luck);
                fill(&mut reading, f64::from(turn), said);
                reading.clone()
            })
            .collect();
        judge = judge.with_baseline(&usual).with_pace(&usual);
    }
    let interval = rule.interval.as_secs_f64();
    // Answers come in the order of their ends, not of their questions.
    let mut open: Vec<(f64, f64, Said)> = Vec::new();
    let (mut slot, mut next) = (0_u32, 0.0);
    let end = rule.gate.as_secs_f64() + rule.window.as_secs_f64() + 120.0;
    while next < end {
        let said = world(next, &mut luck);
        open.push((next + said.took, next, said));
        slot += u32::from(next >= f64::from(slot) * interval);
        let scheduled = f64::from(slot) * interval;
        // After a failure the next question comes after a second at the latest.
        let is_confirmed = said.outcome == Outcome::Failed && rule.decision == Decision::Guard;
        next = if is_confirmed {
            scheduled.min(next + 1.0)
        } else {
            scheduled
        };
        open.sort_by(|one, other| one.0.total_cmp(&other.0));
        let due = open.partition_point(|(answered, ..)| *answered <= next);
        for (answered, at, said) in open.drain(..due) {
            fill(&mut reading, at, said);
            judge.take(&reading);
            match judge.verdict(answered) {
                Verdict::Undecided => {}
                Verdict::Bad(_) => return Some(answered - fault),
                _ => return None,
            }
        }
    }
    None
}

fn blank(name: &ProbeName) -> Reading {
    Reading {
        probe: name.clone(),
        at: DateTime::UNIX_EPOCH,
        t: 0.0,
        outcome: Outcome::Ok,
        class: None,
        note: String::new(),
        latency: Duration::ZERO,
        figures: std::collections::BTreeMap::new(),
        number: None,
        is_restart: false,
    }
}

fn fill(reading: &mut Reading, t: f64, said: Said) {
    reading.t = t;
    reading.outcome = said.outcome;
    reading.class = match (said.outcome, said.is_ended) {
        (Outcome::Ok, _) => None,
        (_, true) => Some(Class::Container),
        (_, false) => Some(Class::Refused),
    };
    reading.latency = Duration::from_secs_f64(said.took);
}
