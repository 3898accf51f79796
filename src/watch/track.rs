//! What is known of one probe while it is watched.

use std::collections::VecDeque;
use std::time::Duration;

use super::excuse::{excused_for, is_early};
use super::pace::{Pace, median};
use super::rate::{Excess, Rate};
use super::streak::{Past, Streak};
use super::words::{millis, seconds};
use guard_model::health::{Class, Decision, FAILED_FURTHER, Finding, FindingCause, Outcome, Reading, Rule};
use guard_model::name::ProbeName;
use guard_model::standing::Standing;

/// An outage of so many seconds counts towards flapping. Half of what makes an outage of itself by default.
const FLAP: f64 = 5.0;
/// So many of them are flapping. A guess; what it finds, and how soon, is M8 of docs/watching.md.
const FLAPS: u32 = 3;
/// From this reading on, the older rule looks at the share. So the scripts have it whose rule it is.
const CLASSIC_SAMPLES: u64 = 10;
/// The time of so many good answers is shown as their median. A guess.
const SHOWN: usize = 15;
/// A probe that fails is asked again before its time; an answer within so many seconds of its time was scheduled. Half of the
/// usual interval.
const EARLY: f64 = 0.5;

/// One probe.
#[derive(Debug, Clone)]
pub(super) struct Track {
    pub name: ProbeName,
    /// Successes in a row, for the gate.
    pub wins: u32,
    /// Whether anything was known at all.
    pub has_known: bool,
    /// Answers in a row that say a container has ended.
    pub ended: u32,
    pub streak: Streak,
    pub rate: Rate,
    /// Where it is known how long answers took before.
    pub pace: Option<Pace>,
    /// Since when, in seconds of the watch, and how often in a row it has answered, and badly: a process that is up and does
    /// not work. `None` where it is silent, or has answered well since.
    pub misbehaving: Option<(f64, u32)>,
    /// The latest failure, in words.
    pub complaint: String,
    flaps: u32,
    is_excuse_spent: bool,
    scheduled: Option<f64>,
    /// How long the latest good answers took, in seconds.
    spans: VecDeque<f64>,
    /// Failures that will not count if the outage they belong to turns out to be excused: when each was answered.
    held: Vec<f64>,
}

impl Track {
    pub(super) fn new(name: ProbeName, rule: &Rule) -> Self {
        Self {
            name,
            wins: 0,
            has_known: false,
            ended: 0,
            streak: Streak::default(),
            rate: Rate::new(rule),
            pace: None,
            misbehaving: None,
            complaint: String::new(),
            flaps: 0,
            is_excuse_spent: false,
            scheduled: None,
            spans: VecDeque::new(),
            held: Vec::new(),
        }
    }

    /// Notes what a known answer says about streaks; the streak that it ended.
    pub(super) fn note(&mut self, reading: &Reading, answered: f64) -> Option<Past> {
        self.has_known = true;
        if reading.outcome == Outcome::Ok {
            self.wins += 1;
            self.ended = 0;
            self.misbehaving = None;
            self.spans.push_back(answered - reading.t);
            if self.spans.len() > SHOWN {
                self.spans.pop_front();
            }
            return self.streak.succeed(reading.t);
        }
        self.wins = 0;
        self.ended = if reading.class == Some(Class::Container) {
            self.ended + 1
        } else {
            0
        };
        self.misbehaving = matches!(reading.class, Some(Class::Status | Class::Body)).then(|| {
            let (since, count) = self.misbehaving.unwrap_or((reading.t, 0));
            (since, count + 1)
        });
        self.complaint.clone_from(&reading.note);
        self.streak.fail(reading.t, answered);
        None
    }

