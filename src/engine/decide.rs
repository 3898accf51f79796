//! The whole safety policy, as one pure function: what comes next, from what has happened.
#![expect(clippy::match_same_arms, reason = "every case of the policy stands for itself")]

use crate::engine::history::{History, Progress};
use crate::model::artifact::Work;
use crate::model::fact::{Ending, Failure, Turn, Yield};
use crate::model::health::FindingCause;
use crate::model::name::RunKind;
use crate::model::plan::{Action, Replay, Stage, StageName, Step};
use crate::model::policy::{OnFailure, OnInconclusive};

/// How often a step of the way back is tried before a person is needed.
pub const TRIES: u32 = 3;

/// What comes next. Nothing is in flight when this is asked: a step that was begun and has no result was cut off.
#[derive(Debug, PartialEq)]
pub enum Next<'p> {
    /// Begin these steps of this stage, side by side.
    Begin(&'p Stage, Vec<&'p Step>),
    /// Go back from here.
    Turn(Turn),
    /// The run is over, like this.
    Close(Ending),
    /// It was over before.
    Over(Ending),
}

/// Decides what comes next.
///
/// | turned back? | deploy begun? | a step back failed for good? | next |
/// |---|---|---|---|
/// | no | – | – | first unfinished stage ahead; none left: closed, deployed |
/// | yes | no | – | closed, untouched |
/// | yes | yes | no | first unfinished stage back; none left: closed, rolled back |
/// | yes | yes | yes | closed, stuck: a person is needed, and one command continues |
#[must_use]
pub fn decide(history: &History) -> Next<'_> {
    if let Some(ending) = history.closed() {
        return Next::Over(ending);
    }
    match history.turned() {
        None => ahead(history),
        Some(turn) => back(history, turn),
    }
}

fn ahead(history: &History) -> Next<'_> {
    let plan = history.plan();
    if matches!(plan.kind, RunKind::Rollback | RunKind::Undo) {
        return Next::Turn(Turn::Asked);
    }
    // Whoever was cut off before the deploy command is not there any more to want it.
    if history.was_reopened() && !history.has_deploy_begun() {
        return Next::Turn(Turn::Interrupted);
    }
    for stage in &plan.ahead {
        let mut open = Vec::new();
        for step in &stage.steps {
            match history.step(&step.id).map(|step| &step.progress) {
                None => open.push(step),
                Some(Progress::Begun) if step.action.replay() == Replay::Never => {
                    return Next::Turn(Turn::DeployUnknown);
                }
                Some(Progress::Begun) => open.push(step),
                Some(Progress::Failed(failure)) if failure.person.is_some() => return Next::Turn(Turn::Decided),
                Some(Progress::Failed(failure)) if failure.interrupted => return Next::Turn(Turn::Interrupted),
                // What a person left is left, whatever the policy makes of too little evidence.
                Some(Progress::Done(Yield::Watched {
                    inconclusive: Some(_),
                    person: Some(_),
                    ..
                })) => return Next::Close(Ending::Inconclusive),
                Some(Progress::Failed(_)) => return Next::Turn(turn_for(&step.action)),
                Some(Progress::Done(Yield::Watched {
                    inconclusive: Some(_), ..
                })) => {
                    return match plan.policy.on_inconclusive {
                        OnInconclusive::Leave => Next::Close(Ending::Inconclusive),
                        OnInconclusive::Rollback => Next::Turn(Turn::Inconclusive),
                    };
                }
                Some(Progress::Done(_)) => {}
            }
        }
        if !open.is_empty() {
            return Next::Begin(stage, open);
        }
    }
    Next::Close(if plan.kind == RunKind::Backup {
        Ending::Captured
    } else {
        Ending::Deployed
    })
}

fn turn_for(action: &Action) -> Turn {
    match action {
        Action::Baseline => Turn::Refused,
        Action::Deploy => Turn::DeployFailed,
        Action::Gate | Action::Verify => Turn::VerifyFailed,
        Action::Watch => Turn::WatchFailed,
        _ => Turn::BackupFailed,
    }
}

