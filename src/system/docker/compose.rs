//! A Compose project: the exact files, profiles and names with which its commands are called.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::configuration::{FILE_NAMES, files_named, learn, printed};
use super::{DockerError, docker, explained};
use crate::call::Call;
use crate::context::Context;

/// The oldest major version of Compose that guard works with.
pub const MAINTAINED_COMPOSE: u32 = 2;

/// The words that make Compose print the resolved project.
const RESOLVED: [&str; 3] = ["config", "--format", "json"];

/// The version that Compose tells, where it is one that guard works with.
fn maintained(told: &[u8]) -> Option<String> {
    let version = String::from_utf8_lossy(told).trim().trim_start_matches('v').to_owned();
    let major = version.split('.').next()?.parse::<u32>().ok()?;
    (major >= MAINTAINED_COMPOSE).then_some(version)
}

/// How a project is called: recorded in the backup, so that a rollback uses these words and not the current directory's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compose {
    /// The compose files in order, absolute.
    pub files: Vec<PathBuf>,
    /// The env files given by `--env-file`, absolute; empty: Compose finds `.env` itself.
    pub env_files: Vec<PathBuf>,
    /// The active profiles.
    pub profiles: Vec<String>,
    /// The project's name.
    pub project: String,
    /// The project's directory, absolute.
    pub directory: PathBuf,
}

impl Compose {
    /// The compose files of a directory as Compose itself would find them: `COMPOSE_FILE`, else the well-known names
    /// with their override. Empty where there are none.
    #[must_use]
    pub fn find_files(directory: &Path, compose_file: Option<&str>, separator: Option<&str>) -> Vec<PathBuf> {
        if let Some(list) = compose_file {
            return list
                .split(separator.unwrap_or(":"))
                .filter(|file| !file.is_empty())
                .map(|file| directory.join(file))
                .collect();
        }
        let Some(found) = FILE_NAMES
            .iter()
            .map(|name| directory.join(name))
            .find(|path| path.is_file())
        else {
            return Vec::new();
        };
        let stem = found
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        let overrides = ["yaml", "yml"].map(|ending| directory.join(format!("{stem}.override.{ending}")));
        std::iter::once(found)
            .chain(overrides.into_iter().filter(|path| path.is_file()))
            .collect()
    }

    /// A call of `docker compose` for this project.
    #[must_use]
    pub fn call<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Call {
        let mut call = docker().arg("compose").args(["--project-name", &self.project]);
        call = call.arg("--project-directory").arg(&self.directory);
        for file in &self.files {
            call = call.arg("--file").arg(file);
        }
        for file in &self.env_files {
            call = call.arg("--env-file").arg(file);
        }
        for profile in &self.profiles {
            call = call.args(["--profile", profile]);
        }
        call.args(args).directory(&self.directory)
    }

    /// The services that the files name, in the active profiles.
    ///
    /// # Errors
    /// Compose refuses the files.
    pub fn services(&self, cx: &Context) -> Result<Vec<String>, DockerError> {
        // Nearly always somebody has asked for all of it, or will. What refuses all may still tell the names.
        if let Ok(resolved) = self.resolved(cx) {
            let services = resolved.get("services").and_then(serde_json::Value::as_object);
            let names: BTreeSet<String> = services.into_iter().flatten().map(|(name, _)| name.clone()).collect();
            return Ok(names.into_iter().collect());
        }
        let output = cx.output(&self.call(["config", "--services"])).map_err(explained)?;
        let mut services: Vec<String> = output.text().lines().map(str::to_owned).collect();
        services.sort();
        Ok(services)
    }

    /// The resolved project as Compose prints it in JSON. It holds secrets: it is looked at, never stored or shown.
    ///
    /// # Errors
    /// Compose refuses the files, or its answer cannot be read.
    pub fn resolved(&self, cx: &Context) -> Result<serde_json::Value, DockerError> {
        let call = self.call(RESOLVED);
        let printed = printed(cx, &call, &self.files_named())?;
        serde_json::from_slice(&printed).map_err(|source| DockerError::Answer {
            call: call.to_string(),
            source,
        })
    }

