//! Facts in plain English: each record becomes the lines that tell it to people.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::closing::{Closing, reason};
use super::line::{Line, Tone};
use super::moment::span;
use super::outputs;
use super::run_view::{RunView, StageFailure};
use guard_model::fact::{Fact, Failure, Record, RollbackCause, StandbyState};
use guard_model::name::{ResourceName, RunKind};
use guard_model::plan::{Action, StepId};
use guard_model::policy::OnFailure;
use guard_model::text;

/// Tells a run record by record.
#[derive(Debug, Clone)]
pub struct Narrator {
    /// What has been told so far.
    pub view: RunView,
    program: String,
    announced: BTreeSet<(bool, usize)>,
}

impl Narrator {
    /// A narrator who calls guard like this in the commands that he recommends: `guard`, `guard -C /srv/shop`.
    #[must_use]
    pub fn new(program: &str) -> Self {
        Self {
            view: RunView::default(),
            program: program.to_owned(),
            announced: BTreeSet::new(),
        }
    }

    /// What a record says.
    pub fn tell(&mut self, record: &Record) -> Vec<Line> {
        self.view.take(record);
        match &record.fact {
            Fact::Opened { .. } => self.opened(),
            Fact::Begun { step } => self.begun(step),
            Fact::Done { step, yields } => {
                let took = self.view.began(step).map(|began| span(began, record.at));
                outputs::lines(step, self.action(step), yields, took)
            }
            Fact::Failed { step, failure } => self.failed(step, failure),
            Fact::RollbackBegan { why, then } => vec![Self::turned(*why, *then)],
            Fact::Reopened { actor } => {
                self.announced.clear();
                let process = format!("pid {} on {}", actor.pid, actor.host);
                vec![if actor.watcher {
                    Line::new(
                        Tone::Warn,
                        format!("guard is gone; the run goes on, by its watcher ({process})"),
                    )
                } else {
                    Line::new(Tone::Info, format!("The run goes on, by {} ({process})", actor.user))
                }]
            }
            Fact::LeftOut { resources } => {
                let names: Vec<String> = resources.iter().map(ToString::to_string).collect();
                let text = format!("Left as it is, as was asked: {}", names.join(", "));
                vec![Line::new(Tone::Warn, text)]
            }
            Fact::Limited { rollback_timeout } => {
                let limit = rollback_timeout.map_or_else(
                    || "takes the time that it needs".to_owned(),
                    |limit| format!("may take {}", text::duration(limit)),
                );
                vec![Line::new(
                    Tone::Info,
                    format!("From here on the whole way back {limit}"),
                )]
            }
            Fact::Widened { resources } => {
                let names: Vec<String> = resources.iter().map(ToString::to_string).collect();
                let text = format!(
                    "What was put back does not come up, and {} still differs from the backup: it is put back as well, and the \
                     rows that were written since go aside",
                    names.join(", ")
                );
                self.announced.clear();
                vec![Line::new(Tone::Warn, text)]
            }
            Fact::Standby { resource, state } => vec![self.standby(resource, state, record.at)],
            Fact::Closed { ending, .. } => Closing::of(&self.view, *ending, &self.program).lines(&self.view, *ending),
        }
    }

    /// How far a copy that stands by has come.
    fn standby(&self, resource: &ResourceName, state: &StandbyState, at: DateTime<Utc>) -> Line {
        match state {
            StandbyState::Loading => Line::new(
                Tone::Detail,
                format!("{resource}: a copy is made ready beside it, to stand by"),
            ),
            StandbyState::Ready { kept_as } => {
                let took = self
                    .view
                    .standby_began(resource)
                    .map_or(Duration::ZERO, |began| span(began, at));
                let text = format!("{resource}: a copy stands by as {kept_as} ({})", text::duration(took));
                Line::new(Tone::Info, text)
            }
            StandbyState::Without { why } => Line::new(Tone::Detail, format!("{resource}: nothing stands by: {why}")),
            StandbyState::Failed { why } => Line::new(
                Tone::Warn,
                format!("{resource}: no copy could be made to stand by, so a rollback would load it first: {why}"),
            ),
        }
    }

    fn action(&self, step: &StepId) -> Option<&Action> {
        let opened = self.view.opened.as_ref()?;
        opened.plan.step(step).map(|step| &step.action)
    }

