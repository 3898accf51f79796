//! Which databases a run has made beside a live one: noted in the run's directory before each is made, so that any end of the
//! run can remove them, and asks no server where there are none.

use std::path::PathBuf;

use crate::error::Result;
use guard_model::name::ResourceName;
use guard_system::context::Context;
use guard_system::disk;

/// Where; `None` outside of a run, where whoever makes one removes it.
fn place(resource: &ResourceName, cx: &Context) -> Option<PathBuf> {
    cx.run.as_ref().map(|_| cx.scratch.join(format!("beside-{resource}")))
}

/// The databases that were noted.
pub(super) fn noted(resource: &ResourceName, cx: &Context) -> Result<Vec<String>> {
    let text = match place(resource, cx) {
        Some(place) => disk::read_text_optional(&place)?.unwrap_or_default(),
        None => String::new(),
    };
    // A name may hold a line feed.
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}

/// Notes one that is about to be made.
pub(super) fn note(resource: &ResourceName, database: &str, cx: &Context) -> Result<()> {
    let Some(place) = place(resource, cx) else {
        return Ok(());
    };
    let mut all = noted(resource, cx)?;
    if all.iter().any(|known| known == database) {
        return Ok(());
    }
    all.push(database.to_owned());
    let mut lines = String::new();
    for name in &all {
        lines.push_str(&serde_json::json!(name).to_string());
        lines.push('\n');
    }
    Ok(disk::write_whole(&place, lines.as_bytes())?)
}

/// Forgets them all: they are gone.
pub(super) fn forget(resource: &ResourceName, cx: &Context) -> Result<()> {
    match place(resource, cx) {
        Some(place) if disk::exists(&place)? => Ok(disk::remove_file(&place)?),
        _ => Ok(()),
    }
}
