//! A resource of a deployment, and where it is: the one door to it binds every question to its engine.

use crate::abilities::{Account, Harm, Occasion, ServiceNeeds};
use crate::contract::Resource;
use guard_model::artifact::{Artifact, Displaced};
use guard_model::name::ResourceName;
use guard_system::context::Context;
use guard_system::docker::Engine;

/// A resource, the project that it belongs to, and that project's engine.
///
/// Whoever wants to ask it anything goes through [`Member::at`], so no question is put at the wrong engine.
pub struct Member {
    resource: Box<dyn Resource>,
    project: Option<String>,
    engine: Option<Engine>,
}

impl Member {
    /// A resource of the project that the settings are of, at the engine of the environment.
    #[must_use]
    pub fn own(resource: Box<dyn Resource>) -> Self {
        Self {
            resource,
            project: None,
            engine: None,
        }
    }

    /// A resource of a further project, by its name in the settings; at `engine`, where it is another one than that of the
    /// environment.
    #[must_use]
    pub fn of(project: String, engine: Option<Engine>, resource: Box<dyn Resource>) -> Self {
        Self {
            resource,
            project: Some(project),
            engine,
        }
    }

    /// Its name in `guard.toml`.
    #[must_use]
    pub fn name(&self) -> &ResourceName {
        self.resource.name()
    }

    /// The further project that it belongs to, by its name in the settings; `None`: the one that the settings are of.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    /// The resource, and these surroundings at its engine.
    #[must_use]
    pub fn at(&self, cx: &Context) -> (&dyn Resource, Context) {
        (self.resource.as_ref(), cx.at(self.engine.as_ref()))
    }

    /// What a restore of it says of itself: its record tells that, so no surroundings are asked for.
    #[must_use]
    pub fn account(&self) -> Option<&dyn Account> {
        self.resource.abilities().account
    }

    /// Whether what a restore displaced has rows that can be salvaged: its record tells that.
    #[must_use]
    pub fn holds_rows(&self, displaced: &Displaced) -> bool {
        self.resource.holds_rows(displaced)
    }

    /// Whether this copy is to stand by: settings and copy tell that.
    #[must_use]
    pub fn wants_standby(&self, artifact: &Artifact, occasion: &Occasion) -> bool {
        self.resource.wants_standby(artifact, occasion)
    }

    /// Whether a drill can do this harm to it: its kind tells that.
    #[must_use]
    pub fn knows_harm(&self, harm: Harm) -> bool {
        self.resource.knows(harm)
    }

    /// What it needs of services: its settings tell that.
    #[must_use]
    pub fn services(&self) -> Option<&dyn ServiceNeeds> {
        self.resource.abilities().services
    }

    /// Its copy, with the project that it is of: a run that puts another resource back has to know where this one belongs.
    #[must_use]
    pub fn sign(&self, artifact: Artifact) -> Artifact {
        match &self.project {
            Some(_) => Artifact {
                project: self.project.clone(),
                ..artifact
            },
            None => artifact,
        }
    }
}
