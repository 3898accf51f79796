//! Which containers are still starting by their own health checks: asked by guard itself at the gate, whatever probes are set.

use std::time::Duration;

use async_trait::async_trait;

use super::basics::{Basics, spoken};
use super::{Expectation, Probe};
use guard_model::health::{Answer, Class};
use guard_model::name::ProbeName;
use guard_system::context::Context;
use guard_system::docker::containers_of;

/// How long the engine may take to say it: as long as any probe has where nobody says otherwise.
const LIMIT: Duration = Duration::from_secs(5);

/// How the names of these probes begin; a number follows.
const NAME: &str = "guard.starting-";

/// Asks the engine for the containers of a Compose project that are still starting. Decides nothing.
pub struct Starts {
    basics: Basics,
    project: String,
}

impl Starts {
    /// The names that such probes have, from this number on.
    pub fn names(from: usize) -> impl Iterator<Item = ProbeName> {
        (from..).filter_map(|number| format!("{NAME}{number}").parse().ok())
    }

    /// Whether a reading under this name is of such a probe, and nothing that the user asked for.
    #[must_use]
    pub fn is_name(name: &ProbeName) -> bool {
        name.as_str().starts_with(NAME)
    }

    /// About this Compose project, under a name that no other probe has.
    #[must_use]
    pub fn of(name: ProbeName, project: &str) -> Self {
        Self {
            basics: Basics {
                name,
                decides: false,
                timeout: LIMIT,
            },
            project: project.to_owned(),
        }
    }
}

#[async_trait]
impl Probe for Starts {
    fn name(&self) -> &ProbeName {
        &self.basics.name
    }

    fn decides(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        format!("the containers of the project {} that are still starting", self.project)
    }

    async fn read(&self, _: &Expectation, cx: &Context) -> Answer {
        let project = self.project.clone();
        let answer = self.basics.blocking(cx, move |cx| match containers_of(cx, &project) {
            Ok(found) => {
                let starting = found.iter().find(|one| one.is_starting());
                starting.map_or_else(|| Answer::ok("no container is starting"), super::container::starting)
            }
            Err(error) => Answer::unknown(Class::NoData, spoken(cx, &error.to_string())),
        });
        let answer = answer.await;
        // An engine that does not answer says nothing about the containers.
        if answer.class == Some(Class::TimeoutRead) {
            return Answer::unknown(Class::NoData, "the Docker engine does not answer");
        }
        answer
    }
}
