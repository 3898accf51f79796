//! The result of a run for machines: what `result.json` and the last JSON line hold.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::closing::Closing;
use super::failure::Next;
use super::json::{SCHEMA_VERSION, clean};
use super::moment::span;
use super::run_view::{RunView, State};
use guard_model::exit::ExitCode;
use guard_model::fact::{Actor, Ending, Failure, Record, RollbackCause};
use guard_model::intervention::Intervention;
use guard_model::name::{ResourceName, RunId, RunKind};
use guard_model::now::Now;
use guard_model::secret::Redaction;

/// How a run went, from its records alone.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The version of this form.
    pub schema_version: u32,
    /// The run.
    pub run: Option<RunId>,
    /// Its kind.
    pub kind: Option<RunKind>,
    /// `deployed`, `rolled-back` …; `cut-off` where the run has no end yet.
    pub outcome: String,
    /// The ending with its turn, as the journal has it.
    pub ending: Option<Ending>,
    /// The exit code.
    pub exit_code: ExitCode,
    /// The state of production: `old, verified`.
    pub production: String,
    /// Why the run turned back.
    pub turned: Option<RollbackCause>,
    /// Who ended the watch before its time, and how, where a person did.
    pub person: Option<Intervention>,
    /// Whether the deploy command changed anything that was copied; `None` where that is not known, or none ran.
    pub changed: Option<bool>,
    /// Whether the old state is there again because of this run.
    pub rolled_back: bool,
    /// When the run began.
    pub began: Option<DateTime<Utc>>,
    /// When its last record was written.
    pub ended: Option<DateTime<Utc>>,
    /// Seconds between the two.
    pub seconds: Option<f64>,
    /// The stages of the plan, those ahead first.
    pub stages: Vec<StageOutcome>,
    /// The backup that was made or gone back to.
    pub backup_timestamp: Option<String>,
    /// What turned the run back.
    pub failure: Option<Failure>,
    /// What stands in the way of going back, in a run that is stuck.
    pub obstacle: Option<Failure>,
    /// What going back has cost, each a sentence.
    pub price: Vec<String>,
    /// Where the displaced states are.
    pub displaced: Vec<DisplacedOutcome>,
    /// What cannot be undone, as the deploy command announced it.
    pub irreversible: Vec<String>,
    /// Who finished a run that was cut off: `watcher`, or `resume` for a person; `None` where nothing cut it off.
    pub finished_by: Option<&'static str>,
    /// What runs and what the probes saw at the end; `None` where nobody looked.
    pub now: Option<Now>,
    /// What to type next.
    pub next: Option<Next>,
    /// The path of the incident report, where there is one.
    pub report: Option<String>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageOutcome {
    /// `Step 3: put databases and volumes back`.
    pub title: String,
    /// `ahead` or `back`.
    pub direction: &'static str,
    /// How far it came.
    pub state: State,
    /// How long it took, where it ended.
    pub seconds: Option<f64>,
}

/// A displaced state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DisplacedOutcome {
    /// The resource.
    pub resource: ResourceName,
    /// Where its displaced state is, for people.
    pub kept_as: Vec<String>,
}

impl Outcome {
    /// The outcome that these records tell. `report` is the path of the incident report, `program` how guard is called.
    #[must_use]
    pub fn of(records: &[Record], report: Option<&Path>, program: &str) -> Self {
        let view = RunView::of(records);
        let opened = view.opened.as_ref();
        let ending = view.ended.map(|(ending, _)| ending);
        let closing = ending.map(|ending| Closing::of(&view, ending, program));
        let resume = || Some(Next::new("to continue", format!("{program} resume")));
        let next = closing.as_ref().map_or_else(resume, |closing| closing.next.clone());
        let failure = |stage_failure: Option<&super::run_view::StageFailure>| {
            stage_failure.map(|stage_failure| stage_failure.failure.clone())
        };
        let cut_off = || ExitCode::CUT_OFF.meaning().map_or("mixed", |row| row.production);
        let production = closing.as_ref().map_or_else(cut_off, |closing| closing.production);
        Self {
            schema_version: SCHEMA_VERSION,
            run: opened.map(|opened| opened.run.clone()),
            kind: opened.map(|opened| opened.plan.kind),
            outcome: ending.map_or("cut-off", word).to_owned(),
            ending,
            exit_code: ending.map_or(ExitCode::CUT_OFF, Ending::exit_code),
            production: production.to_owned(),
            turned: view.turned.map(|(turn, _)| turn),
            person: view.person.clone(),
            changed: view.deployed.changed,
            rolled_back: matches!(ending, Some(Ending::RolledBack(_) | Ending::RestoredUnhealthy(_))),
            began: opened.map(|opened| opened.at),
            ended: view.last,
            seconds: opened
                .zip(view.last)
                .map(|(opened, last)| span(opened.at, last).as_secs_f64()),
            stages: stages(&view),
            backup_timestamp: opened.map(|opened| opened.plan.backup.to_string()),
            failure: failure(view.cause()),
            obstacle: failure(view.obstacle()),
            price: view.price(),
            displaced: view
                .displaced
                .iter()
                .filter(|displaced| !displaced.kept_as.is_empty())
                .map(|displaced| DisplacedOutcome {
                    resource: displaced.resource.clone(),
                    kept_as: displaced.kept_as.clone(),
                })
                .collect(),
            irreversible: view.deployed.irreversible.clone(),
            finished_by: view.finisher.as_ref().map(finisher),
            now: view.now.clone(),
            next,
            report: report.map(|path| path.display().to_string()),
        }
    }

    /// The outcome as a JSON value, redacted: the next command repeats the deploy command, and that may hold a secret.
    #[must_use]
    pub fn to_value(&self, redaction: &Redaction) -> Value {
        // Only a map with keys that are no strings cannot be written, and there is none.
        let mut value = serde_json::to_value(self).unwrap_or_default();
        clean(&mut value, redaction);
        value
    }
}

/// The ending in one word, as outputs of CI systems carry it.
#[must_use]
pub fn word(ending: Ending) -> &'static str {
    match ending {
        Ending::Captured => "captured",
        Ending::Deployed => "deployed",
        Ending::Inconclusive => "inconclusive",
        Ending::Untouched(_) => "untouched",
        Ending::Unprepared(_) => "unprepared",
        Ending::RolledBack(_) => "rolled-back",
        Ending::NothingToUndo(_) => "nothing-to-undo",
        Ending::Withheld(_) => "withheld",
        Ending::RestoredUnhealthy(_) => "restored-unhealthy",
        Ending::Unready(_) => "unready",
        Ending::Stuck(_) => "stuck",
        Ending::Abandoned => "abandoned",
    }
}

/// Who went on with a run, in one word.
#[must_use]
pub fn finisher(actor: &Actor) -> &'static str {
    if actor.watcher { "watcher" } else { "resume" }
}

fn stages(view: &RunView) -> Vec<StageOutcome> {
    let outcome = |stage: &super::run_view::StageView| StageOutcome {
        title: stage.title(),
        direction: if stage.is_back { "back" } else { "ahead" },
        state: stage.state(),
        seconds: stage.took().map(|took| took.as_secs_f64()),
    };
    view.stages.iter().map(outcome).collect()
}
