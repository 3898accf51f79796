//! Makes the plan of a run from what is to be copied and put back, before anything is done.

use guard_model::name::{ResourceName, RunKind, Timestamp};
use guard_model::plan::{Action, Plan, Stage, StageName, Step};
use guard_model::policy::Policy;

/// A resource's place in a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The resource.
    pub name: ResourceName,
    /// The stage in which it is copied.
    pub captured_in: StageName,
    /// The stage in which it is put back.
    pub restored_in: StageName,
}

fn stage(name: StageName, actions: impl IntoIterator<Item = Action>) -> Option<Stage> {
    let steps: Vec<Step> = actions.into_iter().map(Step::of).collect();
    (!steps.is_empty()).then_some(Stage { name, steps })
}

fn of_resources(places: &[Place], name: StageName, is_back: bool, action: fn(ResourceName) -> Action) -> Option<Stage> {
    let chosen = places.iter().filter(|place| {
        if is_back {
            place.restored_in == name
        } else {
            place.captured_in == name
        }
    });
    stage(name, chosen.map(|place| action(place.name.clone())))
}

/// The stages that end in a sealed backup.
fn copying(places: &[Place]) -> Vec<Option<Stage>> {
    vec![
        stage(StageName::Baseline, [Action::Baseline]),
        of_resources(places, StageName::Databases, false, Action::Capture),
        of_resources(places, StageName::Volumes, false, Action::Capture),
        of_resources(places, StageName::Surroundings, false, Action::Capture),
        stage(StageName::Seal, [Action::Seal]),
    ]
}

/// The stages of the way back; `swap` says how a resource goes back.
fn putting_back(places: &[Place], stages_beside: bool, swap: fn(ResourceName) -> Action) -> Vec<Option<Stage>> {
    // Nothing is put back while copies are staged, so the evidence is kept meanwhile.
    let staging = places.iter().map(|place| Action::Prepare(place.name.clone()));
    let first = if stages_beside {
        stage(StageName::Prepare, std::iter::once(Action::Evidence).chain(staging))
    } else {
        stage(StageName::Evidence, [Action::Evidence])
    };
    let data = places.iter().filter(|place| place.restored_in == StageName::Data);
    let again = data.clone().map(|place| Action::Recheck(place.name.clone()));
    let prices = data.map(|place| Action::Price(place.name.clone()));
    vec![
        first,
        stage(StageName::Quiesce, [Action::Quiesce]),
        stage(StageName::Recheck, again.filter(|_| stages_beside)),
        of_resources(places, StageName::Data, true, swap),
        of_resources(places, StageName::Code, true, swap),
        of_resources(places, StageName::Images, true, swap),
        stage(StageName::Start, [Action::Start]),
        stage(StageName::Prove, [Action::Prove]),
        stage(StageName::Price, prices.filter(|_| stages_beside)),
    ]
}

/// The plan of `guard deploy`.
#[must_use]
pub fn deploy(backup: Timestamp, places: &[Place], has_checks: bool, policy: Policy, command: Vec<String>) -> Plan {
    let mut ahead = copying(places);
    ahead.push(stage(StageName::Deploy, [Action::Deploy]));
    ahead.push(stage(StageName::Gate, [Action::Gate]));
    ahead.push(stage(StageName::Verify, has_checks.then_some(Action::Verify)));
    ahead.push(stage(StageName::Watch, [Action::Watch]));
    let back = putting_back(places, true, Action::Restore);
    plan(RunKind::Deploy, backup, ahead, back, policy, command)
}

/// The plan of `guard backup`.
#[must_use]
pub fn backup(backup: Timestamp, places: &[Place], policy: Policy) -> Plan {
    plan(RunKind::Backup, backup, copying(places), Vec::new(), policy, Vec::new())
}

/// The plan that makes a backup of guard's own from one that was made by hand: production is not copied, so nobody asks
/// how it is.
#[must_use]
pub fn adopt(backup: Timestamp, places: &[Place], policy: Policy) -> Plan {
    let ahead = copying(places).into_iter().skip(1).collect();
    plan(RunKind::Backup, backup, ahead, Vec::new(), policy, Vec::new())
}

/// The plan of `guard rollback`.
#[must_use]
pub fn rollback(backup: Timestamp, places: &[Place], policy: Policy) -> Plan {
    plan(
        RunKind::Rollback,
        backup,
        Vec::new(),
        putting_back(places, true, Action::Restore),
        policy,
        Vec::new(),
    )
}

/// The plan of `guard rollback --undo`.
#[must_use]
pub fn undo(backup: Timestamp, places: &[Place], policy: Policy) -> Plan {
    plan(
        RunKind::Undo,
        backup,
        Vec::new(),
        putting_back(places, false, Action::Undo),
        policy,
        Vec::new(),
    )
}

fn plan(
    kind: RunKind,
    backup: Timestamp,
    ahead: Vec<Option<Stage>>,
    back: Vec<Option<Stage>>,
    policy: Policy,
    command: Vec<String>,
) -> Plan {
    let kept = |stages: Vec<Option<Stage>>| stages.into_iter().flatten().collect();
    Plan {
        kind,
        backup,
        ahead: kept(ahead),
        back: kept(back),
        policy,
        command,
    }
}
