//! What is said of a backup in a table: what is known of it, what it holds, what was live then.

use guard_model::name::Timestamp;
use guard_model::text;
use guard_store::{Knowledge, Manifest};

/// That the newest backup is gone, and what that means.
#[must_use]
pub fn missing_words(backup: &Timestamp) -> String {
    format!("the newest backup, {backup}, is missing, and guard did not remove it: going back now goes back further")
}

/// What was live when a backup was taken: commit with its subject and tags, the images of the services.
#[must_use]
pub fn live_then(manifest: &Manifest) -> String {
    if !manifest.live.is_empty() {
        let all: Vec<&str> = manifest.live.values().flatten().map(String::as_str).collect();
        return text::sanitised(&all.join("; "));
    }
    let short = |commit: &str| commit.get(..7).unwrap_or(commit).to_owned();
    manifest.git.as_ref().map(|git| short(&git.commit)).unwrap_or_default()
}

/// The resources that a backup holds.
#[must_use]
pub fn holds(manifest: &Manifest) -> String {
    let names = manifest.artifacts.iter().map(|artifact| artifact.resource.as_str());
    names.collect::<Vec<_>>().join(",")
}

/// What is known of a backup, in words.
#[must_use]
pub fn knowledge(knowledge: &Knowledge) -> String {
    match knowledge {
        Knowledge::KnownGood => "known good".to_owned(),
        Knowledge::Tainted(_) => "tainted".to_owned(),
        Knowledge::Unknown => "unknown".to_owned(),
    }
}
