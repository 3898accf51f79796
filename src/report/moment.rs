//! Moments and the spans between them, as reports write them.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

/// A moment as reports write it: `2025-10-22T15:30:00Z`.
#[must_use]
pub(super) fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The time between two moments of the wall clock, 0 where it was set back between them.
#[must_use]
pub(super) fn span(from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
    (to - from).to_std().unwrap_or_default()
}
