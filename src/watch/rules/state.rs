//! The rules while they are watched: since when each holds, what fired, and the trace of both.

use std::cmp::Reverse;

use serde::Serialize;

use super::rule::{Then, UserRule};
use super::signals::Signals;
use guard_model::health::{Finding, FindingCause, Reading};
use guard_model::name::{ProbeName, RuleName};
use guard_model::notice::Severity;

/// Spans between moments that are sums of seconds are a little off; nobody means that by `10s`.
const ROUNDING: f64 = 1e-6;

/// A rule that fired, for whoever acts on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Fired {
    /// The rule.
    pub rule: RuleName,
    /// What follows.
    pub then: Then,
    /// How much it matters: one step more each time that it fires again.
    pub severity: Severity,
    /// The condition with its figures.
    pub text: String,
}

/// What a rule's evaluation gave, whenever that is something else than before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trace {
    /// Seconds since the watch began.
    pub t: f64,
    /// The rule.
    pub rule: RuleName,
    /// Whether its condition holds; `None`: nobody can see.
    pub holds: Option<bool>,
    /// Whether it fired.
    pub fired: bool,
    /// Its questions with their answers.
    pub seen: String,
    /// How often it was evaluated so far.
    pub evaluations: u64,
}

/// All rules of a watch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    running: Vec<Running>,
    signals: Signals,
    fired: Vec<Fired>,
    traces: Vec<Trace>,
}

#[derive(Debug, Clone)]
struct Running {
    rule: UserRule,
    since: Option<f64>,
    fired: Option<f64>,
    times: u32,
    evaluations: u64,
    /// What the latest trace says; meaningless before the first evaluation.
    told: Option<bool>,
}

impl Rules {
    pub(crate) fn new(mut rules: Vec<UserRule>) -> Self {
        // A stable order: of equal ones, the first in the file comes first.
        rules.sort_by_key(|rule| Reverse(rule.priority));
        let reach = rules.iter().map(|rule| rule.when.reach()).fold(60.0, f64::max);
        let running = rules.into_iter().map(|rule| Running {
            rule,
            since: None,
            fired: None,
            times: 0,
            evaluations: 0,
            told: None,
        });
        Self {
            running: running.collect(),
            signals: Signals::reaching(reach),
            ..Self::default()
        }
    }

    /// Takes answers from before the deployment.
    pub(crate) fn before(&mut self, readings: &[&Reading]) {
        self.signals.before(readings);
    }

    /// Takes the next answer; what a rule finds, where one decides.
    pub(crate) fn take(&mut self, reading: &Reading, answered: f64, opened: f64) -> Option<Finding> {
        if self.running.is_empty() {
            return None;
        }
        self.signals.opened = opened;
        self.signals.take(reading, answered);
        let mut finding = None;
        for running in &mut self.running {
            let fired = running.look(&self.signals, &mut self.traces);
            if let Some(fired) = &fired
                && fired.then.decides()
                && finding.is_none()
            {
                finding = Some(running.finding(fired));
            }
            self.fired.extend(fired);
        }
        finding
    }

    /// What fired since this was asked last.
    pub(crate) fn fired(&mut self) -> Vec<Fired> {
        std::mem::take(&mut self.fired)
    }

    /// What was seen since this was asked last.
    pub(crate) fn traces(&mut self) -> Vec<Trace> {
        std::mem::take(&mut self.traces)
    }
}

impl Running {
    fn look(&mut self, signals: &Signals, traces: &mut Vec<Trace>) -> Option<Fired> {
        let (now, holds) = (signals.now, self.rule.when.holds(signals));
        self.evaluations += 1;
        // Unknown is no reason to act, and neither is it a proof that the condition has ended.
        match holds {
            Some(true) => self.since = self.since.or(Some(now)),
            Some(false) => self.since = None,
            None => {}
        }
        let has_lasted = self
            .since
            .is_some_and(|since| now - since >= self.rule.lasting.as_secs_f64() - ROUNDING);
        let is_quiet = self
            .fired
            .is_some_and(|fired| now - fired < self.rule.cooldown.as_secs_f64() - ROUNDING);
        let fires = holds == Some(true) && has_lasted && !is_quiet;
        if self.told != holds || fires || self.evaluations == 1 {
            self.told = holds;
            traces.push(Trace {
                t: now,
                rule: self.rule.name.clone(),
                holds,
                fired: fires,
                seen: self.rule.when.seen(signals),
                evaluations: self.evaluations,
            });
        }
        if !fires {
            return None;
        }
        self.fired = Some(now);
        let severity = (0..self.times).fold(self.rule.severity, |severity, _| severity.raised());
        self.times += 1;
        Some(Fired {
            rule: self.rule.name.clone(),
            then: self.rule.then.clone(),
            severity,
            text: format!("{} ({})", self.rule.words(), self.rule.when.seen(signals)),
        })
    }

    fn finding(&self, fired: &Fired) -> Finding {
        Finding {
            probe: self
                .rule
                .when
                .probe()
                .cloned()
                .unwrap_or_else(|| ProbeName::from(&self.rule.name)),
            cause: if fired.then == Then::Hold {
                FindingCause::Hold
            } else {
                FindingCause::Rule
            },
            sentence: format!("{}: {}", fired.rule, fired.text),
        }
    }
}
