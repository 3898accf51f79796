//! What was verified in a run and what was not, as a list to tick off.

use serde::Serialize;

use super::safe::Safe;
use crate::outputs::counts;
use crate::run_view::{RunView, StageView, State};
use guard_model::plan::StageName;
use guard_model::secret::Redaction;

/// How a point of the list stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checked {
    /// Looked at, and well.
    Well,
    /// Looked at, and not well.
    NotWell,
    /// Not looked at.
    Open,
}

/// One point.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What is asked.
    pub what: Safe,
    /// How it stands.
    pub checked: Checked,
    /// By what it is known.
    pub how: Safe,
}

/// What each stage proves when it is done. Stages that only do something prove nothing.
fn proves(stage: &StageView) -> Option<&'static str> {
    Some(match stage.name {
        StageName::Baseline => "Production was well before anything happened",
        StageName::Seal => "The backup was read back, and every byte is as it was written",
        StageName::Gate => "The new release came up and answered",
        StageName::Verify => "Your own checks passed on the new release",
        StageName::Watch => "The new release stayed well for the whole watch",
        StageName::Prepare => {
            "What goes back was made ready beside what was live, and compared, before anything was stopped"
        }
        StageName::Recheck => "Nobody wrote to what goes back after it was compared",
        StageName::Start => "What ran before runs again",
        StageName::Prove => "What was promised to be back was compared with what is",
        _ => return None,
    })
}

pub(super) fn checklist(view: &RunView, redaction: &Redaction) -> Vec<Check> {
    let turned = view.turned.is_some();
    let mut list = Vec::new();
    // Of a way back that nobody went there is nothing to verify.
    for stage in view.stages.iter().filter(|stage| !stage.is_back || turned) {
        let Some(what) = proves(stage) else { continue };
        list.push(Check {
            what: Safe::of(what, redaction),
            checked: match stage.state() {
                State::Done if stage.name == StageName::Baseline && !view.complaints.is_empty() => Checked::NotWell,
                State::Done => Checked::Well,
                State::Failed => Checked::NotWell,
                State::Waiting | State::Running => Checked::Open,
            },
            how: Safe::of(&how(stage, view), redaction),
        });
    }
    for finding in &view.proven {
        list.push(Check {
            what: Safe::of(finding, redaction),
            checked: Checked::Well,
            how: Safe::of("", redaction),
        });
    }
    for seen in view.now.iter().flat_map(|now| &now.seen) {
        list.push(Check {
            what: Safe::of(&format!("{} passes at the end of the run", seen.probe), redaction),
            checked: if seen.passes { Checked::Well } else { Checked::NotWell },
            how: Safe::of(&seen.note, redaction),
        });
    }
    list
}

fn how(stage: &StageView, view: &RunView) -> String {
    match (stage.name, stage.state()) {
        (_, State::Waiting) => "not reached".to_owned(),
        (_, State::Running) => "begun, and not ended".to_owned(),
        (StageName::Baseline, _) if !view.complaints.is_empty() => view.complaints.join("; "),
        (StageName::Watch, State::Done) => match (&view.tally, &view.person) {
            (_, Some(person)) => person.sentence(),
            (Some(tally), None) => counts(tally),
            (None, None) => "no probe is set, so nobody watched".to_owned(),
        },
        (_, State::Failed) => {
            let mut failures = view.stage_failures.iter().rev();
            let of_it = failures.find(|failed| stage.steps.iter().any(|(step, _)| step.id == failed.step));
            of_it.map_or_else(|| "failed".to_owned(), |failed| failed.failure.sentence())
        }
        (_, State::Done) => {
            let took = stage.took().map(guard_model::text::duration);
            took.map_or_else(|| "done".to_owned(), |took| format!("done in {took}"))
        }
    }
}
