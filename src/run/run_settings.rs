//! What travels with a run, so that it is finished as it was begun, whatever the settings say by then.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::drill::record::{Detours, detour};
use crate::merged_settings;
use crate::narrowing::Narrowing;
use crate::outcome::Refusal;
use crate::project::Project;
use crate::request::flags::Flags;
use crate::session::Session;
use guard_config::{Document, Settings, env};
use guard_journal::Run;
use guard_model::exit::ExitCode;
use guard_model::setting::Source;
use guard_system::context::Context;
use guard_system::disk;

/// The file of these settings in a run's directory.
const FILE: &str = "request.json";

/// What is for whoever finishes a run to say, and not for whoever began it.
const PRESENT: [&str; 3] = ["lock.wait", "lock.wait_timeout", "policy.watcher"];

/// The settings of a run, as they were when it began.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct RunSettings {
    /// The text of the settings.
    pub settings: String,
    /// The name of that text in messages.
    #[serde(default)]
    pub name: String,
    /// The flags and variables that were laid over it.
    pub flags: BTreeMap<String, Vec<String>>,
    /// The project's directory, absolute.
    #[serde(default)]
    pub directory: PathBuf,
    /// The directory of the backups, absolute.
    #[serde(default)]
    pub backup_dir: PathBuf,
    /// Which services the way back is about, where it is about some alone.
    #[serde(default, skip_serializing_if = "Narrowing::is_whole")]
    pub narrowing: Narrowing,
    /// The settings as a person has corrected them since, for the way back: they say where production is and how it is put
    /// back, and the first ones what was copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrected: Option<String>,
    /// The probes that a drill asks through proxies, as long as these are there.
    #[serde(default, skip_serializing_if = "Detours::is_empty")]
    pub detours: Detours,
}

impl RunSettings {
    /// What the run that begins now takes with it.
    #[must_use]
    pub fn of(project: &Project) -> Self {
        Self {
            settings: project.settings.source.text.clone(),
            name: project.settings.source.name.clone(),
            flags: outer_layers(&project.wish.flags, &project.cx),
            directory: project.settings.directory.clone(),
            backup_dir: project.settings.backup_dir.clone(),
            narrowing: project.narrowing.clone(),
            corrected: None,
            detours: project.detours.clone(),
        }
    }

    /// Takes up what a person has corrected in the settings since the run stopped; whether there is anything. A file that is
    /// older than the last record is the release's own, or was put back: a release that changes the settings does not change
    /// the way back.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn take_up_correction(
        &mut self,
        run: &Run,
        stopped_at: DateTime<Utc>,
        project: &Project,
    ) -> Result<bool, Refusal> {
        let now = &project.settings.source;
        let is_as_known = now.text == self.settings || self.corrected.as_ref() == Some(&now.text);
        let path = project.settings.directory.join(&now.name);
        let changed = std::fs::metadata(path).and_then(|metadata| metadata.modified());
        let is_later = changed.is_ok_and(|changed| DateTime::<Utc>::from(changed) > stopped_at);
        if is_as_known || project.settings.discovered || !is_later {
            return Ok(false);
        }
        self.corrected = Some(now.text.clone());
        self.write(run)?;
        Ok(true)
    }

    /// Puts it into the run's directory.
    ///
    /// # Errors
    /// It cannot be written: the run has not begun.
    pub fn write(&self, run: &Run) -> Result<(), Refusal> {
        let bytes =
            serde_json::to_vec_pretty(self).map_err(|error| Refusal::of_error(ExitCode::BACKUP_FAILED, &error))?;
        disk::write_whole(&run.directory.join(FILE), &bytes)
            .map_err(|error| Refusal::of_error(ExitCode::BACKUP_FAILED, &error))
    }

    /// The settings of a run; `None` where it was begun without.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn read(run: &Run) -> Result<Option<Self>, Refusal> {
        let path = run.directory.join(FILE);
        let bytes = disk::read_optional(&path).map_err(|error| Refusal::of_error(ExitCode::CUT_OFF, &error))?;
        bytes
            .map(|bytes| serde_json::from_slice(&bytes).map_err(|error| Refusal::of_error(ExitCode::CUT_OFF, &error)))
            .transpose()
    }

    /// The project as it was when the run began, its settings and the flags and variables of that time, over the state that
    /// it was found in. Of the flags that are given `now`, those count that are about who waits, who
    /// watches, and how long the way back may take.
    ///
    /// # Errors
    /// The settings cannot be read here, as where a variable that they name is not set, or the directories cannot be used.
    pub fn project(&self, place: &Place<'_>, now: &Flags, session: &Session) -> Result<Project, Refusal> {
        let mut wish = session.wish_from(place.directory);
        wish.flags = known(&self.flags);
        for key in PRESENT {
            wish.flags.remove(key);
            wish.flags
                .extend(now.get_key_value(key).map(|(key, texts)| (*key, texts.clone())));
        }
        // A limit that was too short is corrected by whoever goes on; else it is that of the run.
        let limit = now.get_key_value("policy.rollback_timeout");
        wish.flags.extend(limit.map(|(key, texts)| (*key, texts.clone())));
        wish.judges = false;
        let read = |text: &str| {
            let name = if self.name.is_empty() { "guard.toml" } else { &self.name };
            let source = Source::new(name, text);
            let document = Document { source, mode: None };
            Settings::of_document(&wish, place.directory, &document).map_err(|problems| Refusal::of_problems(&problems))
        };
        let mut settings = read(&self.settings)?;
        if let Some(text) = &self.corrected {
            let held: Vec<_> = settings.resources.iter().map(|one| one.name.clone()).collect();
            settings = merged_settings::over(&settings, &read(text)?, &held).0;
        }
        detour(&mut settings, &self.detours);
        // Where guard keeps its state is not the run's to say: it was found here.
        place.state_dir.clone_into(&mut settings.state_dir);
        place.backup_dir.clone_into(&mut settings.backup_dir);
        let cx = session.context(place.directory);
        let mut project = Project::open(settings, wish, cx, session.runtime.clone())?;
        project.narrowing = self.narrowing.clone();
        Ok(project)
    }
}

/// Where a run was found.
pub struct Place<'p> {
    /// The project's directory.
    pub directory: &'p Path,
    /// guard's state.
    pub state_dir: &'p Path,
    /// The backups.
    pub backup_dir: &'p Path,
}

/// The flags, and the variables that mean a setting: the strongest layers, kept for a resume in another shell.
fn outer_layers(flags: &Flags, cx: &Context) -> BTreeMap<String, Vec<String>> {
    let mut layers: BTreeMap<String, Vec<String>> = env::NAMES
        .iter()
        .filter(|name| !matches!(name.key, "directory" | "config" | "notify.slack_webhook_url"))
        .filter_map(|name| {
            let text = std::iter::once(&name.variable)
                .chain(name.aliases)
                .find_map(|name| cx.environment.text(name))?;
            Some((name.key.to_owned(), vec![text.to_owned()]))
        })
        .collect();
    layers.extend(flags.iter().map(|(key, values)| ((*key).to_owned(), values.clone())));
    layers
}

fn known(flags: &BTreeMap<String, Vec<String>>) -> Flags {
    flags
        .iter()
        .filter_map(|(key, values)| Some((env::find(key)?.key, values.clone())))
        .collect()
}
