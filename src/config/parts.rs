//! The parts of the settings that are groups of their own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::layer::Layers;
use super::value;
use guard_model::name::ResourceName;
use guard_model::section::Section;
use guard_system::context::Context;
use guard_system::docker::{Compose, DockerError};

/// Commands, each a list of words.
pub type Commands = Vec<Vec<String>>;

/// What is run around deploy and rollback, so that users see a page and not an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// Before.
    pub on: Commands,
    /// After.
    pub off: Commands,
}

/// How a release is verified, once, before it is watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verify {
    /// The user's own scripts.
    pub commands: Commands,
    /// `verify = "none"`: a release that nothing looks at is meant to be so.
    pub none: bool,
    /// The resources that a release has to change.
    pub expect_change: Vec<ResourceName>,
}

/// Which backups are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// The newest so many that hold a resource, at least 1.
    pub keep: u32,
    /// And all of the last so many days; `None` where only the count matters, as where somebody has set that alone.
    pub keep_days: Option<u32>,
    /// Beside them the newest known-good one of each of so many weeks.
    pub keep_weekly: u32,
    /// And of so many months.
    pub keep_monthly: u32,
}

/// What is done where another run holds the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Whether to wait for it.
    pub wait: bool,
    /// For how long at most.
    pub wait_timeout: Duration,
}

/// The Compose project as the settings name it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ComposeSettings {
    /// The compose files in order, absolute.
    pub files: Vec<PathBuf>,
    /// The project's name, where somebody names it; else Compose does.
    pub project: Option<String>,
    /// The active profiles.
    pub profiles: Vec<String>,
    /// The env files, absolute; empty: Compose finds `.env` itself.
    pub env_files: Vec<PathBuf>,
    /// Volumes, and places as `service:/path`, that nobody would miss: no word is said where no resource copies them.
    pub disposable: Vec<String>,
}

impl ComposeSettings {
    /// The project with its name; where nobody names it, Compose is asked.
    ///
    /// # Errors
    /// Compose refuses the files.
    pub fn resolve(&self, cx: &Context, directory: &Path) -> Result<Compose, DockerError> {
        let project = match &self.project {
            Some(project) => project.clone(),
            None => Compose::default_project(cx, directory, &self.files)?,
        };
        Ok(Compose {
            files: self.files.clone(),
            env_files: self.env_files.clone(),
            profiles: self.profiles.clone(),
            project,
            directory: directory.to_owned(),
        })
    }
}

pub(super) fn maintenance(section: &mut Section<'_>) -> Maintenance {
    let maintenance = Maintenance {
        on: section.commands("on").unwrap_or_default(),
        off: section.commands("off").unwrap_or_default(),
    };
    if maintenance.on.is_empty() != maintenance.off.is_empty() {
        let lonely = if maintenance.on.is_empty() { "off" } else { "on" };
        section.problem(lonely, "on and off belong together", None);
    }
    maintenance
}

pub(super) fn retention(section: &mut Section<'_>, layers: &mut Layers<'_>) -> Retention {
    // Whoever says how many, and not for how long, wants so many.
    let says_how_many = section.has("keep") || layers.given("retention.keep").is_some();
    let (days, shown) = if says_how_many {
        (None, "none")
    } else {
        (Some(30), "30")
    };
    Retention {
        keep: layers.value(section, "retention.keep", value::count, 10, "10"),
        keep_days: layers.value(section, "retention.keep_days", value::days, days, shown),
        keep_weekly: layers.value(section, "retention.keep_weekly", value::further, 0, "0"),
        keep_monthly: layers.value(section, "retention.keep_monthly", value::further, 0, "0"),
    }
}

pub(super) fn lock(section: &mut Section<'_>, layers: &mut Layers<'_>) -> Lock {
    let default = Duration::from_mins(15);
    Lock {
        wait: layers.value(section, "lock.wait", value::flag, false, "false"),
        wait_timeout: layers.value(section, "lock.wait_timeout", value::duration, default, "15m"),
    }
}
