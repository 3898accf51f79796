//! What the CI systems are told of a run's result, as pairs.

use crate::result::Outcome;

/// What both systems are told, as pairs.
pub(super) fn pairs(outcome: &Outcome) -> [(&'static str, String); 5] {
    [
        ("outcome", outcome.outcome.clone()),
        ("exit_code", outcome.exit_code.number().to_string()),
        ("backup_timestamp", outcome.backup_timestamp.clone().unwrap_or_default()),
        ("rolled_back", outcome.rolled_back.to_string()),
        ("report", outcome.report.clone().unwrap_or_default()),
    ]
}
