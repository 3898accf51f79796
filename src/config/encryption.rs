//! `[encryption]`: for whom backups are encrypted, and with what they are read.

use std::path::{Path, PathBuf};

use super::layer::Layers;
use super::value;
use guard_model::section::Section;
use guard_system::cipher::Cipher;

/// For whom backups are encrypted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncryptionSettings {
    /// Recipients of age: `age1…`.
    pub recipients: Vec<String>,
    /// A file of further ones, one a line; absolute.
    pub recipients_file: Option<PathBuf>,
    /// A file with the identities that belong to them; absolute. Only needed to read what no run is at work on.
    pub identity: Option<PathBuf>,
}

impl EncryptionSettings {
    /// Whether backups are encrypted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.recipients.is_empty() || self.recipients_file.is_some()
    }
}

pub(super) fn encryption(section: &mut Section<'_>, layers: &mut Layers<'_>, directory: &Path) -> EncryptionSettings {
    let recipients = section.texts("recipients").unwrap_or_default();
    let mut cipher = Cipher::default();
    for text in &recipients {
        if let Err(why) = cipher.add_recipient(text) {
            section.problem("recipients", why, None);
        }
    }
    let recipients_file = section.path("recipients_file").map(|path| directory.join(path));
    let identity = layers.value(section, "encryption.identity", value::path, None, "none");
    EncryptionSettings {
        recipients,
        recipients_file,
        identity: identity.map(|path| directory.join(path)),
    }
}
