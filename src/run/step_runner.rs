//! The runner of a run, out of the settings: its resources, probes and services, and the keys that it writes with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crate::assembly::Owned;
use crate::outcome::Refusal;
use crate::project::Project;
use crate::{encryption, kept, secrets};
use guard_engine::steps::{Errands, Pacer, SealInput, Standbys, StepRunner};
use guard_model::artifact::Displaced;
use guard_model::exit::ExitCode;
use guard_model::name::ResourceName;
use guard_resources::{Member, SwapBarrier};
use guard_store::Store;
use guard_system::context::Context;

/// The runner of a run over these resources.
///
/// # Errors
/// The probes' tables have problems, or the store cannot be opened again.
pub fn of(
    project: &Project,
    cx: Context,
    resources: Vec<Owned>,
    undoing: Vec<Displaced>,
    seal: SealInput,
) -> Result<StepRunner, Refusal> {
    let data = resources
        .iter()
        .filter(|owned| owned.kind.restored_in == guard_model::plan::StageName::Data)
        .map(|owned| owned.resource.name().clone())
        .collect();
    let resources: BTreeMap<ResourceName, Arc<Member>> = resources
        .into_iter()
        .map(|owned| (owned.resource.name().clone(), Arc::new(owned.resource)))
        .collect();
    let store = Store::open(&project.settings.backup_dir, &project.settings.state_dir)
        .map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))?;
    Ok(StepRunner {
        cipher: encryption::cipher(project, Some(&cx.scratch))?,
        resources,
        data,
        adopting: BTreeMap::new(),
        command: Vec::new(),
        probes: project.probes()?,
        rule: project.rule(),
        is_gate_set: project.settings.gate.is_some(),
        rules: project.rules()?,
        services: project.services(),
        strategy: project.strategy()?,
        side_probes: project.side_probes()?,
        undone: undone_run(&cx, &undoing, project),
        env_files: secrets::files(&project.settings),
        store: store.beside_project(&project.settings.directory),
        seal,
        verify: project.settings.verify.commands.clone(),
        verify_timeout: CHECK_LIMIT,
        expect_change: project.settings.verify.expect_change.clone(),
        allow_unhealthy_baseline: project.settings.allow_unhealthy_baseline,
        runtime: project.runtime.clone(),
        pace: Pacer::default(),
        errands: Errands::default(),
        standbys: Standbys::default(),
        barrier: SwapBarrier::default(),
        told: Mutex::default(),
        asked_before: OnceLock::new(),
        undoing,
        cx,
    })
}

/// The directory of the run that this one undoes; `None` where it undoes none.
fn undone_run(cx: &Context, undoing: &[Displaced], project: &Project) -> Option<PathBuf> {
    let run = cx.run.as_ref().filter(|_| !undoing.is_empty())?;
    let (before, _) = kept::displaced_before(Some(run), &project.runs).ok()?;
    Some(project.runs.directory().join(before.run().to_string()))
}

/// How long one of the user's checks may take.
const CHECK_LIMIT: Duration = Duration::from_mins(10);
