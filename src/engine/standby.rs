//! Which copies are to be made ready beside the deployment now: pure, as all of the policy.

use crate::history::History;
use guard_model::fact::StandbyState;
use guard_model::name::{ResourceName, RunKind};
use guard_model::plan::Action;
use guard_model::policy::DataRestore;

/// How often a copy is begun in all: guards that are killed while they load must not go on like that for ever. A guess.
const BEGINNINGS: u32 = 3;

/// Of those that want a copy to stand by, the ones whose copy is to be begun now.
///
/// None before the deploy command, none on the way back, and none where data never goes back. One whose maker was killed is
/// begun anew. One that failed is tried once more behind the deploy command, which may have made the server anew.
#[must_use]
pub fn due(history: &History, wanting: Vec<ResourceName>) -> Vec<ResourceName> {
    let plan = history.plan();
    let is_ahead = plan.kind == RunKind::Deploy && history.has_deploy_begun() && history.turned().is_none();
    if !is_ahead || history.closed().is_some() || plan.policy.data_restore == DataRestore::Never {
        return Vec::new();
    }
    let has_deployed = history.yielded(&Action::Deploy).is_some();
    let is_due = |name: &ResourceName| {
        let goes_back = plan
            .step(&guard_model::plan::Step::of(Action::Restore(name.clone())).id)
            .is_some();
        let Some(standby) = history.standby(name).filter(|_| goes_back) else {
            return goes_back;
        };
        match &standby.state {
            None => standby.begun < BEGINNINGS,
            Some(StandbyState::Failed { .. }) => has_deployed && standby.begun < 2,
            Some(StandbyState::Loading | StandbyState::Ready { .. } | StandbyState::Without { .. }) => false,
        }
    };
    wanting.into_iter().filter(is_due).collect()
}
