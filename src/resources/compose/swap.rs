//! One state of a Compose project put in the place of another: its files, and none of the services that it did not have.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::files::{self, FileState};
use crate::error::{ResourceError, Result};
use guard_model::artifact::Displaced;
use guard_model::event::Level;
use guard_model::name::ResourceName;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::docker::{self, Container, Recorded, containers_of};

/// A state of the project that can be put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub recorded: Recorded,
    pub files: Vec<FileState>,
    /// The directory that holds the files' bytes. A backup may be moved: there it is put in when it is read.
    pub copies: PathBuf,
}

/// How long the engine may take to stop what is not in the files any more: as long as for every stop.
const STOP_LIMIT: Duration = Duration::from_mins(5);

/// Puts a state in place and keeps what was there. `act` names the attempt: a second one of that name goes on where the
/// first was cut off, and tells the same.
pub(super) fn swap(name: &ResourceName, target: &State, act: &str, cx: &Context) -> Result<Displaced> {
    let directory = cx.scratch.join(format!("{name}-displaced-{act}"));
    let displaced = match earlier(&directory)? {
        Some(displaced) => displaced,
        None => displace(name, target, &directory, cx)?,
    };
    for file in &target.files {
        files::put_back(file, &target.copies)?;
    }
    for container in orphans(target, cx)? {
        remove(&container, cx)?;
    }
    Ok(displaced)
}

const RECORD: &str = "displaced.json";

fn earlier(directory: &Path) -> Result<Option<Displaced>> {
    let path = directory.join(RECORD);
    let Some(text) = disk::read_text_optional(&path)? else {
        return Ok(None);
    };
    let unread = |error| ResourceError::because(format!("could not read {}", path.display()), error);
    serde_json::from_str(&text).map(Some).map_err(unread)
}

/// Copies what is there now, and writes down that it did before anything is changed.
fn displace(name: &ResourceName, target: &State, directory: &Path, cx: &Context) -> Result<Displaced> {
    disk::create_private_dir(directory)?;
    let mut paths: Vec<PathBuf> = target.files.iter().map(|file| file.path.clone()).collect();
    paths.extend(files::find(cx, &target.recorded.compose)?);
    paths.sort();
    paths.dedup();
    let mut copied = Vec::new();
    for (number, path) in paths.iter().enumerate() {
        let read = files::read(path, number)?;
        if let Some(content) = &read.state.content {
            disk::write_whole(&directory.join(content), &read.bytes)?;
        }
        copied.push(read.state);
    }
    let compose = &target.recorded.compose;
    // The failed release's files may be what Compose refuses: then its containers tell what it had.
    let recorded = Recorded::of(cx, compose).or_else(|_| Recorded::of_containers(cx, compose));
    let recorded = recorded.map_err(|error| ResourceError::because("could not see the project's containers", error))?;
    let state = State {
        recorded: recorded.as_before_stop(cx)?,
        files: copied,
        copies: directory.to_owned(),
    };
    let displaced = Displaced {
        resource: name.clone(),
        details: encode(&state)?,
        kept_as: vec![format!("directory {}", directory.display())],
    };
    let record = serde_json::to_vec_pretty(&displaced);
    let record = record.map_err(|error| ResourceError::because("could not write down what was displaced", error))?;
    disk::write_whole(&directory.join(RECORD), &record)?;
    Ok(displaced)
}

pub(super) fn encode(state: &impl Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(state).map_err(|error| ResourceError::because("could not write down the project", error))
}

/// The services with containers that were made after the state was recorded: the failed release's.
pub(super) fn made_since(state: &State, cx: &Context) -> Result<Vec<String>> {
    let containers = containers_of(cx, &state.recorded.compose.project)
        .map_err(|error| ResourceError::because("could not see the project's containers", error))?;
    let is_new = |container: &Container| {
        let mut recorded = state.recorded.containers.iter();
        !container.is_one_off() && !recorded.any(|one| one.id == container.id)
    };
    let services: BTreeSet<String> = containers
        .into_iter()
        .filter(is_new)
        .map(|container| container.service)
        .collect();
    Ok(services.into_iter().collect())
}

/// The containers of services that the state did not have, as `up --remove-orphans` would remove them.
pub(super) fn orphans(state: &State, cx: &Context) -> Result<Vec<Container>> {
    let project = &state.recorded.compose.project;
    let containers = containers_of(cx, project)
        .map_err(|error| ResourceError::because("could not see the project's containers", error))?;
    Ok(containers
        .into_iter()
        .filter(|container| !container.is_one_off() && !state.recorded.has(&container.service))
        .collect())
}

/// Stops and removes a container; its volumes stay.
fn remove(container: &Container, cx: &Context) -> Result<()> {
    cx.note(
        Level::Info,
        format!(
            "removes {}, whose service {} was not there before",
            container.name, container.service
        ),
    );
    let stopped = docker::stop(cx, &[&container.id], Some(STOP_LIMIT));
    match stopped.and_then(|()| docker::remove(cx, &container.id, (true, false), Some(STOP_LIMIT))) {
        // Somebody else may have removed it meanwhile, which is what is wanted.
        Err(error) if !error.is_missing() => Err(ResourceError::because(
            format!("could not remove {}", container.name),
            error,
        )),
        _ => Ok(()),
    }
}
