//! `guard lock` and `guard unlock`: a manual freeze, which refuses deployments until a person ends it.

use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::text;
use guard_run::audit::{self, Deed};
use guard_run::freeze::{Freeze, path};
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Bench;
use guard_run::request::Freeze as Asked;
use guard_system::disk;

/// `guard lock`
///
/// # Errors
/// The freeze cannot be written.
pub(super) fn freeze(bench: &Bench, asked: &Asked) -> Outcome {
    let freeze = Freeze {
        message: bench.cx.redaction.clean(&asked.message),
        user: bench.actor.user.clone(),
        since: bench.cx.clock.now().to_rfc3339(),
    };
    audit::record(
        Deed {
            did: "lock",
            what: "deployments frozen".to_owned(),
            why: Some(asked.message.clone()),
            forced: false,
        },
        bench,
    )?;
    let text = serde_json::to_vec_pretty(&freeze).map_err(|error| Refusal::of_error(ExitCode::BUG, &error))?;
    disk::write_whole(&path(&bench.state), &text).map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))?;
    bench.cx.note(
        Level::Info,
        format!("deployments are frozen: {}; `guard unlock` ends it", asked.message),
    );
    Ok(ExitCode::DONE)
}

/// `guard unlock`
///
/// # Errors
/// The freeze cannot be removed.
pub(super) fn unfreeze(bench: &Bench) -> Outcome {
    if disk::exists(&path(&bench.state)).unwrap_or(true) {
        let deed = Deed {
            did: "unlock",
            what: "deployments allowed again".to_owned(),
            why: None,
            forced: false,
        };
        audit::record(deed, bench)?;
    }
    match std::fs::remove_file(path(&bench.state)) {
        Ok(()) => bench.cx.note(Level::Info, "deployments are allowed again"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bench.cx.note(Level::Info, "nothing was frozen"),
        Err(error) => return Err(Refusal::of_error(ExitCode::REFUSED, &error)),
    }
    Ok(ExitCode::DONE)
}
