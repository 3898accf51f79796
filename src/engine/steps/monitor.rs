//! A monitor: probes, a rule, and what is kept of a watch so that it can be judged again.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::acting::{Acting, Errands};
use super::pace::{PACES, paces};
use super::probe_loop::{Observed, ProbeLoop, StopWhen};
use guard_model::event::Level;
use guard_model::fact::Failure;
use guard_model::health::{Reading, Rule, Started, Tally, Verdict, Watched};
use guard_model::name::ProbeName;
use guard_probes::{Expectation, Probe};
use guard_system::context::Context;
use guard_system::disk::{self, DiskError};
use guard_watch::{Judge, UserRule};

/// Every reading of a run, in its directory.
pub const READINGS: &str = "probes.jsonl";
/// Every watch of a run, beside its readings.
pub const WATCHES: &str = "watches.jsonl";

/// Who looks, and how what is seen is judged.
pub struct Monitor {
    /// The probes.
    pub probes: Vec<Arc<dyn Probe>>,
    /// The rule.
    pub rule: Rule,
    /// The user's own rules.
    pub rules: Vec<UserRule>,
    /// The Compose project whose logs a rule may keep.
    pub project: Option<String>,
    /// The units of systemd whose state and journal a rule may keep.
    pub units: Vec<String>,
    /// Where the probes run.
    pub runtime: Handle,
    /// What the rules set going.
    pub errands: Errands,
    /// What tells which containers are starting, for a gate; nobody is shown it.
    pub starts: Vec<Arc<dyn Probe>>,
    /// What the release that is watched was started by.
    pub started: Started,
    /// Whether a person may end the watch by a decision that is left in the scratch directory.
    pub hears: bool,
}

impl Monitor {
    /// Watches what runs for the rule's window, as a release that has come up already. Readings are kept in the scratch
    /// directory of the context.
    ///
    /// # Errors
    /// A wish to stop, or nothing can be kept.
    pub fn watch(&self, cx: &Context) -> Result<(Verdict, Tally), Failure> {
        let observed = self.observe(StopWhen::Verdict, Expectation::default(), &[], cx)?;
        Ok((observed.verdict, observed.judge.tally()))
    }

    /// Waits until each probe that decides answers well twice in a row, so long at most; says whether they do.
    ///
    /// # Errors
    /// A wish to stop, or nothing can be kept.
    pub fn await_well(&self, limit: Duration, cx: &Context) -> Result<bool, Failure> {
        let patient = Self {
            probes: self.probes.clone(),
            rule: Rule {
                gate: limit,
                ..self.rule.clone()
            },
            rules: Vec::new(),
            project: None,
            units: Vec::new(),
            runtime: self.runtime.clone(),
            errands: self.errands.clone(),
            starts: Vec::new(),
            started: self.started,
            hears: false,
        };
        let observed = patient.observe(StopWhen::Gate, Expectation::default(), &[], cx)?;
        Ok(observed.judge.gate_passed())
    }

    pub(super) fn deciding(&self) -> Vec<ProbeName> {
        let deciding = self.probes.iter().filter(|probe| probe.decides());
        deciding.map(|probe| probe.name().clone()).collect()
    }

