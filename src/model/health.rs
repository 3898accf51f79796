//! What probes say, and what is concluded from it.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};

use super::name::ProbeName;

/// One answer of one probe. A probe always answers: silence is an answer too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "WrittenReading")]
pub struct Reading {
    /// The probe.
    pub probe: ProbeName,
    /// When it was asked.
    pub at: DateTime<Utc>,
    /// Seconds since the watch began, by a clock that never jumps; the rule uses only this.
    pub t: f64,
    /// What the answer means.
    pub outcome: Outcome,
    /// Why, where it is not `ok`.
    pub class: Option<Class>,
    /// What was seen, in a few words: `503`, `connection refused`, `restarted 2 times`.
    pub note: String,
    /// How long the answer took.
    pub latency: Duration,
    /// Numbers with names that the answer tells beside its note: `cpu` of a host probe, in percent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, f64>,
    /// The one number that the answer tells, where it tells one. Written even where there is none, which tells such a line
    /// from one of before.
    pub number: Option<f64>,
    /// Whether it tells of a container that was, or is being, restarted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_restart: bool,
}

/// A reading as a file holds it. In lines of before the number and the restart were told by the note alone.
#[derive(Deserialize)]
struct WrittenReading {
    probe: ProbeName,
    at: DateTime<Utc>,
    t: f64,
    outcome: Outcome,
    class: Option<Class>,
    note: String,
    latency: Duration,
    #[serde(default)]
    figures: BTreeMap<String, f64>,
    #[serde(default)]
    number: Told,
    #[serde(default)]
    is_restart: bool,
}

/// Where a line tells its number.
#[derive(Default)]
enum Told {
    /// In its note, where there is one: the line is one of before.
    #[default]
    ByNote,
    /// In a field of its own, `null` where there is none.
    ByField(Option<f64>),
}

impl<'d> Deserialize<'d> for Told {
    fn deserialize<D: Deserializer<'d>>(from: D) -> Result<Self, D::Error> {
        Option::deserialize(from).map(Self::ByField)
    }
}

impl From<WrittenReading> for Reading {
    fn from(written: WrittenReading) -> Self {
        let by_note = || {
            let number: f64 = written.note.split([' ', ',']).next()?.parse().ok()?;
            (!number.is_nan() && written.outcome != Outcome::Unknown).then_some(number)
        };
        let (number, is_restart) = match written.number {
            // JSON has no infinity: such a number is written as none, and stands in the note.
            Told::ByField(number) => (
                number.or_else(|| by_note().filter(|number| number.is_infinite())),
                written.is_restart,
            ),
            Told::ByNote => {
                let is_of_container = matches!(written.class, Some(Class::Unhealthy | Class::Container));
                (by_note(), is_of_container && written.note.contains("restart"))
            }
        };
        Self {
            number,
            is_restart,
            probe: written.probe,
            at: written.at,
            t: written.t,
            outcome: written.outcome,
            class: written.class,
            note: written.note,
            latency: written.latency,
            figures: written.figures,
        }
    }
}

/// Which numbers the answers of a probe tell to a rule's `metric(…)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// None: a rule on one could never fire.
    None,
    /// One: `metric('queue')`.
    One,
    /// Several, each with a name: `metric('machine.disk')`.
    Named(&'static [&'static str]),
}

/// What one answer means for the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Well.
    Ok,
    /// Not well.
    Failed,
    /// The observer could not see: counts as neither.
    Unknown,
}

/// Why an answer was not `ok`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The name could not be resolved.
    Dns,
    /// Nobody listens.
    Refused,
    /// No route to the host.
    Unreachable,
    /// No connection within the deadline.
    TimeoutConnect,
    /// No whole answer within the deadline.
    TimeoutRead,
    /// The connection was broken.
    Reset,
    /// The certificate is expired or not yet valid.
    TlsExpired,
    /// The certificate's issuer is not trusted.
    TlsUntrusted,
    /// The certificate is for another name.
    TlsName,
    /// The status is not an expected one.
    Status,
    /// The body is not as expected.
    Body,
    /// The old version answers.
    Version,
    /// Too many redirects, or one to another host.
    Redirect,
    /// The command's exit code, or its number, is not as expected.
    Exit,
    /// The command could not be started.
    Spawn,
    /// A container has ended, is restarting or has just been restarted: if it goes on so, there is nothing to wait for.
    Container,
    /// Something runs and is not well: a container's health check has failed as often as it may.
    Unhealthy,
    /// A container runs, and its health check has not said yet whether it is well.
    Starting,
    /// The query failed.
    Query,
    /// Too many errors stand in a log.
    Log,
    /// There was nothing to read.
    NoData,
}

/// How readings are judged; part of the plan, so that a resumed watch judges as it began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Which rule decides.
    pub decision: Decision,
    /// How long the release is watched after it passed the gate.
    pub window: Duration,
    /// Time between two scheduled readings of one probe.
    pub interval: Duration,
    /// How many failures in a row make an outage.
    pub consecutive_failures: u32,
    /// How long an outage has to last before it decides (at the latest it decides at the third scheduled failure).
    pub persist: Duration,
    /// The share of failed readings that is too much; a ratio over 0 and at most 1.
    pub error_threshold: f64,
    /// How many known readings the share needs before it decides.
    pub min_samples: u32,
    /// How long the new release may take until its first success.
    pub gate: Duration,
    /// How long it may take at most where health checks of containers have not said anything yet when the gate begins: the
    /// gate's time then counts from the moment at which the last of them has. `None`: from the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_start: Option<Duration>,
    /// How long the longest of the last starts took; `None` where none is known, or the deadline was set by a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual_start: Option<Duration>,
    /// What counts as a share that is too much.
    #[serde(default)]
    pub rate: RateForm,
    /// How many times as long as before an answer has to take to be slow; when more than half of the answers are, the
    /// release is bad. `None`: how long answers take decides nothing.
    #[serde(default)]
    pub latency: Option<f64>,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            decision: Decision::Guard,
            window: Duration::from_mins(10),
            interval: Duration::from_secs(1),
            consecutive_failures: 3,
            persist: Duration::from_secs(10),
            error_threshold: 0.10,
            min_samples: 20,
            gate: Duration::from_mins(1),
            longest_start: None,
            usual_start: None,
            rate: RateForm::Evidence,
            latency: Some(2.0),
        }
    }
}

