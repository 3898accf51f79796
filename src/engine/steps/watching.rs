//! Asking the probes: before the deployment, until the new release answers, during the window, and after the way back.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::intervening::outcome;
use super::monitor::{Monitor, READINGS};
use super::probe_loop::{CONFIRMATION, StopWhen};
use super::step_runner::StepRunner;
use crate::history::History;
use guard_model::event::Level;
use guard_model::fact::{Failure, StepOutput, UNSEEN};
use guard_model::health::{Answer, Outcome, Reading, Rule, Started, Tally, Verdict};
use guard_model::name::{ProbeName, RunKind};
use guard_model::plan::{Action, Step};
use guard_probes::{Expectation, Placed, Probe, Starts};
use guard_system::context::Context;
use guard_system::disk;

/// How many rounds of readings the baseline takes. As many as failures in a row make an outage by default; a guess.
const BASELINE_ROUNDS: u32 = 3;

impl StepRunner {
    /// Asks each probe a few times, while production is still as it was.
    pub(super) fn baseline(&self, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        if self.probes.is_empty() {
            cx.note(
                Level::Warn,
                "no probe is set: whether production is well before, during and after is not known",
            );
            return Ok(StepOutput::Nothing);
        }
        // A deployment right behind another finds containers whose checks have not been made yet.
        if !self.allow_unhealthy_baseline {
            let further = self.services.further.iter().map(|further| Some(further.name.as_str()));
            for name in std::iter::once(None).chain(further) {
                let (services, there) = self.services.of_project(name, cx);
                services
                    .await_health(&there)
                    .map_err(|error| Failure::from_error(&error))?;
            }
        }
        let rule = Rule {
            interval: self.rule.interval.min(CONFIRMATION),
            ..self.rule.clone()
        };
        let monitor = self.monitor(&rule, false);
        let observed = monitor.observe(StopWhen::Rounds(BASELINE_ROUNDS), Expectation::default(), &[], cx)?;
        let complaints = complaints(&self.deciding(), &observed.readings);
        // A backup alone changes nothing: it is taken of an unwell system too, and marked as tainted.
        if complaints.is_empty() || self.allow_unhealthy_baseline || history.plan().kind == RunKind::Backup {
            if history.plan().kind == RunKind::Deploy {
                self.pace.begin(&self.probes, &self.rule, &self.runtime, cx);
            }
            return Ok(StepOutput::Baseline {
                tally: tally_of(&observed.readings),
                complaints,
            });
        }
        Err(Failure {
            permanent: true,
            ..Failure::new("production is not well before the deployment")
        }
        .with_cause(complaints.join("; "))
        .with_hint("mend it first, or deploy with --allow-unhealthy-baseline; `guard check` shows each probe"))
    }

    /// Waits until the new release answers.
    pub(super) fn gate(&self, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        self.expect_change(history, cx)?;
        // A release beside what is live is asked by itself: visitors are not at it yet.
        let probes = self.probes_of_release(cx)?;
        if probes.is_empty() {
            self.keep_left(cx);
            return Ok(StepOutput::Nothing);
        }
        let mut monitor = self.monitor_of_start(Started::Deployed, cx);
        monitor.probes = probes;
        let observed = monitor.observe(StopWhen::Gate, expectation(history), &before(history, cx)?, cx)?;
        if let Some(person) = observed.person {
            return outcome(person, observed.judge.tally());
        }
        if let Verdict::Bad(finding) = observed.verdict {
            return Err(Failure {
                finding: Some(finding.clone()),
                ..Failure::new(finding.sentence)
            });
        }
        self.keep_left(cx);
        Ok(StepOutput::Nothing)
    }

