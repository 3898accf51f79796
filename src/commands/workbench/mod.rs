//! The one place where the parts meet: settings become resources, probes and services, and a run gets its crew.

mod tables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::commands::learned;
use crate::commands::plan::Place;
use crate::commands::refusal::Refusal;
use crate::commands::sealing;
use crate::commands::secrets;
use guard_config::{Request as Wish, Settings};
use guard_engine::crew::{Crew, Errands, Pacer, SealInput};
use guard_journal::{Run, Runs};
use guard_model::artifact::Displaced;
use guard_model::exit::ExitCode;
use guard_model::fact::Actor;
use guard_model::health::Rule;
use guard_model::name::{ResourceName, Timestamp};
use guard_model::text::typed;
use guard_resources::{Kind, Member, SwapBarrier};
use guard_services::{Further, Services};
use guard_store::Store;
use guard_system::context::Context;
use guard_system::docker::Compose;
use guard_system::privilege;

pub use tables::further_problems;

/// How long one of the user's checks may take.
const CHECK_LIMIT: Duration = Duration::from_mins(10);

/// A resource with its kind.
pub struct Owned {
    /// The kind.
    pub kind: &'static Kind,
    /// The resource.
    pub resource: Member,
}

/// Everything that a command works with.
pub struct Bench {
    /// The surroundings, outside of any run.
    pub cx: Context,
    /// The settings in force.
    pub settings: Settings,
    /// What was asked of the settings; needed again to read older ones.
    pub wish: Wish,
    /// Who we are.
    pub actor: Actor,
    /// guard's state directory.
    pub state: PathBuf,
    /// The backups.
    pub store: Store,
    /// The runs.
    pub runs: Runs,
    /// The Compose project, where there is one.
    pub compose: Option<Compose>,
    /// Further projects that the same deployment changes.
    pub further: Vec<Further>,
    /// Where probes run and signals arrive.
    pub runtime: Handle,
}

impl Bench {
    /// Lays everything out; nothing outside of the state directory is touched.
    ///
    /// # Errors
    /// The state or backup directory cannot be used, or Compose cannot tell the project's name.
    pub fn open(mut settings: Settings, wish: Wish, mut cx: Context, runtime: Handle) -> Result<Self, Refusal> {
        let refused = |error: &(dyn std::error::Error + 'static)| {
            Refusal::of_error(ExitCode::REFUSED, error).next("to see everything that is in the way", "guard check")
        };
        cx.directory.clone_from(&settings.directory);
        secrets::learn(&cx.redaction, &cx.environment, &settings).map_err(|error| refused(&error))?;
        // The first look refuses links and makes what is missing; from then on the directories have one name.
        let first = Store::open(&settings.backup_dir, &settings.state_dir);
        drop(first.map_err(|error| not_ours(refused(&error), &settings))?);
        for directory in [&mut settings.backup_dir, &mut settings.state_dir] {
            *directory = std::fs::canonicalize(&*directory).map_err(|error| refused(&error))?;
        }
        let store = Store::open(&settings.backup_dir, &settings.state_dir).map_err(|error| refused(&error))?;
        let store = store.beside_project(&settings.directory);
        let compose = compose_of(&settings, &cx)?;
        let further = further_of(&settings, &cx)?;
        cx.runs = Some(Runs::below(&settings.state_dir).directory().to_owned());
        let user = cx.environment.text("SUDO_USER").or_else(|| cx.environment.text("USER"));
        Ok(Self {
            actor: privilege::actor(user),
            state: settings.state_dir.clone(),
            runs: Runs::below(&settings.state_dir),
            cx,
            settings,
            wish,
            store,
            compose,
            further,
            runtime,
        })
    }

    /// How readings are judged, its deadline for a start learned where nobody set one.
    #[must_use]
    pub fn rule(&self) -> Rule {
        let mut rule = self.settings.monitor.clone();
        if self.settings.gate.is_none() {
            rule.usual_start = learned::longest_start(&self.runs);
            rule.gate = rule.usual_start.map_or(rule.gate, learned::gate);
        }
        rule
    }

    /// How what runs is stopped and started.
    #[must_use]
    pub fn services(&self) -> Services {
        Services {
            compose: self.compose.clone(),
            further: self.further.clone(),
            stop: self.settings.services.stop.clone(),
            start: self.settings.services.start.clone(),
            maintenance_on: self.settings.maintenance.on.clone(),
            maintenance_off: self.settings.maintenance.off.clone(),
        }
    }

    /// The variables by which the commands of a run are known among all processes.
    #[must_use]
    pub fn marks(&self, run: &Run, backup: &Timestamp) -> Vec<(String, String)> {
        let directory = self.store.directory().join(backup.as_str());
        vec![
            ("GUARD_RUN_ID".to_owned(), run.id.to_string()),
            ("GUARD_BACKUP_DIR".to_owned(), directory.display().to_string()),
        ]
    }

    /// The surroundings of a run, with what the user's own commands are told.
    #[must_use]
    pub fn context_of(&self, run: &Run, backup: &Timestamp) -> Context {
        let mut cx = self.cx.clone();
        let mut announced = self.marks(run, backup);
        announced.push(("GUARD_BACKUP_TIMESTAMP".to_owned(), backup.to_string()));
        announced.extend(
            self.settings
                .environment_name
                .iter()
                .map(|name| ("GUARD_ENVIRONMENT".to_owned(), name.clone())),
        );
        cx.announced = Arc::new(announced);
        cx.run = Some(run.id.clone());
        cx.scratch.clone_from(&run.directory);
        cx
    }

