//! The whole safety policy, as one pure function: what comes next, from what has happened.
#![expect(clippy::match_same_arms, reason = "every case of the policy stands for itself")]

use crate::history::{History, Progress};
use guard_model::artifact::Work;
use guard_model::fact::{Ending, Failure, RollbackCause, StepOutput};
use guard_model::health::FindingCause;
use guard_model::name::{ResourceName, RunKind};
use guard_model::plan::{Action, Replay, Stage, StageName, Step};
use guard_model::policy::{DataRestore, OnFailure, OnInconclusive};

/// How often a step of the way back is tried before a person is needed. With the pauses between them an engine or a server that
/// restarts has six seconds to come back; three is a guess.
pub const TRIES: u32 = 3;

/// What comes next. Nothing is in flight when this is asked: a step that was begun and has no result was cut off.
#[derive(Debug, PartialEq)]
pub enum Next<'p> {
    /// Begin these steps of this stage, side by side.
    Begin(&'p Stage, Vec<&'p Step>),
    /// Go back from here.
    RollbackCause(RollbackCause),
    /// These are put back as well, which were left alone: what is back does not come up with them.
    Widen(Vec<ResourceName>),
    /// The run is over, like this.
    Close(Ending),
    /// It was over before.
    Over(Ending),
}

/// Decides what comes next.
///
/// | turned back? | deploy begun? | next |
/// |---|---|---|
/// | no | – | first unfinished stage ahead; none left: closed, deployed |
/// | yes | no | closed, untouched |
/// | yes | yes | first unfinished stage back; none left: closed, rolled back where all of it is back |
///
/// A step back that failed for good keeps nothing down but itself: what does not follow from it goes on, what ran is started,
/// and the run is closed as stuck. A person is needed then, and one command continues.
///
/// Where what is back does not come up, and data was left alone although it differs, that data is put back as well, once.
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
        return Next::RollbackCause(RollbackCause::Asked);
    }
    // Whoever was cut off before the deploy command is not there any more to want it.
    if history.was_reopened() && !history.has_deploy_begun() {
        return Next::RollbackCause(RollbackCause::Interrupted);
    }
    for stage in &plan.ahead {
        let mut open = Vec::new();
        for step in &stage.steps {
            match history.step(&step.id).map(|step| &step.progress) {
                None => open.push(step),
                Some(Progress::Begun) if step.action.replay() == Replay::Never => {
                    return Next::RollbackCause(RollbackCause::DeployUnknown);
                }
                Some(Progress::Begun) => open.push(step),
                Some(Progress::Failed(failure)) if failure.person.is_some() => {
                    return Next::RollbackCause(RollbackCause::Decided);
                }
                Some(Progress::Failed(failure)) if failure.interrupted => {
                    return Next::RollbackCause(RollbackCause::Interrupted);
                }
                // What a person left is left, whatever the policy makes of too little evidence.
                Some(Progress::Done(StepOutput::Watched {
                    inconclusive: Some(_),
                    person: Some(_),
                    ..
                })) => return Next::Close(Ending::Inconclusive),
                Some(Progress::Failed(_)) => return Next::RollbackCause(turn_for(&step.action)),
                Some(Progress::Done(StepOutput::Watched {
                    inconclusive: Some(_), ..
                })) => {
                    return match plan.policy.on_inconclusive {
                        OnInconclusive::Leave => Next::Close(Ending::Inconclusive),
                        OnInconclusive::Rollback => Next::RollbackCause(RollbackCause::Inconclusive),
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

fn turn_for(action: &Action) -> RollbackCause {
    match action {
        Action::Baseline => RollbackCause::Refused,
        Action::Deploy => RollbackCause::DeployFailed,
        Action::Gate | Action::Verify => RollbackCause::VerifyFailed,
        Action::Watch => RollbackCause::WatchFailed,
        _ => RollbackCause::BackupFailed,
    }
}

fn back(history: &History, turn: RollbackCause) -> Next<'_> {
    let plan = history.plan();
    if plan.kind == RunKind::Backup || (plan.kind == RunKind::Deploy && !history.has_deploy_begun()) {
        return Next::Close(Ending::Untouched(turn));
    }
    if history.response().or_else(|| response(history, turn)) == Some(OnFailure::Hold) {
        return Next::Close(Ending::Withheld(turn));
    }
    for stage in &plan.back {
        if is_skipped(history, stage) {
            continue;
        }
        let mut open: Vec<&Step> = stage.steps.iter().filter(|step| is_open(history, step)).collect();
        if stage.name == StageName::Code {
            // The work tree, the project's files and the configuration may be the same files. Each keeps what it displaces,
            // and only in a fixed order, which an undo walks backwards, does what they keep fit together.
            open.truncate(1);
        }
        if !open.is_empty() {
            return Next::Begin(stage, open);
        }
        if stage.name == StageName::Prepare
            && let Some(ending) = unready(history, stage, turn)
        {
            return Next::Close(ending);
        }
    }
    let proof = history.step(&Step::of(Action::Prove).id).map(|past| &past.progress);
    let left = restorable(history);
    if let Some(Progress::Failed(failure)) = proof
        && is_unwell(failure)
        && !left.is_empty()
        && given_up(history).next().is_none()
    {
        return Next::Widen(left);
    }
    Next::Close(if given_up(history).next().is_some() {
        if has_put_back(history) || is_over(history, &Step::of(Action::Start)) {
            Ending::Stuck(turn)
        } else {
            Ending::Unready(turn)
        }
    } else if matches!(proof, Some(Progress::Failed(_))) {
        Ending::RestoredUnhealthy(turn)
    } else if nothing_changed(history) && turn == RollbackCause::DeployFailed {
        Ending::NothingToUndo(turn)
    } else {
        Ending::RolledBack(turn)
    })
}

/// Whether a proof has failed because what is back is not well, and not since something was in the way of looking.
fn is_unwell(failure: &Failure) -> bool {
    !failure.interrupted && (failure.finding.is_some() || failure.exit.is_some())
}

/// The data that differs from the backup, was left alone by `auto` since the old code should live with it, and was not tried
/// otherwise yet.
fn restorable(history: &History) -> Vec<ResourceName> {
    if history.plan().policy.data_restore != DataRestore::Auto {
        return Vec::new();
    }
    let is_left = |name: &ResourceName| {
        let prepared = history.prepared_of(name);
        let is_left = prepared.is_some_and(|prepared| matches!(prepared.work, Work::Left(_)));
        is_left && !history.is_left_out(name) && !history.is_widened(name)
    };
    let data = history.plan().back.iter().filter(|stage| stage.name == StageName::Data);
    let names = data
        .flat_map(|stage| &stage.steps)
        .filter_map(|step| match &step.action {
            Action::Restore(name) => Some(name),
            _ => None,
        });
    names.filter(|name| is_left(name)).cloned().collect()
}

/// What follows a turn, decided once: the loop writes it down beside the turn, and everybody who speaks of it repeats that.
/// `None` where nothing was deployed, so that there is nothing to go back from.
#[must_use]
pub fn response(history: &History, turn: RollbackCause) -> Option<OnFailure> {
    if history.plan().kind == RunKind::Deploy && !history.has_deploy_begun() {
        return None;
    }
    Some(if is_held(history, turn) {
        OnFailure::Hold
    } else {
        OnFailure::Rollback
    })
}

/// Whether a step back is to be begun: it was not done, may heal, and nothing that it follows from has failed for good.
fn is_open(history: &History, step: &Step) -> bool {
    if step
        .action
        .resource()
        .is_some_and(|name| is_out_of_reach(history, name, &step.action))
    {
        return false;
    }
    if let Action::Price(name) = &step.action
        && !is_price_open(history, name)
    {
        return false;
    }
    match history.step(&step.id).map(|past| &past.progress) {
        None | Some(Progress::Begun) => true,
        Some(Progress::Done(_)) => false,
        Some(Progress::Failed(_)) => !is_over(history, step),
    }
}

/// Whether what going back cost is still to be told: it was left for later, and it is back.
fn is_price_open(history: &History, name: &ResourceName) -> bool {
    let is_later = history
        .prepared_of(name)
        .is_some_and(|prepared| prepared.work.is_needed() && prepared.is_priced_later());
    is_later && history.yielded(&Action::Restore(name.clone())).is_some()
}

/// Whether a step has failed so that it is not tried again before a person has looked.
fn is_over(history: &History, step: &Step) -> bool {
    let Some(past) = history.step(&step.id) else {
        return false;
    };
    let Progress::Failed(failure) = &past.progress else {
        return false;
    };
    match step.action {
        // Evidence and the price explain; their lack must not keep production down, and is no reason to try again.
        Action::Evidence | Action::Price(_) => true,
        // A person has stopped it; a resume looks again.
        Action::Prove => past.failures > 0 && !failure.interrupted,
        _ => past.failures >= TRIES || (failure.permanent && past.failures > 0),
    }
}

/// Whether a resource is left as it is in this act: a person said so, or what the act follows from has failed for good. Data
/// is not swapped while what writes to it could not be stopped.
fn is_out_of_reach(history: &History, name: &ResourceName, action: &Action) -> bool {
    let before: &[fn(ResourceName) -> Action] = match action {
        Action::Recheck(_) => &[Action::Prepare],
        Action::Restore(_) => &[Action::Prepare, Action::Recheck],
        _ => &[],
    };
    let is_data = |name: &StageName| matches!(name, StageName::Recheck | StageName::Data);
    let needs_quiet = || {
        let stages = history.plan().back.iter().filter(|stage| is_data(&stage.name));
        let mut steps = stages.flat_map(|stage| &stage.steps);
        steps.any(|step| &step.action == action)
    };
    history.is_left_out(name)
        || before.iter().any(|act| is_over(history, &Step::of(act(name.clone()))))
        || (is_over(history, &Step::of(Action::Quiesce)) && needs_quiet())
}

/// The steps back that have failed for good, evidence and the proof aside; in the order of the plan.
pub(super) fn given_up(history: &History) -> impl Iterator<Item = &Step> {
    let steps = history.plan().back.iter().flat_map(|stage| &stage.steps);
    steps.filter(|step| {
        let is_about_going_back = !matches!(step.action, Action::Evidence | Action::Prove | Action::Price(_));
        let is_left_out = step.action.resource().is_some_and(|name| history.is_left_out(name));
        is_about_going_back && !is_left_out && is_over(history, step)
    })
}

/// Whether anything was put back, or half put back: before that, production is what the release made of it.
fn has_put_back(history: &History) -> bool {
    let mut steps = history.plan().back.iter().flat_map(|stage| &stage.steps);
    steps.any(|step| {
        let changes = match &step.action {
            Action::Restore(name) => history
                .prepared_of(name)
                .is_some_and(|prepared| prepared.work.is_needed()),
            Action::Undo(_) => true,
            _ => false,
        };
        // What was not begun in time has changed nothing.
        let was_in_time = |progress: &Progress| !matches!(progress, Progress::Failed(failure) if failure.interrupted);
        changes && history.step(&step.id).is_some_and(|past| was_in_time(&past.progress))
    })
}

/// Where everything that can be made ready is, and the run ends all the same: nothing is down yet.
fn unready(history: &History, stage: &Stage, turn: RollbackCause) -> Option<Ending> {
    let is_withheld = |work: &Work| matches!(work, Work::Withheld(_) | Work::Gone(_));
    // By then the rest is back, and a release that is gone is not left.
    if history.widened().next().is_none() && history.prepared().any(|prepared| is_withheld(&prepared.work)) {
        return Some(Ending::Withheld(turn));
    }
    if history.plan().kind != RunKind::Rollback || history.has_start_begun() {
        return None;
    }
    // Somebody is there and has asked for all of it: they decide whether the rest goes back alone.
    let mut failed = stage.steps.iter().filter(|step| is_over(history, step));
    let lost = failed.find(|step| step.action != Action::Evidence)?;
    let is_permanent = |progress: &Progress| matches!(progress, Progress::Failed(failure) if failure.permanent);
    Some(
        if history.step(&lost.id).is_some_and(|past| is_permanent(&past.progress)) {
            Ending::Untouched(turn)
        } else {
            Ending::Unprepared(turn)
        },
    )
}

/// Whether the policy leaves the failed state for a person.
fn is_held(history: &History, turn: RollbackCause) -> bool {
    let policy = &history.plan().policy;
    let wish = match turn {
        RollbackCause::Asked | RollbackCause::Decided => OnFailure::Rollback,
        RollbackCause::DeployUnknown => policy.on_unknown,
        RollbackCause::Interrupted => policy.on_interrupt,
        _ => OnFailure::Rollback,
    };
    // A rule of the user's that leaves a release for a person has been asked for as much as `--no-rollback`.
    let asks = |failure: &Failure| {
        failure
            .finding
            .as_ref()
            .is_some_and(|finding| finding.cause == FindingCause::Hold)
    };
    if turn == RollbackCause::WatchFailed && history.failures().any(|(_, failure)| asks(failure)) {
        return true;
    }
    // `--no-rollback` is about every reason but a person's own.
    wish == OnFailure::Hold
        || (policy.on_failure == OnFailure::Hold && !matches!(turn, RollbackCause::Asked | RollbackCause::Decided))
}

/// Whether a stage has no work: nothing is stopped for a deployment that changed nothing, nor again, once what ran was
/// started, unless data is still to be put back. What ran is started in any case: the deploy command may have stopped it.
fn is_skipped(history: &History, stage: &Stage) -> bool {
    match stage.name {
        StageName::Quiesce => nothing_changed(history) || (history.has_start_begun() && !is_data_open(history)),
        StageName::Recheck | StageName::Data | StageName::Code | StageName::Images => nothing_changed(history),
        // What could not be started proves nothing, and neither does a release that stays because nothing could be put back:
        // what runs is seen when the run is closed.
        StageName::Prove => {
            let is_release = !has_put_back(history) && given_up(history).next().is_some();
            is_over(history, &Step::of(Action::Start)) || is_release
        }
        _ => false,
    }
}

/// Whether data is still to be looked at or put back.
fn is_data_open(history: &History) -> bool {
    let data = history.plan().back.iter();
    let data = data.filter(|stage| matches!(stage.name, StageName::Recheck | StageName::Data));
    let mut steps = data.flat_map(|stage| &stage.steps);
    steps.any(|step| is_open(history, step))
}

/// Whether the way back has nothing to put back.
pub(super) fn nothing_changed(history: &History) -> bool {
    history.plan().kind != RunKind::Undo && history.prepared().all(|prepared| !prepared.work.is_needed())
}