    /// A monitor with time enough for a start. A container that is still starting has settings of its own for that: the gate's
    /// time counts from the moment at which its health check has spoken, unless a person has said how long a start may take.
    pub(super) fn monitor_of_start(&self, started: Started, cx: &Context) -> Monitor {
        let mut monitor = self.monitor(&self.rule, started == Started::Deployed);
        monitor.started = started;
        if self.is_gate_set {
            return monitor;
        }
        let further = self.services.further.iter().map(|further| Some(further.name.as_str()));
        for name in std::iter::once(None).chain(further) {
            let (services, there) = self.services.of_project(name, cx);
            match services.time_to_start(&there) {
                Ok(time) if time.is_zero() => {}
                Ok(time) => {
                    let rule = &mut monitor.rule;
                    rule.longest_start = rule.longest_start.max(Some(time.saturating_add(rule.gate)));
                    monitor.starts.extend(self.starts(name, monitor.starts.len()));
                }
                Err(error) => cx.note(
                    Level::Warn,
                    format!("how long containers may take to start is not known: {error}"),
                ),
            }
        }
        monitor
    }

    /// What tells which containers of a project are starting, under a name that none of the user's probes has.
    fn starts(&self, project: Option<&str>, number: usize) -> Option<Arc<dyn Probe>> {
        let is_taken = |name: &ProbeName| self.probes.iter().any(|probe| probe.name() == name);
        let name = Starts::names(number).find(|name| !is_taken(name))?;
        let Some(project) = project else {
            let compose = self.services.compose.as_ref()?;
            return Some(Arc::new(Starts::of(name, &compose.project)));
        };
        let mut all = self.services.further.iter();
        let further = all.find(|further| further.name == project)?;
        let starts = Starts::of(name, &further.compose.project);
        Some(match &further.engine {
            None => Arc::new(starts),
            Some(engine) => Arc::new(Placed {
                inner: Box::new(starts),
                engine: engine.clone(),
            }),
        })
    }

    /// Watches the release for the window, or for what is left of it.
    pub(super) fn watch(&self, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        if self.probes.is_empty() {
            return Ok(StepOutput::Nothing);
        }
        let step = Step::of(Action::Watch).id;
        let begun = history
            .step(&step)
            .map_or_else(|| cx.clock.now(), |step| step.first_begun);
        let gone = (cx.clock.now() - begun).to_std().unwrap_or_default();
        // Nobody watched while guard was gone, so what is left has to be long enough to say something.
        let least = (self.rule.interval * (self.rule.min_samples + 2)).min(self.rule.window);
        let window = self.rule.window.saturating_sub(gone).max(least);
        let rule = Rule {
            window,
            ..self.rule.clone()
        };
        let monitor = self.monitor(&rule, true);
        let observed = monitor.observe(StopWhen::Verdict, expectation(history), &before(history, cx)?, cx)?;
        let tally = observed.judge.tally();
        if let Some(person) = observed.person {
            return outcome(person, tally);
        }
        match observed.verdict {
            Verdict::Bad(finding) => Err(Failure {
                finding: Some(finding.clone()),
                ..Failure::new(finding.sentence)
            }),
            Verdict::Inconclusive(why) => Ok(StepOutput::Watched {
                tally,
                inconclusive: Some(why),
                person: None,
            }),
            Verdict::Healthy | Verdict::Undecided => Ok(StepOutput::Watched {
                tally,
                inconclusive: None,
                person: None,
            }),
        }
    }

    /// Asks the probes after the way back, with the time a start may take.
    pub(super) fn prove_by_probes(&self, history: &History, cx: &Context) -> Result<Vec<String>, Failure> {
        if self.probes.is_empty() {
            return Ok(vec![UNSEEN.to_owned()]);
        }
        let monitor = self.monitor_of_start(Started::Back, cx);
        // What the failed release wrote into its logs is not held against the old one.
        let expectation = Expectation {
            back_since: history.step(&Step::of(Action::Start).id).map(|step| step.first_begun),
            ..Expectation::default()
        };
        let observed = monitor.observe(StopWhen::Gate, expectation, &[], cx)?;
        match observed.verdict {
            Verdict::Bad(finding) => {
                let failure = Failure {
                    finding: Some(finding.clone()),
                    ..Failure::new(finding.sentence)
                };
                Err(failure.with_hint(if history.displaced().next().is_some() {
                    "what was put back is there and does not pass its probes; see the evidence, and `guard rollback --undo`"
                } else {
                    "nothing was put back, and what is there does not pass its probes; `guard check` asks each of them"
                }))
            }
            Verdict::Inconclusive(why) => Err(Failure::new(why).with_hint(
                "what was put back is there, and nobody can see whether it is well; `guard check` asks each probe",
            )),
            _ => Ok(self.deciding().iter().map(|probe| format!("{probe} answers")).collect()),
        }
    }

