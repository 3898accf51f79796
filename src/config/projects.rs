//! `[projects.NAME]`: further Compose projects that the same deployment changes, perhaps on other engines.

use std::path::{Path, PathBuf};

use super::parts::ComposeSettings;
use super::project::{self, ComposeVariables};
use guard_model::name::ResourceName;
use guard_model::section::Section;
use guard_model::setting::nearest;
use guard_system::docker::Engine;
use guard_system::environment::Environment;

/// A further project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FurtherProject {
    /// Its name in the settings.
    pub name: ResourceName,
    /// Its directory, absolute.
    pub directory: PathBuf,
    /// Its files and its name.
    pub compose: ComposeSettings,
    /// Its engine, where it is another one than that of the environment.
    pub engine: Option<Engine>,
    /// The further projects that it needs.
    pub needs: Vec<String>,
}

/// Reads all of them, in the order of their names.
pub(super) fn projects(section: &mut Section<'_>, directory: &Path, environment: &Environment) -> Vec<FurtherProject> {
    let mut all = Vec::new();
    let keys = section.keys();
    for key in keys.clone() {
        section.is_name(&key);
        let name = match key.parse::<ResourceName>() {
            Ok(name) => name,
            Err(error) => {
                section.problem(&key, error.to_string(), None);
                continue;
            }
        };
        let found = section.section(&key, |inner| {
            let place = inner
                .path("directory")
                .map_or(directory.to_owned(), |path| directory.join(path));
            let (host, context) = (inner.word("host"), inner.word("context"));
            if host.is_some() && context.is_some() {
                inner.problem(
                    "context",
                    "stands beside `host`; an engine is named by one of the two",
                    None,
                );
            }
            let needs = inner.texts("needs").unwrap_or_default();
            for need in &needs {
                if !keys.contains(need) {
                    let hint = nearest(need, keys.iter().map(String::as_str));
                    inner.problem("needs", format!("there is no [projects.{need}]"), hint);
                }
            }
            let engine = host.map(Engine::Host).or(context.map(Engine::Context));
            // `COMPOSE_FILE` and its like name the project of the file's own directory, and no other.
            let variables = ComposeVariables::of_directory(&place, environment);
            let compose = project::compose(inner, &place, &variables, false);
            if compose.is_none() && inner.keys().is_empty() {
                inner.problem(
                    "files",
                    format!("there is no compose file in {}", place.display()),
                    Some("name it by `files`, or its directory by `directory`".to_owned()),
                );
            }
            compose.map(|compose| (place, compose, engine, needs))
        });
        if let Some((directory, compose, engine, needs)) = found {
            all.push(FurtherProject {
                name,
                directory,
                compose,
                engine,
                needs,
            });
        }
    }
    circle(section, &all);
    all
}

/// Tells of projects that need each other all round.
fn circle(section: &mut Section<'_>, all: &[FurtherProject]) {
    let mut left: Vec<&FurtherProject> = all.iter().collect();
    loop {
        let before = left.len();
        let names: Vec<&str> = left.iter().map(|project| project.name.as_str()).collect();
        let waits = |project: &&FurtherProject| project.needs.iter().any(|need| names.contains(&need.as_str()));
        left.retain(waits);
        if left.len() == before {
            break;
        }
    }
    // What is left is the circle, and what waits for it.
    let names: Vec<&str> = left.iter().map(|project| project.name.as_str()).collect();
    if let Some(first) = names.first() {
        let hint = "none of them could be started first: take one of these needs out";
        let what = format!("projects need each other in a circle: {}", names.join(", "));
        section.problem(first, what, Some(hint.to_owned()));
    }
}
