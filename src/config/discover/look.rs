//! Looks at a directory: everything that can be found there, in the order in which it is written down.

use super::discovery::{Discovery, shown};
use super::found::{Found, Names};
use super::stack::Stack;
use super::{data, directory, resolved, stack, variables};
use crate::project::ComposeVariables;
use guard_system::context::Context;
use guard_system::docker::{Compose, DockerError};

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
                let mut stack = Stack {
                    cx,
                    discovery: &mut discovery,
                    names: &mut names,
                    configuration: &mut configuration,
                };
                stack.take_up(&project);
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