    fn deciding(&self) -> Vec<ProbeName> {
        self.probes
            .iter()
            .filter(|probe| probe.decides())
            .map(|probe| probe.name().clone())
            .collect()
    }

    /// A monitor over the probes of the run; `hears`: a person may end it.
    fn monitor(&self, rule: &Rule, hears: bool) -> Monitor {
        Monitor {
            probes: self.probes.clone(),
            rule: rule.clone(),
            rules: self.rules.clone(),
            project: self.services.compose.as_ref().map(|compose| compose.project.clone()),
            units: self.services.units(),
            runtime: self.runtime.clone(),
            errands: self.errands.clone(),
            starts: Vec::new(),
            started: Started::default(),
            hears,
        }
    }
}

/// The readings of the baseline, as they were kept: a probe that failed now and then before may do so after.
fn before(history: &History, cx: &Context) -> Result<Vec<Reading>, Failure> {
    let Some(deploy) = history.step(&Step::of(Action::Deploy).id) else {
        return Ok(Vec::new());
    };
    let kept = disk::read_text_optional(&cx.scratch.join(READINGS)).map_err(|error| Failure::from_error(&error))?;
    // A last line that was cut off is no reading.
    let readings = kept
        .as_deref()
        .unwrap_or_default()
        .lines()
        .filter_map(|line| serde_json::from_str::<Reading>(line).ok());
    Ok(readings.filter(|reading| reading.at < deploy.first_begun).collect())
}

/// What the new release is to be known by.
fn expectation(history: &History) -> Expectation {
    Expectation {
        version: history.deployed().expect_version,
        since: history.step(&Step::of(Action::Deploy).id).map(|step| step.first_begun),
        ..Expectation::default()
    }
}

/// The counts of some readings.
fn tally_of(readings: &[Reading]) -> Tally {
    let count = |outcome: Outcome| readings.iter().filter(|reading| reading.outcome == outcome).count() as u64;
    let (ok, failures) = (count(Outcome::Ok), count(Outcome::Failed));
    Tally {
        checks: ok + failures,
        failures,
        consecutive: 0,
        unknown: count(Outcome::Unknown),
        worst: None,
    }
}

/// Why a baseline is not healthy: a probe most of whose readings did not succeed, each a sentence.
fn complaints(deciding: &[ProbeName], readings: &[Reading]) -> Vec<String> {
    let mut complaints = Vec::new();
    for probe in deciding {
        let of_probe: Vec<&Reading> = readings.iter().filter(|reading| &reading.probe == probe).collect();
        let well = of_probe.iter().filter(|reading| reading.outcome == Outcome::Ok).count();
        if let (true, Some(last)) = (
            well * 2 < of_probe.len(),
            of_probe.iter().rev().find(|reading| reading.outcome != Outcome::Ok),
        ) {
            complaints.push(format!(
                "{probe} failed {} of {} times ({})",
                of_probe.len() - well,
                of_probe.len(),
                last.note
            ));
        }
    }
    complaints
}

/// Asks every probe once, side by side.
#[must_use]
pub fn ask_once(probes: &[Arc<dyn Probe>], runtime: &Handle, cx: &Context) -> Vec<(Arc<dyn Probe>, Answer)> {
    runtime.block_on(async {
        let asked: Vec<_> = probes
            .iter()
            .map(|probe| {
                let (probe, cx) = (probe.clone(), cx.clone());
                tokio::spawn(async move {
                    let answer = probe.read(&Expectation::default(), &cx).await;
                    (probe, answer)
                })
            })
            .collect();
        let mut answers = Vec::new();
        for task in asked {
            // A probe that panicked has no answer; the run itself would say so.
            answers.extend(task.await.ok());
        }
        answers
    })
}
