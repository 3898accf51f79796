//! Which project this is, and where its state lives: decided from files and variables alone, so that it is the same
//! whether Docker answers or not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::layer::{Given, Layers, Origin, Request};
use super::parts::ComposeSettings;
use super::value;
use guard_model::section::Section;
use guard_model::setting::Problem;
use guard_system::disk;
use guard_system::docker::Compose;
use guard_system::environment::Environment;

/// What Compose would read for itself: the process's variables, then the project's `.env`.
pub(super) struct ComposeVariables<'e> {
    environment: Option<&'e Environment>,
    dotenv: BTreeMap<String, String>,
}

impl<'e> ComposeVariables<'e> {
    pub(super) fn read(directory: &Path, environment: &'e Environment) -> Result<Self, Problem> {
        let text = disk::read_optional(&directory.join(".env")).map_err(|error| Problem {
            place: ".env".to_owned(),
            message: format!("{error}: {}", error.source),
            hint: None,
            excerpt: None,
        })?;
        let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
        let dotenv = text
            .lines()
            .filter_map(|line| {
                let line = line.trim();
                let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
                let value = value.trim();
                let bare = ['"', '\'']
                    .iter()
                    .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
                    .unwrap_or_else(|| value.split(" #").next().unwrap_or(value).trim());
                (!name.trim_start().starts_with('#')).then(|| (name.trim().to_owned(), bare.to_owned()))
            })
            .collect();
        Ok(Self {
            environment: Some(environment),
            dotenv,
        })
    }

    pub(super) fn without_file(environment: &'e Environment) -> Self {
        Self {
            environment: Some(environment),
            dotenv: BTreeMap::new(),
        }
    }

    /// What is in the directory alone: the process's variables are about another project.
    pub(super) fn of_directory(directory: &Path, environment: &'e Environment) -> Self {
        let read = Self::read(directory, environment).unwrap_or_else(|_| Self::without_file(environment));
        Self {
            environment: None,
            dotenv: read.dotenv,
        }
    }

    /// The names of all variables that are set, sorted.
    pub(super) fn names(&self) -> std::collections::BTreeSet<String> {
        let environment = self.environment.into_iter().flat_map(Environment::texts);
        let all = environment
            .map(|(name, _)| name)
            .chain(self.dotenv.keys().map(String::as_str));
        all.map(str::to_owned).collect()
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.environment
            .and_then(|environment| environment.text(name))
            .or_else(|| {
                self.dotenv
                    .get(name)
                    .map(String::as_str)
                    .filter(|value| !value.is_empty())
            })
    }

    fn words(&self, name: &str, separator: &str) -> Vec<String> {
        self.text(name)
            .map(|list| {
                list.split(separator)
                    .map(str::trim)
                    .filter(|word| !word.is_empty())
                    .map(str::to_owned)
                    .collect()
            })
            .unwrap_or_default()
    }
}

/// The Compose project, if this is one: `[compose]` says so, or the directory has compose files and no `[services]` say
/// otherwise.
pub(super) fn compose(
    section: &mut Section<'_>,
    directory: &Path,
    variables: &ComposeVariables<'_>,
    has_services: bool,
) -> Option<ComposeSettings> {
    let is_declared = !section.keys().is_empty();
    let absolute = |paths: Vec<String>| paths.into_iter().map(|path| directory.join(path)).collect::<Vec<_>>();
    let files = section.texts("files").map(absolute);
    let project = section
        .word("project")
        .or_else(|| variables.text("COMPOSE_PROJECT_NAME").map(str::to_owned));
    let profiles = section
        .texts("profiles")
        .unwrap_or_else(|| variables.words("COMPOSE_PROFILES", ","));
    let env_files = section
        .texts("env_files")
        .unwrap_or_else(|| variables.words("COMPOSE_ENV_FILES", ","));
    let disposable = section.texts("disposable").unwrap_or_default();
    if let Some(project) = &project
        && !is_project_name(project)
    {
        section.problem(
            "project",
            format!("{project:?} is no project name for Compose"),
            Some("lower-case letters, digits, `-` and `_`, beginning with a letter or digit".to_owned()),
        );
    }
    let files = files.unwrap_or_else(|| {
        Compose::find_files(
            directory,
            variables.text("COMPOSE_FILE"),
            variables.text("COMPOSE_PATH_SEPARATOR"),
        )
    });
    if files.is_empty() {
        if is_declared {
            section.problem(
                "files",
                format!("there is no compose file in {}", directory.display()),
                Some("name it here".to_owned()),
            );
        }
        return None;
    }
    (is_declared || !has_services).then(|| ComposeSettings {
        files,
        project,
        profiles,
        env_files: absolute(env_files),
        disposable,
    })
}

