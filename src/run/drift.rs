//! What somebody has deployed by hand since guard's last run: a rollback would undo it, and says so before.

use crate::assembly::Owned;
use crate::outcome::Refusal;
use crate::project::Project;
use guard_engine::history::History;
use guard_engine::steps::{drift, left_by, not_known};
use guard_journal::{Run, State};
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::fact::Ending;
use guard_model::name::RunKind;

/// Warns of what is not as guard left it. Whoever answers a question sees that before; `--yes` was typed before anybody could
/// know, so it is not enough then.
///
/// # Errors
/// Production is not as guard left it, and neither `--force` was given nor is there anybody who is asked.
pub fn tell(forced: bool, command: &str, resources: &[Owned], project: &Project, program: &str) -> Result<(), Refusal> {
    let found = since_last_run(resources, project);
    for sentence in &found {
        let warning = format!("{sentence}: somebody has deployed since, and going back undoes that as well");
        project.cx.note(Level::Warn, warning);
    }
    if found.is_empty() || forced || !project.settings.confirmed {
        return Ok(());
    }
    let mut refusal = Refusal::new(
        ExitCode::REFUSED,
        "production is not as guard left it, and --yes alone does not go over somebody else's deployment",
    );
    refusal.account.why = found;
    Err(refusal.next("to go back all the same", format!("{program} {command} --force")))
}

/// What is not as the last run left it, each a sentence.
#[must_use]
pub fn since_last_run(resources: &[Owned], project: &Project) -> Vec<String> {
    let runs = match project.runs.list() {
        Ok(runs) => runs,
        Err(error) => {
            not_known(&error, &project.cx);
            return Vec::new();
        }
    };
    let Some(left) = runs
        .iter()
        .find(|run| has_acted(run))
        .and_then(|run| left_by(&run.directory, &project.cx))
    else {
        return Vec::new();
    };
    let found = resources
        .iter()
        .filter_map(|owned| drift(&owned.resource, &left, &project.cx));
    found.collect()
}

/// Whether the run may have changed what is live. One that a person has ended half-way says nothing of what is right.
#[must_use]
pub fn has_acted(run: &Run) -> bool {
    match run.state() {
        Err(_) | Ok(State::Empty | State::Closed(Ending::Untouched(_) | Ending::Unprepared(_) | Ending::Captured)) => {
            false
        }
        Ok(_) => {
            History::of(&run.read().unwrap_or_default()).is_ok_and(|history| history.plan().kind != RunKind::Backup)
        }
    }
}