    fn opened(&self) -> Vec<Line> {
        let Some(opened) = &self.view.opened else {
            return Vec::new();
        };
        let (run, plan) = (&opened.run, &opened.plan);
        let stages = |count: usize| text::plural(count as u64, "stage");
        let what = match plan.kind {
            RunKind::Backup => format!("Run {run} begins: backup {}", plan.backup),
            RunKind::Deploy => format!(
                "Run {run} begins: {} ahead, and {} back if the release is bad",
                stages(plan.ahead.len()),
                stages(plan.back.len())
            ),
            RunKind::Rollback => format!(
                "Run {run} begins: back to {} in {}",
                plan.backup,
                stages(plan.back.len())
            ),
            RunKind::Undo => format!("Run {run} begins: back to the state before the last rollback"),
        };
        let actor = &opened.actor;
        let who = format!(
            "Begun by {} (pid {} on {}), guard {}",
            actor.user, actor.pid, actor.host, actor.version
        );
        let mut lines = vec![Line::new(Tone::Info, what), Line::new(Tone::Detail, who)];
        lines.extend(
            opened
                .reason
                .iter()
                .map(|why| Line::new(Tone::Info, format!("Reason: {why}"))),
        );
        lines
    }

    fn begun(&mut self, step: &StepId) -> Vec<Line> {
        let mut lines = Vec::new();
        if let Some(stage) = self.view.stage_of(step)
            && self.announced.insert((stage.is_back, stage.number))
        {
            lines.push(Line::new(Tone::Step, stage.title()));
        }
        let command = self
            .view
            .opened
            .as_ref()
            .map(|opened| opened.plan.command.as_slice())
            .unwrap_or_default();
        match (self.action(step), shlex::try_join(command.iter().map(String::as_str))) {
            (Some(Action::Deploy), Ok(words)) => lines.push(Line::new(Tone::Info, format!("Running: {words}"))),
            _ => lines.push(Line::new(Tone::Detail, format!("{step} begins"))),
        }
        lines
    }

    fn failed(&self, step: &StepId, failure: &Failure) -> Vec<Line> {
        let place = self
            .view
            .stage_of(step)
            .map_or_else(|| step.to_string(), |stage| format!("{}: {step}", stage.title()));
        if failure.interrupted {
            return vec![Line::new(
                Tone::Warn,
                format!("{place} was interrupted: {}", failure.sentence()),
            )];
        }
        if failure.person.is_some() {
            return vec![Line::new(Tone::Warn, format!("{place}: {}", failure.sentence()))];
        }
        // A step back is tried again: what it fails of is said once.
        let mut before = self
            .view
            .stage_failures
            .iter()
            .rev()
            .filter(|stage_failure| &stage_failure.step == step);
        let is_this = |stage_failure: &StageFailure| stage_failure.failure.sentence() == failure.sentence();
        let times = before
            .by_ref()
            .take_while(|stage_failure| is_this(stage_failure))
            .count();
        if times > 1 {
            return vec![Line::new(
                Tone::Error,
                format!("{place} failed {times} times, each time of the same"),
            )];
        }
        let mut lines = vec![Line::new(
            Tone::Error,
            format!("{place} failed: {}", failure.sentence()),
        )];
        let exit = failure
            .exit
            .iter()
            .filter(|exit| !failure.sentence().contains(exit.as_str()));
        lines.extend(exit.map(|exit| Line::new(Tone::Error, format!("  it ended with {exit}"))));
        lines.extend(
            failure
                .deployed
                .iter()
                .flat_map(|deployed| &deployed.irreversible)
                .map(|what| outputs::irreversible(what)),
        );
        // After a proof comes the end of the run, which says the hint.
        let hint = failure
            .hint
            .iter()
            .filter(|_| self.action(step) != Some(&Action::Prove));
        lines.extend(hint.map(|hint| Line::new(Tone::Error, format!("  hint: {hint}"))));
        lines
    }

    fn turned(why: RollbackCause, then: Option<OnFailure>) -> Line {
        match why {
            RollbackCause::Asked => Line::new(Tone::Info, "Going back, as asked"),
            RollbackCause::Decided => Line::new(Tone::Warn, format!("{}: turning back", reason(why))),
            RollbackCause::BackupFailed => Line::new(Tone::Warn, format!("{}: nothing will be deployed", reason(why))),
            _ if then == Some(OnFailure::Hold) => Line::new(
                Tone::Warn,
                format!("{}: the rollback is withheld, as was decided before", reason(why)),
            ),
            _ => Line::new(Tone::Warn, format!("{}: turning back", reason(why))),
        }
    }
}
