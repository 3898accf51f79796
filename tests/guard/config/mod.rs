//! The settings: what is understood, what is refused, and in which words.

mod discovery;
mod docs;
mod environments;
mod excerpts;
mod expansion;
mod file;
mod kinds;
mod layers;
mod places;
mod schema;
mod services;
mod values;

use std::path::{Path, PathBuf};

use guard::config::{Request, Settings};
use guard::model::setting::Problem;
use guard::system::environment::Environment;

/// The kinds that the tests know.
pub const RESOURCES: &[&str] = &[
    "postgres", "mariadb", "mysql", "sqlite", "redis", "volume", "s3", "git", "compose", "files", "images",
];
/// The kinds that the tests know.
pub const PROBES: &[&str] = &[
    "http",
    "tcp",
    "command",
    "container",
    "postgres",
    "redis",
    "log",
    "prometheus",
    "host",
    "systemd",
];

/// A settings file that is fine, to which tests add.
pub const FINE: &str = "verify = \"none\"\n";

/// A project with a settings file.
pub struct Project {
    directory: tempfile::TempDir,
    variables: Vec<(String, String)>,
    flags: Vec<(&'static str, String)>,
}

impl Project {
    pub fn new(text: &str) -> Self {
        let project = Self::bare();
        std::fs::write(project.path("guard.toml"), text).unwrap();
        project
    }

    pub fn bare() -> Self {
        Self {
            directory: tempfile::Builder::new().prefix("guard-config-").tempdir().unwrap(),
            variables: Vec::new(),
            flags: Vec::new(),
        }
    }

    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn flag(mut self, key: &'static str, value: &str) -> Self {
        self.flags.push((key, value.to_owned()));
        self
    }

    pub fn request(&self) -> Request {
        let environment = Environment::of_pairs(self.variables.clone());
        let mut request = Request::new(self.root(), environment, RESOURCES.to_vec(), PROBES.to_vec());
        request.is_root = true;
        request.strategies = vec!["in-place", "blue-green"];
        request.fronts = guard::services::FRONTS.to_vec();
        for (key, value) in &self.flags {
            request.flags.entry(key).or_default().push(value.clone());
        }
        request
    }

    /// A request from a project's directory with one flag.
    pub fn bare_at(project: &Self, key: &'static str, value: &str) -> Request {
        let mut request = project.request();
        request.flags.insert(key, vec![value.to_owned()]);
        request
    }

    pub fn load(&self) -> Result<Settings, Vec<Problem>> {
        Settings::of_file(&self.request()).map(|settings| settings.expect("there is a file"))
    }

    pub fn settings(&self) -> Settings {
        self.load().unwrap_or_else(|problems| panic!("{}", told(&problems)))
    }

    /// All problems, one a line.
    pub fn refusal(&self) -> String {
        told(&self.load().expect_err("the settings are refused"))
    }
}

pub fn told(problems: &[Problem]) -> String {
    problems
        .iter()
        .fold(String::new(), |text, problem| text + &problem.to_string() + "\n")
}

/// Asserts that every part is in the text.
#[track_caller]
pub fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}
