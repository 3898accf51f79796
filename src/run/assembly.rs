//! Tables of the settings become resources, probes, rules and targets; all that is wrong with them is told at once.

use std::path::PathBuf;
use std::sync::Arc;

use crate::outcome::Refusal;
use crate::plan::Place;
use guard_config::{Declared, Settings, told};
use guard_model::exit::ExitCode;
use guard_model::health::Numbers;
use guard_model::name::ProbeName;
use guard_model::section::Section;
use guard_model::setting::{Problem, Value, nearest};
use guard_model::text::typed;
use guard_notify::Target;
use guard_probes::{self, Probe};
use guard_resources::{Kind, Member, Narrowed};
use guard_services::{Eyes, Front, Further, Side, Sides, share_an_address};
use guard_system::context::Context;
use guard_system::docker::Compose;
use guard_watch::UserRule;

/// What the tables of some settings are read with.
pub struct Assembly<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// Their Compose project.
    pub compose: Option<&'a Compose>,
    /// Their further projects.
    pub further: &'a [Further],
    /// Which services' images a way back is about; by default those of all.
    pub narrowing: Narrowed,
}

/// What else is wrong, in the tables of settings that are wrong already. What can only be judged with a Compose project is
/// left out where there is none to be had.
#[must_use]
pub fn further_problems(settings: &Settings, cx: &Context) -> Vec<Problem> {
    let compose = compose_of(settings, cx);
    let further = further_of(settings, cx);
    let is_whole = compose.is_ok() && further.is_ok() && (settings.compose.is_some() || !names_compose(settings));
    let reading = Assembly {
        settings,
        compose: compose.as_ref().ok().and_then(Option::as_ref),
        further: further.as_deref().unwrap_or_default(),
        narrowing: Narrowed::default(),
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
#[must_use]
pub fn refused(settings: &Settings, problems: Vec<Problem>) -> Refusal {
    Refusal::of_problems(&told(&settings.source, problems))
}

impl Assembly<'_> {
    /// All that is wrong with the tables.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = self.resources().err().unwrap_or_default();
        problems.extend(self.probes().err().unwrap_or_default());
        problems.extend(self.sides().err().unwrap_or_default());
        problems.extend(self.problems_anywhere());
        problems
    }

    /// What is wrong with the tables that need to know of no Compose project.
    fn problems_anywhere(&self) -> Vec<Problem> {
        let mut problems = self.rules().err().unwrap_or_default();
        problems.extend(self.targets().err().unwrap_or_default());
        problems
    }

    /// The resources.
    ///
    /// # Errors
    /// All problems of their tables.
    pub fn resources(&self) -> Result<Vec<Owned>, Vec<Problem>> {
        let settings = self.settings;
        let checkouts = checkouts(settings, self.further);
        let site = |directory: &PathBuf, compose: Option<&Compose>| guard_resources::Site {
            directory: directory.clone(),
            compose: compose.cloned(),
            stops: settings.services.stops_without_compose(),
            only: self.narrowing.clone(),
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

    /// The two sides of a blue-green deployment and their front; `None` where there are none.
    ///
    /// # Errors
    /// All problems of the front's table.
    pub fn sides(&self) -> Result<Option<Sides>, Vec<Problem>> {
        let Some(found) = &self.settings.blue_green else {
            return Ok(None);
        };
        let both = found.sides.clone().map(|side| Side {
            name: side.name,
            address: side.address,
            services: side.services,
            project: side.project,
            stop: side.stop,
            start: side.start,
        });
        let mut problems = Vec::new();
        let read = found.front.read(&mut problems, |section| {
            if share_an_address(&both) {
                let [one, two] = &both;
                let what = format!(
                    "{} and {} answer at one address, {}: no front could tell them apart",
                    one.name, two.name, one.address
                );
                section.problem("kind", what, Some("give each side a port of its own".to_owned()));
            }
            let eyes = Eyes::read(section);
            let front = Front::read(&found.front.kind, section, &both)?;
            if eyes.is_none() && !section.has("url") && !front.driver().is_its_word_enough() {
                let hint = "url = \"http://127.0.0.1/\" and header = \"X-Side\", whose value is the side's name";
                section.problem(
                    "url",
                    "is missing: a file does not tell which side this front has taken up, so it has to be asked",
                    Some(hint.to_owned()),
                );
            }
            Some((front, eyes))
        });
        match read {
            Some((front, eyes)) if problems.is_empty() => Ok(Some(Sides {
                both,
                front,
                eyes,
                grace: found.grace,
                keeps_failed: found.keeps_failed,
            })),
            _ => Err(problems),
        }
    }

    /// The probes, each with its witness.
    ///
    /// # Errors
    /// All problems of their tables.
    pub fn probes(&self) -> Result<Vec<Arc<dyn Probe>>, Vec<Problem>> {
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

    /// The user's own rules.
    ///
    /// # Errors
    /// All problems of their tables.
    pub fn rules(&self) -> Result<Vec<UserRule>, Vec<Problem>> {
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

    /// Who is told what becomes of a run.
    ///
    /// # Errors
    /// All problems of their tables.
    pub fn targets(&self) -> Result<Vec<Target>, Vec<Problem>> {
        read_all(&self.settings.targets, |declared, section| {
            Target::read(&declared.kind, declared.name.clone(), section)
        })
    }
}

/// The directories of all resources of the kind `git`, each from the directory of its project on.
fn checkouts(settings: &Settings, further: &[Further]) -> Vec<PathBuf> {
    let git = settings.resources.iter().filter(|declared| declared.kind == "git");
    let paths = git.map(|declared| {
        let word = |key: &str| match &declared.item.value {
            Value::Table(keys) => match keys.get(key).map(|(_, item)| &item.value) {
                Some(Value::Text(text)) => Some(text.as_str()),
                _ => None,
            },
            _ => None,
        };
        let project = word("project").and_then(|name| further.iter().find(|one| one.name == name));
        let directory = project.map_or(&settings.directory, |project| &project.compose.directory);
        word("path").map_or_else(|| directory.clone(), |path| directory.join(path))
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

/// A resource with its kind.
pub struct Owned {
    /// The kind.
    pub kind: &'static Kind,
    /// The resource.
    pub resource: Member,
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
            needs: project.needs.clone(),
        })
    });
    further.collect()
}
