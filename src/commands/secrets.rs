//! Values that must appear nowhere, gathered before anything is said: from the environment and the project's env files.

use std::path::Path;

use crate::config::Settings;
use crate::model::secret::{Redaction, is_secret_name};
use crate::system::disk::{self, DiskError};
use crate::system::environment::Environment;

/// Teaches the redaction every value that looks like a secret.
///
/// # Errors
/// An env file is there and cannot be read: its secrets would not be recognised.
pub(super) fn learn(redaction: &Redaction, environment: &Environment, settings: &Settings) -> Result<(), DiskError> {
    for (name, value) in environment.texts() {
        consider(redaction, name, value);
    }
    for secret in &settings.secrets {
        redaction.learn(secret.expose());
    }
    let compose = settings.compose.iter().flat_map(|compose| compose.env_files.clone());
    for file in compose.chain([settings.directory.join(".env")]) {
        learn_file(redaction, &settings.directory.join(file))?;
    }
    Ok(())
}

/// Teaches the redaction the values of an env file.
///
/// # Errors
/// It is there and cannot be read.
pub(super) fn learn_file(redaction: &Redaction, path: &Path) -> Result<(), DiskError> {
    let bytes = disk::read_optional(path)?.unwrap_or_default();
    for line in String::from_utf8_lossy(&bytes).lines() {
        let line = line.trim().trim_start_matches("export ");
        if let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            let value = value.trim();
            let quoted = ['"', '\'']
                .into_iter()
                .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
            consider(redaction, name.trim(), quoted.unwrap_or(value));
        }
    }
    Ok(())
}

fn consider(redaction: &Redaction, name: &str, value: &str) {
    if is_secret_name(name) {
        redaction.learn(value);
    }
    // `DATABASE_URL=postgres://app:secret@db/app` is not named like a secret and holds one.
    if let Some(password) = url::Url::parse(value)
        .ok()
        .and_then(|url| url.password().map(str::to_owned))
    {
        redaction.learn(&password);
    }
}
