//! The releases that the demo deploys: the same that `scripts/demo` deploys from tags of a checkout.

use serde::Deserialize;

/// A release, as its files say.
pub(super) struct Release {
    /// Its name.
    pub(super) version: &'static str,
    /// `release.json`.
    pub(super) text: &'static str,
    /// The migrations that it brings along, in order: name and SQL.
    pub(super) migrations: &'static [(&'static str, &'static str)],
    /// Whether its deploy script edits the settings on the machine, as a release's own script may.
    pub(super) edits_settings: bool,
}

/// `release.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    pub(super) version: String,
    pub(super) greeting: String,
    /// The columns of `users` that this release reads.
    pub(super) columns: Vec<String>,
    /// Seconds after its start at which it takes the users' pictures for left-overs.
    pub(super) tidy_after: Option<u64>,
}

const FIRST: (&str, &str) = (
    "001_users.sql",
    include_str!("../../../fixtures/demo/project/migrations/001_users.sql"),
);
const SECOND: (&str, &str) = (
    "002_email.sql",
    include_str!("../../../fixtures/demo/versions/v2/migrations/002_email.sql"),
);
const THIRD: (&str, &str) = (
    "003_no_email.sql",
    include_str!("../../../fixtures/demo/versions/v3/migrations/003_no_email.sql"),
);

/// All of them, the oldest first.
pub(super) const RELEASES: &[Release] = &[
    Release {
        version: "v1",
        text: include_str!("../../../fixtures/demo/project/release.json"),
        migrations: &[FIRST],
        edits_settings: false,
    },
    Release {
        version: "v2",
        text: include_str!("../../../fixtures/demo/versions/v2/release.json"),
        migrations: &[FIRST, SECOND],
        edits_settings: false,
    },
    Release {
        version: "v3",
        text: include_str!("../../../fixtures/demo/versions/v3/release.json"),
        migrations: &[FIRST, SECOND, THIRD],
        edits_settings: true,
    },
];