    /// The project as its files say it, without any value of a variable in it, in `yaml` or `json`.
    ///
    /// # Errors
    /// Compose refuses the files.
    pub fn uninterpolated(&self, cx: &Context, format: &str) -> Result<String, DockerError> {
        let call = self.call(["config", "--no-interpolate", "--format", format]);
        let printed = printed(cx, &call, &self.files_named())?;
        Ok(String::from_utf8_lossy(&printed).trim().to_owned())
    }

    /// By service, the digest that Compose makes of how it is configured, and leaves as a label on each container.
    ///
    /// # Errors
    /// Compose refuses the files.
    pub fn configuration_hashes(&self, cx: &Context) -> Result<BTreeMap<String, String>, DockerError> {
        let call = self.call(["config", "--hash", "*"]);
        // Values of env files that services name are in it, and such files may have any name: asked each time.
        let told = cx.output(&call).map_err(explained)?.text();
        let pairs = told
            .lines()
            .filter_map(|line| line.trim().split_once(char::is_whitespace));
        Ok(pairs
            .map(|(service, hash)| (service.to_owned(), hash.trim().to_owned()))
            .collect())
    }

    fn files_named(&self) -> BTreeSet<PathBuf> {
        files_named(&self.directory, &self.files, &self.env_files)
    }

    /// The name that Compose gives the project of these files when nobody names one.
    ///
    /// # Errors
    /// Compose refuses the files, or its answer cannot be read.
    pub fn default_project(cx: &Context, directory: &Path, files: &[PathBuf]) -> Result<String, DockerError> {
        let mut call = docker().arg("compose").arg("--project-directory").arg(directory);
        for file in files {
            call = call.arg("--file").arg(file);
        }
        let call = call.args(RESOLVED).directory(directory);
        let named = files_named(directory, files, &[]);
        let printed = match printed(cx, &call, &named) {
            Ok(printed) => printed,
            Err(error) => {
                // A client without Compose answers with its whole help, and a person needs one sentence.
                Self::version(cx)?;
                return Err(error);
            }
        };
        let value: serde_json::Value = serde_json::from_slice(&printed).map_err(|source| DockerError::Answer {
            call: call.to_string(),
            source,
        })?;
        match value.get("name").and_then(serde_json::Value::as_str) {
            Some(name) => {
                // Called by this name, it is the same project.
                let project = Self {
                    files: files.to_vec(),
                    env_files: Vec::new(),
                    profiles: Vec::new(),
                    project: name.to_owned(),
                    directory: directory.to_owned(),
                };
                learn(cx, &project.call(RESOLVED), &named, printed);
                Ok(name.to_owned())
            }
            None => Err(DockerError::Compose(
                "Compose did not tell the project's name; set `project` under [compose]".to_owned(),
            )),
        }
    }

    /// The version of Compose, checked to be one that guard works with.
    ///
    /// # Errors
    /// Compose v2 is not there, or only the retired v1 is.
    pub fn version(cx: &Context) -> Result<String, DockerError> {
        let call = docker().args(["compose", "version", "--short"]);
        // Of a Compose that is fine nothing more is asked in this process.
        if let Ok(told) = printed(cx, &call, &BTreeSet::new())
            && let Some(version) = maintained(&told)
        {
            return Ok(version);
        }
        let output = cx.outcome(&call)?;
        if let Some(version) = maintained(&output.stdout).filter(|_| output.status.success()) {
            return Ok(version);
        }
        let old = cx.outcome(&Call::new("docker-compose").args(["version", "--short"]));
        Err(DockerError::Compose(match old {
            Ok(old) if old.status.success() && old.text().starts_with('1') => format!(
                "only Compose v1 ({}) is installed, which ended in 2023 and which guard does not support; install the plugin `docker compose` (v2)",
                old.text()
            ),
            _ => "`docker compose` is not there; install the Compose plugin (v2)".to_owned(),
        }))
    }
}
