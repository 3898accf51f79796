//! Secrets in variables and env files, taught to the redaction.

use std::path::Path;

use super::disk::{self, DiskError};
use guard_model::secret::{Redaction, is_secret_name};

/// Teaches the redaction the values of an env file.
///
/// # Errors
/// It is there and cannot be read.
pub fn learn_file(redaction: &Redaction, path: &Path) -> Result<(), DiskError> {
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

/// Teaches the redaction a variable, where its name or its value says that it holds a secret.
pub fn consider(redaction: &Redaction, name: &str, value: &str) {
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
    // Nor are `https://db/?token=secret` and `host=db password=secret`, which name it within.
    for part in value.split([' ', '?', '&', ';']) {
        if let Some((_, inner)) = part.split_once('=').filter(|(name, _)| is_secret_name(name)) {
            redaction.learn(inner.trim_matches(['\'', '"']));
        }
    }
}