    /// Why there is nothing to wait for before the gate, where a process answers and nothing that it answers is right: it has
    /// come up, and does so for three times as long as earlier releases took from their start to their first good answer,
    /// and for no less than an outage has to last. Unknown start times decide nothing.
    pub(super) fn stays_bad(&self, now: f64, rule: &Rule) -> Option<String> {
        let usual = rule.usual_start.filter(|_| rule.decision == Decision::Guard)?;
        let (since, count) = self.misbehaving?;
        let patience = patience(usual, rule);
        if count < rule.consecutive_failures || now - since < patience.as_secs_f64() {
            return None;
        }
        Some(format!(
            "{} is up and answered {count} times in {}, never well ({}); earlier releases took {} at most to start \
             (`monitor.gate` sets another time)",
            self.name,
            seconds(now - since),
            self.complaint,
            seconds(usual.as_secs_f64())
        ))
    }

    /// Why there is nothing to wait for before the gate, where a container's own health check has called it unhealthy and has
    /// failed `consecutive_failures` times in a row since: whoever might have mended it, or started it anew, has not. One that
    /// has had less time than a start may take is waited for all the same: its check may be stricter than the start is long.
    pub(super) fn stays_unhealthy(&self, reading: &Reading, now: f64, rule: &Rule) -> Option<String> {
        let failed = reading.figures.get(FAILED_FURTHER).copied()?;
        let usual = rule.usual_start.filter(|_| rule.decision == Decision::Guard);
        let patience = usual.map_or(rule.gate, |usual| patience(usual, rule).min(rule.gate));
        if failed < f64::from(rule.consecutive_failures.max(1)) || now < patience.as_secs_f64() {
            return None;
        }
        Some(format!(
            "{}: {}, and its own check has failed {failed} more times since (`monitor.gate` sets another time)",
            self.name, self.complaint
        ))
    }

    /// Takes a known answer after the gate, which was passed at `opened`.
    pub(super) fn take(&mut self, reading: &Reading, answered: f64, opened: f64, rule: &Rule) -> Option<Finding> {
        let past = self.note(reading, answered);
        let has_failed = reading.outcome == Outcome::Failed;
        if rule.decision == Decision::Classic {
            return self.classic(answered - opened, has_failed, rule);
        }
        let mut excess = None;
        if let Some(past) = past {
            let is_outage = past.count >= threshold(rule);
            self.flaps += u32::from(is_outage && past.lasted >= FLAP);
            let held = std::mem::take(&mut self.held);
            if is_outage && self.is_excused(past.begun, opened, rule) {
                self.is_excuse_spent = true;
            } else {
                for answered in held {
                    excess = self.rate.take(answered - opened, true).or(excess);
                }
            }
        }
        if self.is_scheduled(reading.t, rule) {
            if !has_failed && let Some(finding) = self.too_slow(reading, answered - opened, rule) {
                return Some(finding);
            }
            let begun = self.streak.begun().unwrap_or(reading.t);
            if has_failed && self.is_excused(begun, opened, rule) {
                self.held.push(answered);
            } else {
                excess = self.rate.take(answered - opened, has_failed).or(excess);
            }
        }
        excess.map(|excess| self.too_much(excess))
    }

    /// Whether the streak now running decides. `is_hopeless`: a container has ended, so waiting helps nobody.
    pub(super) fn outage(&self, opened: f64, is_hopeless: bool, rule: &Rule) -> Option<Finding> {
        if self.streak.count() < threshold(rule) {
            return None;
        }
        let begun = self.streak.begun()?;
        let is_excused = !is_hopeless && self.is_excused(begun, opened, rule);
        let persist = rule.persist.as_secs_f64();
        let limit = if is_excused {
            persist.max(excused_for(rule))
        } else {
            persist
        };
        if self.streak.lasted() >= limit {
            return Some(self.in_a_row());
        }
        if self.flaps + 1 >= FLAPS && self.streak.lasted() >= FLAP {
            let sentence = format!(
                "{} had {FLAPS} outages of {FLAP} s and more, one after the other ({})",
                self.name, self.complaint
            );
            return Some(self.finding(FindingCause::Flapping, sentence));
        }
        None
    }

