//! Tables of the settings become resources, probes, rules and targets; all that is wrong with them is told at once.

use std::sync::Arc;

use super::{Bench, Owned};
use crate::commands::refusal::Refusal;
use crate::config::Settings;
use crate::model::name::ProbeName;
use crate::model::setting::nearest;
use crate::notify::Target;
use crate::probes::{self, Probe};
use crate::resources;
use crate::system::docker::Compose;
use crate::watch::UserRule;

impl Bench {
    /// The resources that some settings declare: those in force, or those that a backup recorded.
    ///
    /// # Errors
    /// All problems of their tables at once.
    pub fn resources_of(&self, settings: &Settings, compose: Option<&Compose>) -> Result<Vec<Owned>, Refusal> {
        let site = resources::Site {
            directory: settings.directory.clone(),
            compose: compose.cloned(),
        };
        let mut problems = Vec::new();
        let mut all = Vec::new();
        for declared in &settings.resources {
            // The settings know only the kinds of this list.
            let Some(kind) = resources::kind(&declared.kind) else {
                continue;
            };
            let built = declared.read(&mut problems, |section| {
                (kind.build)(declared.name.clone(), section, &site)
            });
            all.extend(built.map(|resource| Owned { kind, resource }));
        }
        if problems.is_empty() {
            Ok(all)
        } else {
            Err(Refusal::of_problems(&problems))
        }
    }

    /// The resources in force.
    ///
    /// # Errors
    /// All problems of their tables at once.
    pub fn resources(&self) -> Result<Vec<Owned>, Refusal> {
        self.resources_of(&self.settings, self.compose.as_ref())
    }

    /// The user's own rules over these probes.
    ///
    /// # Errors
    /// All problems at once, each with its place inside the rule.
    pub fn rules(&self) -> Result<Vec<UserRule>, Refusal> {
        let probes: Vec<ProbeName> = self.settings.probes.iter().map(|probe| probe.name.clone()).collect();
        let mut problems = Vec::new();
        let mut all = Vec::new();
        for declared in &self.settings.rules {
            let read = declared.read(&mut problems, |section| {
                UserRule::read(declared.name.clone(), section, &probes)
            });
            all.extend(read);
        }
        if problems.is_empty() {
            Ok(all)
        } else {
            Err(Refusal::of_problems(&problems))
        }
    }

    /// The probes in force.
    ///
    /// # Errors
    /// All problems of their tables at once.
    pub fn probes(&self) -> Result<Vec<Arc<dyn Probe>>, Refusal> {
        let site = probes::Site {
            compose: self.compose.clone(),
        };
        let mut problems = Vec::new();
        let mut all: Vec<probes::Asked> = Vec::new();
        for declared in &self.settings.probes {
            let Some(kind) = probes::kind(&declared.kind) else {
                continue;
            };
            let built = declared.read(&mut problems, |section| {
                let (witness, decides) = (section.text("witness"), section.has("required"));
                let built = (kind.build)(declared.name.clone(), section, &site);
                if let Some(witness) = &witness
                    && let Err((message, hint)) = self.is_witness(witness, &declared.name)
                {
                    section.problem("witness", message, hint);
                }
                built.map(|built| (Arc::from(built), witness, decides))
            });
            all.extend(built);
        }
        if problems.is_empty() {
            Ok(probes::witnessed(&all))
        } else {
            Err(Refusal::of_problems(&problems))
        }
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

    /// Who is told what becomes of a run.
    ///
    /// # Errors
    /// All problems of their tables at once.
    pub fn targets(&self) -> Result<Vec<Target>, Refusal> {
        let mut problems = Vec::new();
        let mut all = Vec::new();
        for declared in &self.settings.targets {
            let read = declared.read(&mut problems, |section| {
                Target::read(&declared.kind, declared.name.clone(), section)
            });
            all.extend(read);
        }
        if problems.is_empty() {
            Ok(all)
        } else {
            Err(Refusal::of_problems(&problems))
        }
    }
}
