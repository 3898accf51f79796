//! `guard lock` and `guard unlock`: a manual freeze, which refuses deployments until a person ends it.

use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_run::audit::{self, Deed};
use guard_run::freeze::{Freeze, path};
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Project;
use guard_run::request::Freeze as Asked;
use guard_system::disk;

/// `guard lock`
///
/// # Errors
/// The freeze cannot be written.
pub(super) fn freeze(project: &Project, asked: &Asked) -> Outcome {
    let freeze = Freeze {
        message: project.cx.redaction.clean(&asked.message),
        user: project.actor.user.clone(),
        since: project.cx.clock.now().to_rfc3339(),
    };
    audit::record(
        Deed {
            did: "lock",
            what: "deployments frozen".to_owned(),
            why: Some(asked.message.clone()),
            forced: false,
        },
        project,
    )?;
    let text = serde_json::to_vec_pretty(&freeze).map_err(|error| Refusal::of_error(ExitCode::BUG, &error))?;
    disk::write_whole(&path(&project.state), &text).map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))?;
    project.cx.note(
        Level::Info,
        format!("deployments are frozen: {}; `guard unlock` ends it", asked.message),
    );
    Ok(ExitCode::DONE)
}

/// `guard unlock`
///
/// # Errors
/// The freeze cannot be removed.
pub(super) fn unfreeze(project: &Project) -> Outcome {
    if disk::exists(&path(&project.state)).unwrap_or(true) {
        let deed = Deed {
            did: "unlock",
            what: "deployments allowed again".to_owned(),
            why: None,
            forced: false,
        };
        audit::record(deed, project)?;
    }
    match std::fs::remove_file(path(&project.state)) {
        Ok(()) => project.cx.note(Level::Info, "deployments are allowed again"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            project.cx.note(Level::Info, "nothing was frozen");
        }
        Err(error) => return Err(Refusal::of_error(ExitCode::REFUSED, &error)),
    }
    Ok(ExitCode::DONE)
}