    /// Runs the schedule until what was waited for has come.
    pub(super) fn observe(
        &self,
        until: StopWhen,
        expectation: Expectation,
        before: &[Reading],
        cx: &Context,
    ) -> Result<Observed, Failure> {
        let log = disk::open_append(&cx.scratch.join(READINGS)).map_err(|error| Failure::from_error(&error))?;
        let from = log.metadata().map_or(0, |metadata| metadata.len());
        let at = cx.clock.now();
        let behind_the_gate = until == StopWhen::Verdict;
        let pace = paces(cx).map_err(|error| Failure::from_error(&error))?;
        let judge = seated(&self.rule, self.deciding(), behind_the_gate, before, &pace, &self.rules);
        let judge = judge.of_started(self.started);
        let observation = ProbeLoop {
            until,
            rule: self.rule.clone(),
            judge,
            readings: Vec::new(),
            count: 0,
            from,
            log,
            expectation: Arc::new(expectation),
            hears: self.hears,
            unshown: self.starts.iter().map(|probe| probe.name().clone()).collect(),
            acting: Some(Acting {
                project: self.project.clone(),
                units: self.units.clone(),
                since: before.first().map_or(at, |reading| reading.at),
                errands: self.errands.clone(),
            }),
        };
        let probes: Vec<Arc<dyn Probe>> = self.probes.iter().chain(&self.starts).cloned().collect();
        let observed = self.runtime.block_on(observation.run(&probes, cx))?;
        // A round of readings is no watch: nothing is judged in it.
        if !matches!(until, StopWhen::Rounds(_)) {
            let watched = Watched {
                at,
                rule: self.rule.clone(),
                probes: self.deciding(),
                behind_the_gate,
                started: self.started,
                from: observed.from,
                readings: observed.count,
                before: before.iter().map(|reading| reading.at).max(),
                asked: observed.asked,
                verdict: observed.verdict.clone(),
            };
            keep(&watched, cx);
        }
        Ok(observed)
    }
}

/// A judge in his seat: the same for a watch and for its replay.
fn seated(
    rule: &Rule,
    probes: Vec<ProbeName>,
    behind_the_gate: bool,
    before: &[Reading],
    pace: &[Reading],
    rules: &[UserRule],
) -> Judge {
    let judge = Judge::new(rule.clone(), probes).with_baseline(before);
    if !behind_the_gate {
        return judge;
    }
    judge
        .with_rules(rules.to_vec())
        .with_pace(before.iter().chain(pace))
        .behind_the_gate()
}

fn keep(watched: &Watched, cx: &Context) {
    let kept = disk::open_append(&cx.scratch.join(WATCHES))
        .map_err(std::io::Error::other)
        .and_then(|mut log| writeln!(log, "{}", serde_json::to_string(watched)?));
    if let Err(error) = kept {
        cx.note(Level::Warn, format!("a watch could not be kept for a replay: {error}"));
    }
}

/// Judges a watch again from what was kept in a directory, by its own rule or by another.
///
/// # Errors
/// The readings cannot be read.
pub fn replay(
    directory: &Path,
    watched: &Watched,
    rule: Option<&Rule>,
    rules: &[UserRule],
) -> Result<(Verdict, Tally), DiskError> {
    let readings = |name: &str| -> Result<Vec<u8>, DiskError> {
        Ok(disk::read_optional(&directory.join(name))?.unwrap_or_default())
    };
    let text = readings(READINGS)?;
    let before: Vec<Reading> = match watched.before {
        None => Vec::new(),
        Some(last) => parsed(&text).filter(|reading| reading.at <= last).collect(),
    };
    let pace: Vec<Reading> = parsed(&readings(PACES)?).collect();
    let rule = rule.unwrap_or(&watched.rule);
    let mut judge = seated(
        rule,
        watched.probes.clone(),
        watched.behind_the_gate,
        &before,
        &pace,
        rules,
    )
    .of_started(watched.started);
    let from = usize::try_from(watched.from).unwrap_or(usize::MAX);
    for reading in parsed(text.get(from..).unwrap_or_default()).take(watched.readings) {
        judge.take(&reading);
    }
    Ok((judge.verdict(watched.asked), judge.tally()))
}

/// The readings of a text, a line each; one that was cut off is none.
fn parsed(text: &[u8]) -> impl Iterator<Item = Reading> {
    let lines = text.split(|byte| *byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice(line).ok())
}

/// The watches that were kept in a directory, in order.
///
/// # Errors
/// The file is there and cannot be read.
pub fn watches(directory: &Path) -> Result<Vec<Watched>, DiskError> {
    let text = disk::read_text_optional(&directory.join(WATCHES))?.unwrap_or_default();
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}
