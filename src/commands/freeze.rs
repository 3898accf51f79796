//! `guard lock` and `guard unlock`: a manual freeze, which refuses deployments until a person ends it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::audit::{self, Deed};
use super::refusal::{Outcome, Refusal};
use super::request::Freeze as Asked;
use super::workbench::Bench;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::text;
use guard_system::disk;

/// A freeze, as it stands in the state directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Freeze {
    /// Why.
    pub message: String,
    /// Who.
    pub user: String,
    /// Since when, RFC 3339.
    pub since: String,
}

fn path(state: &Path) -> PathBuf {
    state.join("frozen.json")
}

/// The freeze that is in force.
///
/// # Errors
/// It is there and cannot be read; that is no reason to deploy.
pub(super) fn in_force(state: &Path) -> Result<Option<Freeze>, Refusal> {
    let path = path(state);
    let bytes = disk::read_optional(&path).map_err(|error| Refusal::of_error(ExitCode::LOCKED, &error))?;
    let parse = |bytes: Vec<u8>| {
        serde_json::from_slice(&bytes).map_err(|error| {
            Refusal::new(
                ExitCode::LOCKED,
                format!("{} cannot be understood: {error}", path.display()),
            )
            .next("to end the freeze", "guard unlock")
        })
    };
    bytes.map(parse).transpose()
}

/// Refuses where a freeze is in force.
///
/// # Errors
/// It is.
pub(super) fn refuse_frozen(state: &Path) -> Result<(), Refusal> {
    in_force(state)?.map_or(Ok(()), |freeze| {
        let message = text::sanitised(&freeze.message);
        let line = format!(
            "deployments are frozen since {} by {}: {message}",
            freeze.since, freeze.user
        );
        Err(Refusal::new(ExitCode::LOCKED, line).next("to end the freeze", "guard unlock"))
    })
}

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
