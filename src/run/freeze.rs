//! The freeze of deployments, as it stands in the state directory: read by whoever wants to deploy.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::outcome::Refusal;
use guard_model::exit::ExitCode;
use guard_model::text;
use guard_system::disk;

/// A freeze, as it stands in the state directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// Why.
    pub message: String,
    /// Who.
    pub user: String,
    /// Since when, RFC 3339.
    pub since: String,
}

/// The file of the freeze.
#[must_use]
pub fn path(state: &Path) -> PathBuf {
    state.join("frozen.json")
}

/// The freeze that is in force.
///
/// # Errors
/// It is there and cannot be read; that is no reason to deploy.
pub fn in_force(state: &Path) -> Result<Option<Freeze>, Refusal> {
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
pub fn refuse_frozen(state: &Path) -> Result<(), Refusal> {
    in_force(state)?.map_or(Ok(()), |freeze| {
        let message = text::sanitised(&freeze.message);
        let line = format!(
            "deployments are frozen since {} by {}: {message}",
            freeze.since, freeze.user
        );
        Err(Refusal::new(ExitCode::LOCKED, line).next("to end the freeze", "guard unlock"))
    })
}
