//! All the states that this user has on this machine: those below the directory of all, and those elsewhere, which are registered.

use std::path::{Path, PathBuf};

use crate::project::Project;
use crate::request::GlobalArgs;
use guard_config::state_root;
use guard_model::event::Level;
use guard_system::disk::{self, DiskError};

/// Below the directory of all states: one file for each state that is elsewhere, holding its path. No project can have
/// this name, since names begin with a letter or digit.
const REGISTER: &str = ".elsewhere";

/// Remembers the state of a run that begins, where it is not below the directory of all states, so that
/// `guard resume --all` finds it.
pub fn register(project: &Project) {
    let Some(root) = state_root(&project.wish) else { return };
    if let Err(error) = remember(&root, &project.state) {
        project.cx.note(
            Level::Warn,
            format!("`guard resume --all` will not find this run, since its state cannot be registered: {error}"),
        );
    }
}

fn remember(root: &Path, state: &Path) -> Result<(), DiskError> {
    if state
        .parent()
        .is_some_and(|parent| std::fs::canonicalize(root).is_ok_and(|root| root == parent))
    {
        return Ok(());
    }
    let register = root.join(REGISTER);
    disk::create_private_dir(&register)?;
    let path = state.as_os_str().as_encoded_bytes();
    let entry = register.join(disk::sha256_hex(path));
    if disk::exists(&entry)? {
        Ok(())
    } else {
        disk::write_whole(&entry, path)
    }
}

/// The states there are: those below the directory of all, and those elsewhere that are still there.
///
/// # Errors
/// A directory cannot be read.
pub fn states(root: &Path) -> Result<Vec<PathBuf>, DiskError> {
    let mut states = disk::list(root)?;
    for entry in disk::list(&root.join(REGISTER))? {
        let path = disk::read_text_optional(&entry)?.map(PathBuf::from).unwrap_or_default();
        states.extend(Some(path).filter(|path| path.is_absolute()));
    }
    // One that is not there may be on a disk that is not mounted yet, so it stays registered.
    states.retain(|state| state.join("runs").is_dir());
    states.sort();
    states.dedup();
    Ok(states)
}

/// The directory that somebody is in, or names; `None` where it is not there.
#[must_use]
pub fn here(global: &GlobalArgs) -> Option<PathBuf> {
    let start = std::env::current_dir().ok()?;
    let named = global.directory.as_ref().map(|path| start.join(path));
    std::fs::canonicalize(named.unwrap_or(start)).ok()
}