    /// The crew of a run over these resources.
    ///
    /// # Errors
    /// The probes' tables have problems, or the store cannot be opened again.
    pub fn crew(
        &self,
        cx: Context,
        resources: Vec<Owned>,
        undoing: Vec<Displaced>,
        seal: SealInput,
    ) -> Result<Crew, Refusal> {
        let data = resources
            .iter()
            .filter(|owned| owned.kind.restored_in == guard_model::plan::StageName::Data)
            .map(|owned| owned.resource.name().clone())
            .collect();
        let resources: BTreeMap<ResourceName, Member> = resources
            .into_iter()
            .map(|owned| (owned.resource.name().clone(), owned.resource))
            .collect();
        let store = Store::open(&self.settings.backup_dir, &self.settings.state_dir)
            .map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))?;
        Ok(Crew {
            cipher: sealing::cipher(self, Some(&cx.scratch))?,
            cx,
            resources,
            data,
            undoing,
            adopting: BTreeMap::new(),
            command: Vec::new(),
            probes: self.probes()?,
            rule: self.rule(),
            is_gate_set: self.settings.gate.is_some(),
            rules: self.rules()?,
            services: self.services(),
            env_files: secrets::files(&self.settings),
            store: store.beside_project(&self.settings.directory),
            seal,
            verify: self.settings.verify.commands.clone(),
            verify_timeout: CHECK_LIMIT,
            expect_change: self.settings.verify.expect_change.clone(),
            allow_unhealthy_baseline: self.settings.allow_unhealthy_baseline,
            runtime: self.runtime.clone(),
            pace: Pacer::default(),
            errands: Errands::default(),
            barrier: SwapBarrier::default(),
            told: Mutex::default(),
            asked_before: OnceLock::new(),
        })
    }

    /// What the manifest and the lock call the system that is deployed to.
    #[must_use]
    pub fn target(&self) -> String {
        self.settings.project.clone()
    }
}

/// Where the state belongs to another user, the command to run is not the one that has just failed.
fn not_ours(refusal: Refusal, settings: &Settings) -> Refusal {
    use std::os::unix::fs::MetadataExt;
    let nearest = settings
        .state_dir
        .ancestors()
        .find_map(|path| std::fs::symlink_metadata(path).ok());
    let Some(owner) = nearest
        .map(|there| there.uid())
        .filter(|uid| *uid != privilege::user_id())
    else {
        return refusal;
    };
    let directory = typed(&settings.directory.display().to_string());
    let who = if owner == 0 {
        String::new()
    } else {
        format!("-u '#{owner}' ")
    };
    refusal
        .because(format!(
            "the state of this project, {}, belongs to user {owner}, and this is user {}",
            settings.state_dir.display(),
            privilege::user_id()
        ))
        .next(
            "to do the same as its owner",
            format!("sudo {who}guard -C {directory} check"),
        )
}

/// The places of resources in a plan.
#[must_use]
pub fn places(resources: &[Owned]) -> Vec<Place> {
    let place = |owned: &Owned| Place {
        name: owned.resource.name().clone(),
        captured_in: owned.kind.captured_in,
        restored_in: owned.kind.restored_in,
    };
    resources.iter().map(place).collect()
}

/// The Compose project of some settings, its name asked of Compose where nobody gave one.
///
/// # Errors
/// Compose is not there or refuses the files.
pub fn compose_of(settings: &Settings, cx: &Context) -> Result<Option<Compose>, Refusal> {
    let Some(found) = &settings.compose else {
        return Ok(None);
    };
    let absolute = |paths: &[PathBuf]| {
        paths
            .iter()
            .map(|path| settings.directory.join(path))
            .collect::<Vec<_>>()
    };
    let files = absolute(&found.files);
    let project = match &found.project {
        Some(project) => project.clone(),
        None => Compose::default_project(cx, &settings.directory, &files).map_err(|error| {
            let named = files
                .iter()
                .map(|file| format!(" --file {}", typed(&file.display().to_string())));
            let command = format!("docker compose{} config", named.collect::<String>());
            Refusal::of_error(ExitCode::REFUSED, &error).next("to see what Compose says", command)
        })?,
    };
    Ok(Some(Compose {
        files,
        env_files: absolute(&found.env_files),
        profiles: found.profiles.clone(),
        project,
        directory: settings.directory.clone(),
    }))
}

/// The further projects of some settings.
///
/// # Errors
/// Compose is not there or refuses the files of one.
pub fn further_of(settings: &Settings, cx: &Context) -> Result<Vec<Further>, Refusal> {
    let further = settings.projects.iter().map(|project| {
        let compose = project
            .compose
            .resolve(&cx.at(project.engine.as_ref()), &project.directory);
        Ok(Further {
            name: project.name.to_string(),
            compose: compose.map_err(|error| {
                let what = format!("the project {} of the settings cannot be used: {error}", project.name);
                Refusal::new(ExitCode::REFUSED, what).next("to see everything that is in the way", "guard check")
            })?,
            engine: project.engine.clone(),
        })
    });
    further.collect()
}
