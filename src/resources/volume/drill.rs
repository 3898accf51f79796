//! A drill of a volume or a directory: walked by a walk of its own, its files deleted and written over.

use std::path::{Path, PathBuf};

use super::place::{Place, find};
use super::source::Volume;
use crate::abilities::{Drills, Harm, nothing_to_harm};
use crate::error::{ResourceError, Result};
use crate::trees::census;
use guard_model::drill::Census;
use guard_model::text::plural;
use guard_system::context::Context;
use guard_system::disk;

/// So many files are deleted at most.
const MOST: usize = 200;
/// What a file is written over with.
const NONSENSE: &[u8] = b"guard drill: this was written over the file\n";

fn directory(place: &Place) -> Result<&Path> {
    place.directory().ok_or_else(|| {
        ResourceError::new(format!(
            "the {} cannot be walked from here: only the engine reaches it",
            place.shown
        ))
        .with_hint("run the drill as root on the engine's own host")
    })
}

/// The regular files below, in order, without guard's own.
fn files(top: &Path) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(top).sort_by_file_name().into_iter();
    let walk = walk.filter_entry(|entry| !entry.file_name().to_string_lossy().starts_with(".guard-"));
    // What cannot be read cannot be harmed either.
    let entries = walk.filter_map(std::result::Result::ok);
    entries
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect()
}

impl Drills for Volume {
    fn census(&self, _like: Option<&Census>, cx: &Context) -> Result<Census> {
        let place = find(self, cx)?;
        let part = census::below(directory(&place)?, cx)?;
        Ok(Census {
            parts: std::iter::once(("files".to_owned(), part)).collect(),
        })
    }

    fn knows(&self, harm: Harm) -> bool {
        harm == Harm::LostFiles
    }

    fn harm(&self, harm: Harm, cx: &Context) -> Result<Option<String>> {
        if harm != Harm::LostFiles {
            return Ok(None);
        }
        let place = find(self, cx)?;
        let all = files(directory(&place)?);
        if all.is_empty() {
            return Err(nothing_to_harm(format!("the {} has no file", place.shown)));
        }
        let gone: Vec<&PathBuf> = all.iter().step_by(2).take(MOST).collect();
        for path in &gone {
            disk::remove_file(path)?;
        }
        if let Some(path) = all.get(1) {
            overwrite(path)?;
        }
        Ok(Some(format!(
            "deleted {} of the {}, and wrote over another",
            plural(gone.len() as u64, "file"),
            place.shown
        )))
    }
}

/// Writes over a file where it is: the same file, of the same owner.
fn overwrite(path: &Path) -> Result<()> {
    disk::overwrite(path, NONSENSE).map_err(Into::into)
}