/// The figure of an unhealthy container's reading that says how often in a row its own check has failed since it called
/// the container unhealthy.
pub const FAILED_FURTHER: &str = "failed-further";

/// What a release that is waited for has been started by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Started {
    /// The deploy command.
    #[default]
    Deployed,
    /// The way back: it is the old release.
    Back,
}

/// The rule in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// guard's own: an outage has to persist, one failed reading never decides.
    Guard,
    /// The older scripts' rule to the letter: so many failures in a row, or a share over the threshold from the tenth
    /// reading on, at one reading per interval.
    Classic,
}

/// When guard's own rule says that the share of failures is over the threshold; the older rule knows its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateForm {
    /// When chance no longer explains the failures: bets against the threshold have multiplied a thousandfold.
    #[default]
    Evidence,
    /// When the share seen so far is over it.
    Observed,
}

/// A watch that is over: all that is needed to judge it again from its readings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// When it began.
    pub at: DateTime<Utc>,
    /// The rule.
    pub rule: Rule,
    /// The probes whose failures decided.
    pub probes: Vec<ProbeName>,
    /// Whether the release had come up before.
    pub behind_the_gate: bool,
    /// What the release was started by.
    #[serde(default)]
    pub started: Started,
    /// Where its readings begin in the file of them, in bytes, and how many there are.
    pub from: u64,
    /// How many readings there are.
    pub readings: usize,
    /// Readings up to this moment are those from before the deployment; `None`: there are none.
    pub before: Option<DateTime<Utc>>,
    /// The moment of the last question to the judge, in seconds since the watch began.
    pub asked: f64,
    /// What the judge said.
    pub verdict: Verdict,
}

/// What the readings so far say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing is decided yet.
    Undecided,
    /// The window ended and the release is well.
    Healthy,
    /// The release is bad, for this reason.
    Bad(Finding),
    /// The window ended with too little evidence, for this reason.
    Inconclusive(String),
}

/// Why a release is bad, with the figures that say so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The probe that found it.
    pub probe: ProbeName,
    /// Which part of the rule decided.
    pub cause: FindingCause,
    /// One sentence with figures: `backend failed 12 times in a row over 11 s (connection refused)`.
    pub sentence: String,
}

/// The parts of the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingCause {
    /// No success within the gate.
    DeadOnArrival,
    /// Failures in a row that lasted.
    Outage,
    /// A share of failures over the threshold.
    Rate,
    /// One outage after another, each too short to decide.
    Flapping,
    /// Answers that take much longer than before.
    Latency,
    /// A rule of the user's own.
    Rule,
    /// A rule of the user's own that leaves the release for a person.
    Hold,
}

/// The counts that a progress line shows, over all probes that decide.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Known readings: `ok` or `failed`.
    pub checks: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// The longest current streak of failures among the probes.
    pub consecutive: u64,
    /// Readings that could not see.
    pub unknown: u64,
    /// The greatest share of failures of any one probe, 0 to 1, since the release came up: the one that the verdict weighs.
    /// `None` before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<f64>,
}

impl Tally {
    /// The share of failures that the verdict weighs, 0 where nothing is known.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.worst.unwrap_or_else(|| share(self.failures, self.checks))
    }
}

/// The share of some readings among others, 0 where there are none.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of readings, far below 2^52")]
pub fn share(failed: u64, known: u64) -> f64 {
    if known == 0 { 0.0 } else { failed as f64 / known as f64 }
}

/// What a probe saw, before it is known when in the watch it was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What it means.
    pub outcome: Outcome,
    /// Why, where it is not `ok`.
    pub class: Option<Class>,
    /// What was seen, in a few words, redacted and fit for a terminal.
    pub note: String,
    /// As in [`Reading::figures`].
    pub figures: BTreeMap<String, f64>,
    /// As in [`Reading::number`].
    pub number: Option<f64>,
    /// As in [`Reading::is_restart`].
    pub is_restart: bool,
}

impl Answer {
    /// Well.
    #[must_use]
    pub fn ok(note: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Ok,
            class: None,
            note: note.into(),
            figures: BTreeMap::new(),
            number: None,
            is_restart: false,
        }
    }

    /// Not well.
    #[must_use]
    pub fn failed(class: Class, note: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Failed,
            class: Some(class),
            note: note.into(),
            figures: BTreeMap::new(),
            number: None,
            is_restart: false,
        }
    }

    /// Not seen.
    #[must_use]
    pub fn unknown(class: Class, note: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Unknown,
            class: Some(class),
            note: note.into(),
            figures: BTreeMap::new(),
            number: None,
            is_restart: false,
        }
    }

    /// The answer with the one number that it tells.
    #[must_use]
    pub fn with_number(mut self, number: f64) -> Self {
        self.number = Some(number);
        self
    }

    /// The answer, which tells of a restart.
    #[must_use]
    pub fn of_restart(mut self) -> Self {
        self.is_restart = true;
        self
    }

    /// The answer with these numbers beside it.
    #[must_use]
    pub fn with_figures(mut self, figures: BTreeMap<String, f64>) -> Self {
        self.figures = figures;
        self
    }
}
