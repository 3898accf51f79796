//! What a directory shows of itself: the resources and probes that `guard init` writes down. It only looks.

mod data;
mod database;
mod directory;
mod found;
mod render;
mod resolved;
mod stack;
mod variables;

use std::path::Path;

pub use found::{Entry, Found};
pub use render::render;

use super::project::ComposeVariables;
use found::Names;
use guard_system::context::Context;
use guard_system::docker::{Compose, DockerError};

/// What was found, in the order in which it is written down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// The compose files, from the directory where they lie in it.
    pub compose_files: Vec<String>,
    /// What can be copied and put back.
    pub resources: Vec<Found>,
    /// What can be asked.
    pub probes: Vec<Found>,
    /// What was seen and could not be taken up, each a sentence.
    pub notes: Vec<String>,
}

impl Discovery {
    /// Whether there is nothing to go back to here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.probes.is_empty()
    }
}

/// Looks at the context's directory. Without Docker, or where Compose refuses the files, what they would have told is
/// missing, and a note says so.
#[must_use]
pub fn look(cx: &Context) -> Discovery {
    let mut discovery = Discovery::default();
    let variables = ComposeVariables::read(&cx.directory, &cx.environment).unwrap_or_else(|problem| {
        discovery.notes.push(problem.to_string());
        ComposeVariables::without_file(&cx.environment)
    });
    let files = Compose::find_files(
        &cx.directory,
        variables.text("COMPOSE_FILE"),
        variables.text("COMPOSE_PATH_SEPARATOR"),
    );
    let mut names = Names::default();
    let mut configuration = directory::env_files(cx, &mut discovery.notes);
    let mut tail = Vec::new();
    if files.is_empty() {
        let databases = variables::databases(&variables, cx, &mut names, &mut discovery.notes);
        discovery.resources.extend(databases);
    } else {
        discovery.compose_files = files.iter().map(|file| shown(file, &cx.directory)).collect();
        match resolve(cx, files, &variables) {
            Ok(project) => {
                let is_local = cx
                    .environment
                    .text("DOCKER_HOST")
                    .is_none_or(|host| host.starts_with("unix://"));
                stack::take_up(&project, cx, is_local, &mut discovery, &mut names, &mut configuration);
            }
            Err(error) => discovery.notes.push(format!(
                "the compose files could not be read, so databases, volumes and probes are missing here: {error}"
            )),
        }
        tail = stack::of_every_project(&mut names);
    }
    let files = directory::sqlite_files(cx, &mut names, &mut discovery.notes);
    let is_new = |found: &Found| {
        let path = found.entries.iter().find(|entry| entry.key == "path");
        let mut known = discovery.resources.iter().flat_map(|known| &known.entries);
        !known.any(|entry| path.is_some_and(|path| entry.key == "path" && entry.value == path.value))
    };
    let files: Vec<Found> = files.into_iter().filter(is_new).collect();
    discovery.resources.extend(files);
    if discovery.compose_files.is_empty() {
        let directories = data::directories(cx, &discovery.resources, &mut names);
        discovery.resources.extend(directories);
    }
    discovery
        .resources
        .extend(directory::git(cx, &mut names, &mut discovery.notes));
    discovery.resources.extend(configuration.into_found(&mut names));
    discovery.notes.extend(directory::of_servers(cx, &discovery.resources));
    discovery.resources.append(&mut tail);
    discovery
}

fn resolve(
    cx: &Context,
    files: Vec<std::path::PathBuf>,
    variables: &ComposeVariables<'_>,
) -> Result<resolved::Project, DockerError> {
    let project = match variables.text("COMPOSE_PROJECT_NAME") {
        Some(name) => name.to_owned(),
        None => Compose::default_project(cx, &cx.directory, &files)?,
    };
    let compose = Compose {
        files,
        env_files: Vec::new(),
        profiles: Vec::new(),
        project,
        directory: cx.directory.clone(),
    };
    let mut value = compose.resolved(cx)?;
    resolved::unescape(&mut value);
    serde_json::from_value(value).map_err(|source| DockerError::Answer {
        call: "docker compose config".to_owned(),
        source,
    })
}

/// A path from the directory where it lies in it.
fn shown(path: &Path, directory: &Path) -> String {
    path.strip_prefix(directory).unwrap_or(path).display().to_string()
}
