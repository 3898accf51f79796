//! Whether what is live is known to be well although no probe is there: the last release passed its verify commands.

use crate::assembly::Owned;
use crate::drift;
use crate::project::Project;
use guard_engine::history::History;
use guard_model::fact::Ending;
use guard_model::plan::{Action, StageName};

/// Whether the newest run that did anything left a release that its verify commands had passed, in this environment, and
/// nobody has deployed by hand since. A backup that is adopted is not of what is live.
#[must_use]
pub fn is_vouched(resources: &[Owned], is_adopting: bool, project: &Project) -> bool {
    if !project.settings.probes.is_empty() || is_adopting {
        return false;
    }
    let runs = project.runs.list().unwrap_or_default();
    let Some(run) = runs.iter().find(|run| drift::has_acted(run)) else {
        return false;
    };
    let Some(history) = run.read().ok().and_then(|records| History::of(&records).ok()) else {
        return false;
    };
    let is_verified = history.plan().ahead.iter().any(|stage| stage.name == StageName::Verify)
        && history.yielded(&Action::Verify).is_some();
    let environment = project
        .store
        .get(&history.plan().backup)
        .map(|backup| backup.manifest.environment);
    matches!(history.closed(), Some(Ending::Deployed))
        && is_verified
        && environment.is_ok_and(|environment| environment == project.settings.environment_name)
        && drift::since_last_run(resources, project).is_empty()
}
