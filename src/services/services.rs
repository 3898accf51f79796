//! The services of a deployment: a Compose project, further ones, and the user's own commands.

use std::sync::Arc;
use std::time::Duration;

use super::commands::run_all;
use super::error::Result;
use super::named::Named;
use super::sides::Sides;
use super::wait;
use guard_model::event::Level;
use guard_model::text::chain;
use guard_system::context::Context;
use guard_system::docker::{Check, Compose, Engine};

/// How what runs is stopped and started: a Compose project, the user's own commands, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Services {
    /// The Compose project.
    pub compose: Option<Compose>,
    /// Further projects that the same deployment changes.
    pub further: Vec<Further>,
    /// Commands that stop what Compose does not know; each a list of words.
    pub stop: Vec<Vec<String>>,
    /// Commands that start it again.
    pub start: Vec<Vec<String>>,
    /// Commands that put up the maintenance page.
    pub maintenance_on: Vec<Vec<String>>,
    /// Commands that take it down.
    pub maintenance_off: Vec<Vec<String>>,
    /// The services that have a name in the settings.
    pub named: Vec<Named>,
    /// The services that this way back is about, by their names in the settings or in the Compose project; empty: all.
    pub only: Vec<String>,
    /// The two sides of a blue-green deployment, where there are any.
    pub sides: Option<Arc<Sides>>,
    /// The further project whose services these are; `None`: they are the settings' own.
    pub project: Option<String>,
}

/// A further Compose project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Further {
    /// Its name in the settings.
    pub name: String,
    /// The project.
    pub compose: Compose,
    /// Its engine, where it is another one than that of the environment.
    pub engine: Option<Engine>,
    /// The names of the further projects that it needs.
    pub needs: Vec<String>,
}

impl Services {
    /// The services of one project, and the surroundings in which they are reached; `None`: the settings' own, with the user's
    /// commands. One that the settings do not name has no services.
    #[must_use]
    pub fn of_project(&self, name: Option<&str>, cx: &Context) -> (Self, Context) {
        let Some(name) = name else {
            return (self.clone(), cx.clone());
        };
        let found = self.further.iter().find(|further| further.name == name);
        let services = Self {
            compose: found.map(|further| further.compose.clone()),
            sides: self.sides.clone(),
            project: Some(name.to_owned()),
            ..Self::default()
        };
        (services, cx.at(found.and_then(|further| further.engine.as_ref())))
    }

    /// The names of the further projects, those that others need first; in the order of the settings where none needs another.
    #[must_use]
    pub fn projects_in_order(&self) -> Vec<&str> {
        let mut left: Vec<&Further> = self.further.iter().collect();
        let mut ordered = Vec::new();
        while !left.is_empty() {
            let waits = |one: &&Further| left.iter().any(|other| one.needs.contains(&other.name));
            let (mut waiting, ready): (Vec<&Further>, Vec<&Further>) = left.iter().copied().partition(waits);
            // The settings refuse a circle; if there is one all the same, all of it goes at once.
            let next = if ready.is_empty() {
                std::mem::take(&mut waiting)
            } else {
                ready
            };
            ordered.extend(next.iter().map(|one| one.name.as_str()));
            left = waiting;
        }
        ordered
    }

    /// Whether a Compose service is a named one.
    #[must_use]
    pub fn has_container(&self, service: &str) -> bool {
        self.named.iter().any(|named| named.container() == Some(service))
    }

    /// The units of systemd among the named services.
    #[must_use]
    pub fn units(&self) -> Vec<String> {
        self.named.iter().filter_map(Named::unit).map(str::to_owned).collect()
    }

    /// Puts the maintenance page up. A page that cannot be put up keeps nobody from going back: it is told, and that is all.
    pub fn maintenance_on(&self, cx: &Context) {
        if let Err(error) = run_all(&self.maintenance_on, "maintenance", cx) {
            cx.note(Level::Warn, format!("{}: the work goes on without it", chain(&error)));
        }
    }

    /// Waits until the health checks of containers that were started a moment ago have said something, as long as their own
    /// settings allow: until then nobody knows whether they are well.
    ///
    /// # Errors
    /// The engine does not answer.
    pub fn await_health(&self, cx: &Context) -> Result<()> {
        match &self.compose {
            Some(compose) => wait::until_health_is_known(&compose.project, cx),
            None => Ok(()),
        }
    }

    /// How long the health checks of the containers that are starting at this moment may take until they have said
    /// anything; zero where none is starting.
    ///
    /// # Errors
    /// The engine does not answer.
    pub fn time_to_start(&self, cx: &Context) -> Result<Duration> {
        match &self.compose {
            Some(compose) => wait::time_of_starting(&compose.project, cx),
            None => Ok(Duration::ZERO),
        }
    }

    /// The health check of a container that runs now that may take the longest until it has said anything, and the container's
    /// name.
    ///
    /// # Errors
    /// The engine does not answer.
    pub fn slowest_check(&self, cx: &Context) -> Result<Option<(String, Check)>> {
        match &self.compose {
            Some(compose) => wait::slowest_check(&compose.project, cx),
            None => Ok(None),
        }
    }

    /// Takes the maintenance page down.
    ///
    /// # Errors
    /// A command failed: visitors may still see the page.
    pub fn maintenance_off(&self, cx: &Context) -> Result<()> {
        run_all(&self.maintenance_off, "maintenance", cx)
    }
}
