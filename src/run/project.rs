//! The one place where the parts meet: settings become resources, probes and services, and a run gets its runner.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::assembly::{Assembly, Owned, compose_of, further_of, refused};
use crate::drill::record::Detours;
use crate::narrowing::Narrowing;
use crate::outcome::Refusal;
use crate::service_health::ProbeHealth;
use crate::{named_services, secrets, start_time};
use guard_config::{Request as Wish, Settings, SideSettings};
use guard_journal::{Run, Runs};
use guard_model::exit::ExitCode;
use guard_model::fact::Actor;
use guard_model::health::Rule;
use guard_model::name::{ProbeName, Timestamp};
use guard_model::text::typed;
use guard_notify::Target;
use guard_probes::Probe;
use guard_services::{Further, Health, Services, Strategy};
use guard_store::{Scope, Store};
use guard_system::context::Context;
use guard_system::docker::Compose;
use guard_system::privilege;
use guard_watch::UserRule;

/// Everything that a command works with.
pub struct Project {
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
    /// Which services a way back is about, where it is about some alone.
    pub narrowing: Narrowing,
    /// The probes that a drill asks through proxies.
    pub detours: Detours,
}

impl Project {
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
            narrowing: Narrowing::default(),
            detours: Detours::new(),
        })
    }

    /// How readings are judged, its deadline for a start learned where nobody set one.
    #[must_use]
    pub fn rule(&self) -> Rule {
        let mut rule = self.settings.monitor.clone();
        if self.settings.gate.is_none() {
            rule.usual_start = start_time::longest_start(&self.runs);
            rule.gate = rule.usual_start.map_or(rule.gate, start_time::gate);
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
            named: named_services::named(&self.settings.services.named, &self.service_health()),
            only: self.narrowing.services.clone(),
            maintenance_on: self.settings.maintenance.on.clone(),
            maintenance_off: self.settings.maintenance.off.clone(),
            // What is wrong with them was told before anything began.
            sides: self.reading().sides().ok().flatten().map(Arc::new),
            project: None,
        }
    }

    /// The probes by which named services are found well. What is wrong with them was told before anything began.
    fn service_health(&self) -> BTreeMap<ProbeName, Health> {
        let asked = self
            .settings
            .services
            .named
            .iter()
            .filter_map(|service| service.health.as_ref());
        let asked: Vec<&ProbeName> = asked.collect();
        if asked.is_empty() {
            return BTreeMap::new();
        }
        let found = self.all_probes().unwrap_or_default().into_iter();
        let found = found.filter(|probe| asked.contains(&probe.name()));
        let health = found.map(|probe| {
            let name = probe.name().clone();
            let runtime = self.runtime.clone();
            (name, Health(Arc::new(ProbeHealth { probe, runtime })))
        });
        health.collect()
    }

    /// What forward and back mean for what runs, and for traffic.
    ///
    /// # Errors
    /// The settings name a strategy that this guard does not have, as those of a run that a newer one began may.
    pub fn strategy(&self) -> Result<&'static dyn Strategy, Refusal> {
        let named = self.settings.strategy.as_deref();
        guard_services::strategy(named).ok_or_else(|| {
            let name = named.unwrap_or_default();
            Refusal::new(ExitCode::USAGE, format!("there is no strategy {name:?}"))
        })
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

    /// What the manifest and the lock call the system that is deployed to.
    #[must_use]
    pub fn target(&self) -> String {
        self.settings.project.clone()
    }

    fn reading(&self) -> Assembly<'_> {
        Assembly {
            settings: &self.settings,
            compose: self.compose.as_ref(),
            further: &self.further,
            narrowing: self.narrowing.images(&self.settings),
        }
    }

    /// The resources that some settings declare: those in force, or those that a backup recorded.
    ///
    /// # Errors
    /// All problems of their tables at once.
    pub fn resources_of(&self, settings: &Settings, compose: Option<&Compose>) -> Result<Vec<Owned>, Refusal> {
        let further = further_of(settings, &self.cx)?;
        let reading = Assembly {
            settings,
            compose,
            further: &further,
            narrowing: self.narrowing.images(&self.settings),
        };
        reading.resources().map_err(|problems| refused(settings, problems))
    }

    /// The resources in force.
    ///
    /// # Errors
    /// All problems of their tables at once.
    pub fn resources(&self) -> Result<Vec<Owned>, Refusal> {
        self.resources_of(&self.settings, self.compose.as_ref())
    }

    /// The probes in force, each with its witness, without those that ask one side of a blue-green deployment by itself.
    ///
    /// # Errors
    /// All problems of their tables at once.
    pub fn probes(&self) -> Result<Vec<Arc<dyn Probe>>, Refusal> {
        let sides = self.settings.blue_green.iter().flat_map(|found| &found.sides);
        let of_sides: Vec<&ProbeName> = sides.flat_map(|side| &side.probes).collect();
        let mut probes = self.all_probes()?;
        probes.retain(|probe| !of_sides.contains(&probe.name()));
        Ok(probes)
    }

    fn all_probes(&self) -> Result<Vec<Arc<dyn Probe>>, Refusal> {
        let probes = self.reading().probes();
        probes.map_err(|problems| refused(&self.settings, problems))
    }

    /// The probes that ask a side by itself, by its name.
    ///
    /// # Errors
    /// All problems of their tables at once.
    pub fn side_probes(&self) -> Result<BTreeMap<String, Vec<Arc<dyn Probe>>>, Refusal> {
        let Some(found) = &self.settings.blue_green else {
            return Ok(BTreeMap::new());
        };
        let all = self.all_probes()?;
        let of = |side: &SideSettings| {
            let asked = all.iter().filter(|probe| side.probes.contains(probe.name()));
            asked.cloned().collect()
        };
        Ok(found.sides.iter().map(|side| (side.name.clone(), of(side))).collect())
    }

    /// The user's own rules over these probes.
    ///
    /// # Errors
    /// All problems at once, each with its place inside the rule.
    pub fn rules(&self) -> Result<Vec<UserRule>, Refusal> {
        let rules = self.reading().rules();
        rules.map_err(|problems| refused(&self.settings, problems))
    }

    /// Who is told what becomes of a run.
    ///
    /// # Errors
    /// All problems of their tables at once.
    pub fn targets(&self) -> Result<Vec<Target>, Refusal> {
        let targets = self.reading().targets();
        targets.map_err(|problems| refused(&self.settings, problems))
    }

    /// Sees to it that every table of the settings can be read.
    ///
    /// # Errors
    /// All problems of all tables at once, so that a person corrects them in one go.
    pub fn sound(&self) -> Result<(), Refusal> {
        let problems = self.reading().problems();
        if problems.is_empty() {
            return Ok(());
        }
        Err(refused(&self.settings, problems))
    }

    /// What a backup has to be of, to be chosen here without being named. The databases' servers are asked who they are only
    /// where `asks`: a list must not wait for one that does not answer.
    #[must_use]
    pub fn scope(&self, resources: &[Owned], asks: bool) -> Scope {
        let asked = resources.iter().filter(|owned| asks || !owned.kind.is_of_server());
        let identities = asked.map(|owned| {
            let (resource, cx) = owned.resource.at(&self.cx);
            (resource.name().clone(), resource.identity(&cx))
        });
        Scope {
            target: self.target(),
            environment: self.settings.environment_name.clone(),
            identities: identities.filter(|(_, names)| !names.is_empty()).collect(),
        }
    }

    /// The scope of the resources in force, as far as it can be told without asking a server. Settings that are wrong are not
    /// this one's to tell.
    #[must_use]
    pub fn own_scope(&self) -> Scope {
        self.scope(&self.resources().unwrap_or_default(), false)
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
