//! Which engine is asked, where it is another one than that of the environment.

use duct::Expression;
use serde::{Deserialize, Serialize};

/// An engine: by its address, or by the name of a context of the client.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Engine {
    /// As `DOCKER_HOST` has it: `ssh://deploy@10.0.0.7`, `tcp://127.0.0.1:2376`, `unix:///run/user/1000/docker.sock`.
    Host(String),
    /// As `docker context ls` lists it.
    Context(String),
}

impl Engine {
    /// The variables by which the client knows it: `None` for one that must not be set.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, Option<&str>); 2] {
        match self {
            Self::Host(host) => [("DOCKER_HOST", Some(host)), ("DOCKER_CONTEXT", None)],
            Self::Context(context) => [("DOCKER_HOST", None), ("DOCKER_CONTEXT", Some(context))],
        }
    }

    /// The address or the name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Host(name) | Self::Context(name) => name,
        }
    }
}

/// A program that asks this engine, where one is named; else the one of its environment.
pub(crate) fn led(engine: Option<&Engine>, program: Expression) -> Expression {
    let variables = engine.into_iter().flat_map(Engine::variables);
    variables.fold(program, |program, (name, value)| match value {
        Some(value) => program.env(name, value),
        None => program.env_remove(name),
    })
}
