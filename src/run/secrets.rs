//! Values that must appear nowhere, gathered before anything is said: from the environment and the project's env files.

use std::path::PathBuf;

use guard_config::Settings;
use guard_model::secret::Redaction;
use guard_system::disk::DiskError;
use guard_system::environment::Environment;
use guard_system::secrets::{consider, learn_file};

/// Teaches the redaction every value that looks like a secret.
///
/// # Errors
/// An env file is there and cannot be read: its secrets would not be recognised.
pub fn learn(redaction: &Redaction, environment: &Environment, settings: &Settings) -> Result<(), DiskError> {
    for (name, value) in environment.texts() {
        consider(redaction, name, value);
    }
    for secret in &settings.secrets {
        redaction.learn(secret.expose());
    }
    for file in files(settings) {
        learn_file(redaction, &file)?;
    }
    Ok(())
}

/// The env files of a project, absolute.
#[must_use]
pub fn files(settings: &Settings) -> Vec<PathBuf> {
    let compose = settings.compose.iter().flat_map(|compose| compose.env_files.clone());
    let own = compose
        .chain([PathBuf::from(".env")])
        .map(|file| settings.directory.join(file));
    let further = settings.projects.iter().flat_map(|project| {
        let files = project.compose.env_files.iter().cloned();
        files.chain([project.directory.join(".env")])
    });
    own.chain(further).collect()
}