fn back(history: &History, turn: Turn) -> Next<'_> {
    let plan = history.plan();
    if plan.kind == RunKind::Backup || (plan.kind == RunKind::Deploy && !history.has_deploy_begun()) {
        return Next::Close(Ending::Untouched(turn));
    }
    if history.response().or_else(|| response(history, turn)) == Some(OnFailure::Hold) {
        return Next::Close(Ending::Withheld(turn));
    }
    for stage in &plan.back {
        if is_skipped(history, stage.name, turn) {
            continue;
        }
        let mut open = Vec::new();
        for step in &stage.steps {
            let Some(past) = history.step(&step.id) else {
                open.push(step);
                continue;
            };
            match &past.progress {
                Progress::Begun => open.push(step),
                Progress::Done(_) => {}
                // Evidence explains; its lack must not keep production down.
                Progress::Failed(_) if step.action == Action::Evidence => {}
                Progress::Failed(_) if step.action == Action::Prove && past.failures > 0 => {
                    return Next::Close(Ending::RestoredUnhealthy(turn));
                }
                Progress::Failed(failure) if past.failures >= TRIES || (failure.permanent && past.failures > 0) => {
                    return Next::Close(match (plan.kind, stage.name) {
                        // Preparing only reads what is live: production is as it was when a person asked for something
                        // else.
                        (RunKind::Rollback, StageName::Prepare) if failure.permanent => Ending::Untouched(turn),
                        (RunKind::Rollback, StageName::Prepare) => Ending::Unprepared(turn),
                        _ if !has_touched(history) => Ending::Unready(turn),
                        _ => Ending::Stuck(turn),
                    });
                }
                Progress::Failed(_) => open.push(step),
            }
        }
        if stage.name == StageName::Code {
            // The work tree, the project's files and the configuration may be the same files. Each keeps what it displaces,
            // and only in a fixed order, which an undo walks backwards, does what they keep fit together.
            open.truncate(1);
        }
        if !open.is_empty() {
            return Next::Begin(stage, open);
        }
        if stage.name == StageName::Prepare
            && history
                .prepared()
                .any(|prepared| matches!(prepared.work, Work::Withheld(_)))
        {
            return Next::Close(Ending::Withheld(turn));
        }
    }
    Next::Close(if nothing_changed(history) && turn == Turn::DeployFailed {
        Ending::NothingToUndo(turn)
    } else {
        Ending::RolledBack(turn)
    })
}

/// What follows a turn, decided once: the loop writes it down beside the turn, and everybody who speaks of it repeats that.
/// `None` where nothing was deployed, so that there is nothing to go back from.
#[must_use]
pub fn response(history: &History, turn: Turn) -> Option<OnFailure> {
    if history.plan().kind == RunKind::Deploy && !history.has_deploy_begun() {
        return None;
    }
    Some(if is_held(history, turn) {
        OnFailure::Hold
    } else {
        OnFailure::Rollback
    })
}

/// Whether the way back has begun to change anything: before that, production is what the release made of it.
fn has_touched(history: &History) -> bool {
    let mut steps = history.plan().back.iter().flat_map(|stage| &stage.steps);
    steps.any(|step| {
        let changes = matches!(
            step.action,
            Action::Quiesce | Action::Restore(_) | Action::Undo(_) | Action::Start
        );
        changes && history.step(&step.id).is_some()
    })
}

/// Whether the policy leaves the failed state for a person.
fn is_held(history: &History, turn: Turn) -> bool {
    let policy = &history.plan().policy;
    let wish = match turn {
        Turn::Asked | Turn::Decided => OnFailure::Rollback,
        Turn::DeployUnknown => policy.on_unknown,
        Turn::Interrupted => policy.on_interrupt,
        _ => OnFailure::Rollback,
    };
    // A rule of the user's that leaves a release for a person has been asked for as much as `--no-rollback`.
    let asks = |failure: &Failure| {
        failure
            .finding
            .as_ref()
            .is_some_and(|finding| finding.cause == FindingCause::Hold)
    };
    if turn == Turn::WatchFailed && history.failures().any(|(_, failure)| asks(failure)) {
        return true;
    }
    // `--no-rollback` is about every reason but a person's own.
    wish == OnFailure::Hold || (policy.on_failure == OnFailure::Hold && !matches!(turn, Turn::Asked | Turn::Decided))
}

/// Whether a stage has no work: nothing is stopped for a deployment that changed nothing.
fn is_skipped(history: &History, stage: StageName, turn: Turn) -> bool {
    match stage {
        StageName::Quiesce | StageName::Recheck | StageName::Data | StageName::Code | StageName::Images => {
            nothing_changed(history)
        }
        StageName::Start => nothing_changed(history) && turn == Turn::DeployFailed,
        _ => false,
    }
}

/// Whether the way back has nothing to put back.
pub(super) fn nothing_changed(history: &History) -> bool {
    history.plan().kind != RunKind::Undo && history.prepared().all(|prepared| !prepared.work.is_needed())
}
