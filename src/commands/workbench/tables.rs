//! Tables of the settings become resources, probes, rules and targets; all that is wrong with them is told at once.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Bench, Owned, compose_of, further_of};
use crate::commands::refusal::Refusal;
use guard_config::{Declared, Settings, told};
use guard_model::health::Numbers;
use guard_model::name::ProbeName;
use guard_model::section::Section;
use guard_model::setting::{Problem, Value, nearest};
use guard_notify::Target;
use guard_probes::{self, Probe};
use guard_resources::Member;
use guard_services::Further;
use guard_system::context::Context;
use guard_system::docker::Compose;
use guard_watch::UserRule;

/// What the tables of some settings are read with.
struct Reading<'a> {
    settings: &'a Settings,
    compose: Option<&'a Compose>,
    further: &'a [Further],
}

impl Bench {
    fn reading(&self) -> Reading<'_> {
        Reading {
            settings: &self.settings,
            compose: self.compose.as_ref(),
            further: &self.further,
        }
    }

    /// The resources that some settings declare: those in force, or those that a backup recorded.
    ///
    /// # Errors
    /// All problems of their tables at once.
    pub fn resources_of(&self, settings: &Settings, compose: Option<&Compose>) -> Result<Vec<Owned>, Refusal> {
        let further = further_of(settings, &self.cx)?;
        let reading = Reading {
            settings,
            compose,
            further: &further,
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

    /// The probes in force, each with its witness.
    ///
    /// # Errors
    /// All problems of their tables at once.
    pub fn probes(&self) -> Result<Vec<Arc<dyn Probe>>, Refusal> {
        let probes = self.reading().probes();
        probes.map_err(|problems| refused(&self.settings, problems))
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
}

/// What else is wrong, in the tables of settings that are wrong already. What can only be judged with a Compose project is
/// left out where there is none to be had.
pub fn further_problems(settings: &Settings, cx: &Context) -> Vec<Problem> {
    let compose = compose_of(settings, cx);
    let further = further_of(settings, cx);
    let is_whole = compose.is_ok() && further.is_ok() && (settings.compose.is_some() || !names_compose(settings));
    let reading = Reading {
        settings,
        compose: compose.as_ref().ok().and_then(Option::as_ref),
        further: further.as_deref().unwrap_or_default(),
    };
    if is_whole {
        reading.problems()
    } else {
        reading.problems_anywhere()
    }
}

/// Whether the file speaks of Compose, whatever could be understood of it.
fn names_compose(settings: &Settings) -> bool {
    settings.source.text.contains("compose")
}

/// The refusal of a command, by the problems of some settings.
fn refused(settings: &Settings, problems: Vec<Problem>) -> Refusal {
    Refusal::of_problems(&told(&settings.source, problems))
}

impl Reading<'_> {
    /// All that is wrong with the tables.
    fn problems(&self) -> Vec<Problem> {
        let mut problems = self.resources().err().unwrap_or_default();
        problems.extend(self.probes().err().unwrap_or_default());
        problems.extend(self.problems_anywhere());
        problems
    }

    /// What is wrong with the tables that need to know of no Compose project.
    fn problems_anywhere(&self) -> Vec<Problem> {
        let mut problems = self.rules().err().unwrap_or_default();
        problems.extend(self.targets().err().unwrap_or_default());
        problems
    }

    fn resources(&self) -> Result<Vec<Owned>, Vec<Problem>> {
        let settings = self.settings;
        let checkouts = checkouts(settings);
        let site = |directory: &PathBuf, compose: Option<&Compose>| guard_resources::Site {
            directory: directory.clone(),
            compose: compose.cloned(),
            stops: !settings.services.stop.is_empty(),
            checkouts: checkouts.clone(),
        };
        let here = site(&settings.directory, self.compose);
        read_all(&settings.resources, |declared, section| {
            // The settings know only the kinds of this list.
            let kind = guard_resources::kind(&declared.kind)?;
            let Some(there) = chosen(section, self.further).ok()? else {
                let resource = Member::own((kind.build)(declared.name.clone(), section, &here)?);
                return Some(Owned { kind, resource });
            };
            let site = site(&there.compose.directory, Some(&there.compose));
            let built = (kind.build)(declared.name.clone(), section, &site)?;
            let resource = Member::of(there.name.clone(), there.engine.clone(), built);
            Some(Owned { kind, resource })
        })
    }

    fn probes(&self) -> Result<Vec<Arc<dyn Probe>>, Vec<Problem>> {
        let site = guard_probes::Site {
            compose: self.compose.cloned(),
        };
        let all: Vec<guard_probes::Asked> = read_all(&self.settings.probes, |declared, section| {
            let kind = guard_probes::kind(&declared.kind)?;
            let (witness, says) = (section.text("witness"), section.has("required"));
            if let Some(witness) = &witness
                && let Err((message, hint)) = self.is_witness(witness, &declared.name)
            {
                section.problem("witness", message, hint);
            }
            let Some(there) = chosen(section, self.further).ok()? else {
                let built = (kind.build)(declared.name.clone(), section, &site)?;
                return Some((Arc::from(built), witness, says));
            };
            let site = guard_probes::Site {
                compose: Some(there.compose.clone()),
            };
            let inner = (kind.build)(declared.name.clone(), section, &site)?;
            let built: Arc<dyn Probe> = match &there.engine {
                Some(engine) => Arc::new(guard_probes::Placed {
                    inner,
                    engine: engine.clone(),
                }),
                None => Arc::from(inner),
            };
            Some((built, witness, says))
        })?;
        Ok(guard_probes::witnessed(&all))
    }

    /// Whether a probe can be the witness of another: the message and the hint where it cannot.
    fn is_witness(&self, name: &str, of: &ProbeName) -> Result<(), (String, Option<String>)> {
        if name == of.as_str() {
            return Err(("a probe cannot be its own witness".to_owned(), None));
        }
        let names = || self.settings.probes.iter().map(|probe| probe.name.as_str());
        if names().any(|known| known == name) {
            return Ok(());
        }
        Err((format!("there is no probe {name:?}"), nearest(name, names())))
    }

    fn rules(&self) -> Result<Vec<UserRule>, Vec<Problem>> {
        // The settings know only the kinds that there are.
        let numbers = |kind: &str| guard_probes::kind(kind).map_or(Numbers::None, |kind| kind.numbers);
        let declared = self.settings.probes.iter();
        let probes: Vec<(ProbeName, Numbers)> = declared
            .map(|probe| (probe.name.clone(), numbers(&probe.kind)))
            .collect();
        read_all(&self.settings.rules, |declared, section| {
            UserRule::read(declared.name.clone(), section, &probes)
        })
    }

    fn targets(&self) -> Result<Vec<Target>, Vec<Problem>> {
        read_all(&self.settings.targets, |declared, section| {
            Target::read(&declared.kind, declared.name.clone(), section)
        })
    }
}

/// The directories of all resources of the kind `git`.
fn checkouts(settings: &Settings) -> Vec<PathBuf> {
    let git = settings.resources.iter().filter(|declared| declared.kind == "git");
    let paths = git.map(|declared| match &declared.item.value {
        Value::Table(keys) => match keys.get("path").map(|(_, item)| &item.value) {
            Some(Value::Text(path)) => settings.directory.join(path),
            _ => settings.directory.clone(),
        },
        _ => settings.directory.clone(),
    });
    paths.collect()
}

/// A table names a project that is none; it was noted.
struct NoProject;

/// The further project that a table names by `project`; `None`: it names none.
fn chosen<'f>(section: &mut Section<'_>, further: &'f [Further]) -> Result<Option<&'f Further>, NoProject> {
    let Some(name) = section.text("project") else {
        return Ok(None);
    };
    let found = further.iter().find(|one| one.name == name);
    if found.is_none() {
        let names: Vec<&str> = further.iter().map(|one| one.name.as_str()).collect();
        let hint = nearest(&name, names.iter().copied()).or(Some(format!("write [projects.{name}]")));
        section.problem("project", format!("there is no [projects.{name}]"), hint);
        return Err(NoProject);
    }
    Ok(found)
}

/// Reads the own keys of all these tables.
fn read_all<N, T>(
    all: &[Declared<N>],
    read: impl Fn(&Declared<N>, &mut Section<'_>) -> Option<T>,
) -> Result<Vec<T>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut found = Vec::new();
    for declared in all {
        found.extend(declared.read(&mut problems, |section| read(declared, section)));
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}