fn is_project_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
}

/// The project's name: it names the directory of its state.
pub(super) fn name(
    section: &mut Section<'_>,
    layers: &mut Layers<'_>,
    directory: &Path,
    compose: Option<&ComposeSettings>,
) -> String {
    let found = compose
        .and_then(compose_name)
        .unwrap_or_else(|| directory_name(directory));
    let chosen = layers.value(section, "project", project_word, String::new(), &found);
    if chosen.is_empty() { found } else { chosen }
}

fn project_word(value: &guard_model::setting::Value, from_text: bool) -> Result<String, value::Wrong> {
    let text = value::text(value, from_text)?;
    match text.parse::<guard_model::name::ResourceName>() {
        Ok(_) => Ok(text),
        Err(error) => Err(value::Wrong::new(error.to_string(), None)),
    }
}

/// The name that everyone who works with these compose files shares: given by hand, or by `name:` in the first file that
/// has it. A name that only follows from the directory is not taken: two checkouts could share it.
fn compose_name(compose: &ComposeSettings) -> Option<String> {
    let named = compose.files.iter().rev().find_map(|file| {
        let text = disk::read_text_optional(file).ok()??;
        text.lines().find_map(|line| {
            let value = line.strip_prefix("name:")?.split(" #").next()?.trim();
            Some(value.trim_matches(['"', '\'']).to_owned())
        })
    });
    compose.project.clone().or(named).filter(|name| is_project_name(name))
}

/// The directory's name, made fit for a path, with a mark of the whole path: two projects may have equal directory names.
fn directory_name(directory: &Path) -> String {
    let name: String = directory
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
                c
            } else {
                '_'
            }
        })
        .take(40)
        .collect();
    let name = name.trim_start_matches(['.', '-', '_']);
    let digest = disk::sha256_hex(directory.as_os_str().as_encoded_bytes());
    let mark = digest.get(..8).unwrap_or(&digest);
    if name.is_empty() {
        format!("project-{mark}")
    } else {
        format!("{name}-{mark}")
    }
}

/// The state directory, absolute. What is wrong is noted, and the path is then not to be used.
pub(super) fn state_dir(
    section: &mut Section<'_>,
    layers: &mut Layers<'_>,
    directory: &Path,
    project: &str,
) -> PathBuf {
    let request = layers.request;
    let default = state_root(request).map(|root| root.join(project));
    let shown = default
        .as_ref()
        .map_or_else(String::new, |path| path.display().to_string());
    let given = layers.value(section, "state_dir", value::path, None, &shown);
    if let Some(path) = given.map(|path| directory.join(path)).or(default) {
        return path;
    }
    layers.problems.push(Problem {
        place: "HOME".to_owned(),
        message: "neither HOME nor XDG_STATE_HOME is set, so there is no place for guard's state".to_owned(),
        hint: Some("set GUARD_STATE_DIR, or `state_dir` in the file".to_owned()),
        excerpt: None,
    });
    PathBuf::new()
}

/// The directory that holds the states of all projects of this user, absolute; `None` where there is no place for it.
#[must_use]
pub fn state_root(request: &Request) -> Option<PathBuf> {
    // A relative XDG path is to be ignored, says its specification.
    let absolute = |name| request.environment.path(name).filter(|path| path.is_absolute());
    if let Some(root) = absolute("GUARD_STATE_ROOT") {
        return Some(root);
    }
    if request.is_root {
        return Some(PathBuf::from("/var/lib/guard"));
    }
    let home = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    home.map(|home| home.join("guard"))
}

/// The directory of the backups, absolute.
pub(super) fn backup_dir(
    section: &mut Section<'_>,
    layers: &mut Layers<'_>,
    directory: &Path,
    state_dir: &Path,
) -> PathBuf {
    let default = state_dir.join("backups");
    let given = layers.given("backup_dir");
    let path = layers.value(section, "backup_dir", value::path, None, &default.display().to_string());
    let path = path.map_or(default, |path| directory.join(path));
    // A hook is told the directory of its own backup by the same variable. Where it calls guard, the backups are one up.
    if let Some(Given {
        origin: Origin::Env(_), ..
    }) = given
        && let Some(timestamp) = layers.request.environment.text(super::env::BACKUP_TIMESTAMP)
        && path.ends_with(timestamp)
        && let Some(parent) = path.parent()
    {
        return parent.to_owned();
    }
    path
}