    /// Whether an outage runs that may yet decide.
    pub(super) fn is_in_doubt(&self, rule: &Rule) -> bool {
        rule.decision == Decision::Guard && self.streak.count() >= threshold(rule)
    }

    /// The older rule, to the letter.
    fn classic(&mut self, seconds: f64, has_failed: bool, rule: &Rule) -> Option<Finding> {
        let _own_form = self.rate.take(seconds, has_failed);
        if self.streak.count() >= threshold(rule) {
            return Some(self.in_a_row());
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of readings, far below 2^52")]
        let share = self.rate.failed as f64 / self.rate.known as f64;
        (self.rate.known >= CLASSIC_SAMPLES && share > rule.error_threshold).then(|| {
            self.too_much(Excess {
                failed: self.rate.failed,
                known: self.rate.known,
                seconds: None,
            })
        })
    }

    fn is_excused(&self, begun: f64, opened: f64, rule: &Rule) -> bool {
        !self.is_excuse_spent && is_early(begun, opened, rule)
    }

    /// Whether a reading is one of the regular ones. The share is made of these only: extra questions after a failure
    /// would make failures look more frequent than they are.
    fn is_scheduled(&mut self, asked: f64, rule: &Rule) -> bool {
        let interval = rule.interval.as_secs_f64();
        let is = interval <= 1.0 || self.scheduled.is_none_or(|last| asked - last > interval - EARLY);
        if is {
            self.scheduled = Some(asked);
        }
        is
    }

    /// Whether the answers take much longer than before. Right behind the start, caches are cold.
    fn too_slow(&mut self, reading: &Reading, since: f64, rule: &Rule) -> Option<Finding> {
        if since < excused_for(rule) {
            return None;
        }
        let pace = self.pace.as_mut()?;
        let excess = pace.take(since, reading.latency.as_secs_f64())?;
        let sentence = format!(
            "{}: {} of {} answers in the last {} took over {} (before: {})",
            self.name,
            excess.failed,
            excess.known,
            seconds(excess.seconds.unwrap_or(since)),
            millis(pace.limit),
            millis(pace.usual)
        );
        Some(self.finding(FindingCause::Latency, sentence))
    }

    fn in_a_row(&self) -> Finding {
        let sentence = format!(
            "{} failed {} times in a row over {} ({})",
            self.name,
            self.streak.count(),
            seconds(self.streak.lasted()),
            self.complaint
        );
        self.finding(FindingCause::Outage, sentence)
    }

    /// The finding that too large a share failed.
    pub(super) fn too_much(&self, excess: Excess) -> Finding {
        #[expect(clippy::cast_precision_loss, reason = "counts of readings, far below 2^52")]
        let percent = 100.0 * excess.failed as f64 / excess.known as f64;
        let when = excess.seconds.map_or_else(
            || "since the release came up".to_owned(),
            |span| format!("in the last {}", seconds(span)),
        );
        let sentence = format!(
            "{}: {} of {} probes failed ({percent:.0} %) {when} ({})",
            self.name, excess.failed, excess.known, self.complaint
        );
        self.finding(FindingCause::Rate, sentence)
    }

    /// How it stands.
    pub(super) fn standing(&self) -> Standing {
        Standing {
            probe: self.name.clone(),
            known: self.rate.known,
            failed: self.rate.failed,
            limit: self.rate.limit(),
            latency: median(self.spans.iter().copied().collect()),
            usual: self.pace.as_ref().map(|pace| pace.usual),
        }
    }

    /// A finding of this probe.
    pub(super) fn finding(&self, cause: FindingCause, sentence: String) -> Finding {
        Finding {
            probe: self.name.clone(),
            cause,
            sentence,
        }
    }
}

/// How long a release may answer and never well, where earlier ones took so long to start at most.
fn patience(usual: Duration, rule: &Rule) -> Duration {
    (usual * 3).max(rule.persist)
}

fn threshold(rule: &Rule) -> usize {
    usize::try_from(rule.consecutive_failures.max(1)).unwrap_or(usize::MAX)
}
