//! `[copy]`: where backups are copied to, beside the host that they were made on.

use std::time::Duration;

use guard_model::section::Section;

/// Where copies go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopySettings {
    /// `s3://BUCKET/PREFIX`.
    pub url: Option<String>,
    /// The storage's address, where it is not Amazon's.
    pub endpoint: Option<String>,
    /// The region; it is part of a signature.
    pub region: Option<String>,
    /// Commands that copy a backup, as `rsync` does.
    pub commands: Vec<Vec<String>>,
    /// How long the copy after a run may take, all of it; `guard copy` may take longer.
    pub limit: Option<Duration>,
}

pub(super) fn copying(section: &mut Section<'_>) -> CopySettings {
    CopySettings {
        url: section.text("url"),
        endpoint: section.text("endpoint"),
        region: section.text("region"),
        commands: section.commands("commands").unwrap_or_default(),
        limit: section.duration("limit"),
    }
}
