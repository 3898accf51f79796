//! A drill of configuration files: each read and digested by itself, each written over.

use std::path::{Path, PathBuf};

use super::selection::Files;
use crate::abilities::{Drills, Harm, nothing_to_harm};
use crate::error::Result;
use crate::trees::census;
use guard_model::drill::Census;
use guard_model::text::plural;
use guard_system::context::Context;
use guard_system::disk;

/// What a file is written over with: no program takes it for its configuration.
const NONSENSE: &[u8] = b"}{ guard drill: this file is broken on purpose\n";

impl Files {
    fn names(&self, cx: &Context) -> Result<Vec<PathBuf>> {
        self.look(cx)?.entries.iter().map(super::list::Entry::below).collect()
    }
}

impl Drills for Files {
    /// The patterns say which files; what is in each is read here.
    fn census(&self, _like: Option<&Census>, cx: &Context) -> Result<Census> {
        let names = self.names(cx)?;
        let part = census::of(&self.directory, names.iter().map(PathBuf::as_path))?;
        Ok(Census {
            parts: std::iter::once(("files".to_owned(), part)).collect(),
        })
    }

    fn knows(&self, harm: Harm) -> bool {
        harm == Harm::BrokenFiles
    }

    fn harm(&self, harm: Harm, cx: &Context) -> Result<Option<String>> {
        if harm != Harm::BrokenFiles {
            return Ok(None);
        }
        let paths: Vec<PathBuf> = self.names(cx)?.iter().map(|name| self.directory.join(name)).collect();
        let is_file = |path: &&PathBuf| std::fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
        let paths: Vec<&Path> = paths.iter().filter(is_file).map(PathBuf::as_path).collect();
        if paths.is_empty() {
            return Err(nothing_to_harm(format!("{} has no file", self.name)));
        }
        for path in &paths {
            disk::overwrite(path, NONSENSE)?;
        }
        Ok(Some(format!(
            "wrote over {} of {}",
            plural(paths.len() as u64, "file"),
            self.name
        )))
    }
}
