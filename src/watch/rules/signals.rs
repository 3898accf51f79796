//! What the rules can ask about: the readings of each probe, as far back as any rule looks.

use std::collections::{BTreeMap, VecDeque};

use super::question::{Ask, Call};
use crate::pace::median;
use crate::streak::Streak;
use guard_model::health::{Outcome, Reading};
use guard_model::name::ProbeName;

/// So many answers from before the deployment make a baseline. A guess.
const BASELINE: usize = 5;

/// The readings, remembered.
#[derive(Debug, Clone, Default)]
pub(super) struct Signals {
    probes: Vec<Signal>,
    /// How far back they are kept, in seconds.
    reach: f64,
    /// The moment of the latest answer, and that at which the release came up.
    pub(super) now: f64,
    pub(super) opened: f64,
}

#[derive(Debug, Clone)]
struct Signal {
    name: ProbeName,
    seen: VecDeque<Seen>,
    streak: Streak,
    number: Option<f64>,
    figures: BTreeMap<String, f64>,
    usual: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    answered: f64,
    outcome: Outcome,
    latency: f64,
    is_restart: bool,
}

impl Signals {
    /// Nothing seen yet; what will be is kept for so many seconds.
    pub(super) fn reaching(reach: f64) -> Self {
        Self {
            reach,
            ..Self::default()
        }
    }

    fn of(&mut self, name: &ProbeName) -> Option<&mut Signal> {
        if !self.probes.iter().any(|signal| signal.name == *name) {
            self.probes.push(Signal {
                name: name.clone(),
                seen: VecDeque::new(),
                streak: Streak::default(),
                number: None,
                figures: BTreeMap::new(),
                usual: None,
            });
        }
        self.probes.iter_mut().find(|signal| signal.name == *name)
    }

    /// Takes answers from before the deployment.
    pub(super) fn before(&mut self, readings: &[&Reading]) {
        let mut names: Vec<ProbeName> = readings.iter().map(|reading| reading.probe.clone()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let mine = readings
                .iter()
                .filter(|reading| reading.probe == name && reading.outcome == Outcome::Ok);
            let spans: Vec<f64> = mine.map(|reading| reading.latency.as_secs_f64()).collect();
            if let Some(signal) = self.of(&name).filter(|_| spans.len() >= BASELINE) {
                signal.usual = median(spans);
            }
        }
    }

    /// Takes the next answer of the watch.
    pub(super) fn take(&mut self, reading: &Reading, answered: f64) {
        self.now = self.now.max(answered);
        let oldest = self.now - self.reach;
        let Some(signal) = self.of(&reading.probe) else { return };
        match reading.outcome {
            Outcome::Ok => drop(signal.streak.succeed(reading.t)),
            Outcome::Failed => signal.streak.fail(reading.t, answered),
            Outcome::Unknown => {}
        }
        // What cannot be seen now is not what was seen before.
        signal.number = reading.number;
        signal.figures.clone_from(&reading.figures);
        signal.seen.push_back(Seen {
            answered,
            outcome: reading.outcome,
            latency: reading.latency.as_secs_f64(),
            is_restart: reading.is_restart,
        });
        while signal.seen.front().is_some_and(|seen| seen.answered < oldest) {
            signal.seen.pop_front();
        }
    }

    /// The answer to a question; `None`: unknown.
    pub(super) fn answer(&self, call: &Call) -> Option<f64> {
        if call.ask == Ask::Elapsed {
            return Some(self.now - self.opened);
        }
        let name = call.probe.as_ref()?;
        let signal = self.probes.iter().find(|signal| signal.name == *name)?;
        let since = self.now - call.span;
        let known = || {
            let recent = signal.seen.iter().filter(move |seen| seen.answered >= since);
            recent.filter(|seen| seen.outcome != Outcome::Unknown)
        };
        #[expect(clippy::cast_precision_loss, reason = "counts of readings, far below 2^52")]
        let count = |wanted: &dyn Fn(&Seen) -> bool| known().filter(|seen| wanted(seen)).count() as f64;
        let all = count(&|_| true);
        let is_known = matches!(call.ask, Ask::Streak | Ask::Outage | Ask::Baseline | Ask::Metric) || all > 0.0;
        // Nothing seen is neither good nor bad.
        if !is_known || signal.seen.iter().all(|seen| seen.outcome == Outcome::Unknown) && call.ask != Ask::Baseline {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of readings, far below 2^52")]
        match call.ask {
            Ask::Failures => Some(count(&|seen| seen.outcome == Outcome::Failed)),
            Ask::Rate => Some(count(&|seen| seen.outcome == Outcome::Failed) / all),
            Ask::Restarts => Some(count(&|seen| seen.is_restart)),
            Ask::Latency => {
                let good = known().filter(|seen| seen.outcome == Outcome::Ok);
                median(good.map(|seen| seen.latency).collect())
            }
            Ask::Streak => Some(signal.streak.count() as f64),
            Ask::Outage => Some(signal.streak.lasted()),
            Ask::Baseline => signal.usual,
            Ask::Metric => match call.figure {
                Some(name) => signal.figures.get(name).copied(),
                None => signal.number,
            },
            Ask::Elapsed => None,
        }
    }
}
