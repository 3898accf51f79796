//! The client of the engine: how it is called, and why it did not answer.

use crate::call::Call;
use crate::context::Context;
use crate::processes::CallError;

/// The label on everything that guard makes in an engine; its value is the run's token.
pub const LABEL: &str = "guard.run";

/// Why the engine did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// The command failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The engine cannot be reached, with what to do about it.
    #[error("the Docker engine does not answer: {0}")]
    Unreachable(String),
    /// Its answer could not be read.
    #[error("could not read what `{call}` answered")]
    Answer {
        /// The call.
        call: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The engine refused what it was asked through its socket.
    #[error("the Docker engine refused `{call}`: {message}")]
    Refused {
        /// What was asked: `POST /containers/shop-app-1/start`.
        call: String,
        /// HTTP's code: 404 where a thing is not there, 409 where something is in the way.
        status: u16,
        /// What it said, redacted.
        message: String,
    },
    /// A thing is not there.
    #[error("{0}")]
    Missing(String),
    /// The Compose that is installed cannot be used.
    #[error("{0}")]
    Compose(String),
}

impl DockerError {
    /// Whether it says that what was asked for is not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status == 404,
            Self::Call(CallError::Exit { stderr, .. }) => stderr.to_lowercase().contains("no such"),
            _ => false,
        }
    }

    /// What the engine itself said, where it said anything.
    #[must_use]
    pub fn said(&self) -> Option<&str> {
        match self {
            Self::Refused { message, .. } => Some(message),
            Self::Call(CallError::Exit { stderr, .. }) => Some(stderr),
            _ => None,
        }
    }
}

/// A call of `docker`. `DOCKER_HOST` and `DOCKER_CONTEXT` pass through the environment.
#[must_use]
pub fn docker() -> Call {
    Call::new("docker")
}

/// Tells a dead engine from a refused one by what the client printed.
#[must_use]
pub fn explained(error: CallError) -> DockerError {
    let CallError::Exit { stderr, .. } = &error else {
        return error.into();
    };
    let text = stderr.to_lowercase();
    if text.contains("permission denied while trying to connect") || text.contains("connect: permission denied") {
        DockerError::Unreachable(
            "permission denied on its socket; add the user to the group `docker`, or run guard as root".to_owned(),
        )
    } else if let Some(address) = text
        .split("docker daemon at ")
        .nth(1)
        .filter(|rest| !rest.starts_with("unix:"))
    {
        let address = address.split(". ").next().unwrap_or_default().trim();
        DockerError::Unreachable(format!(
            "nothing answers at {address}; check DOCKER_HOST and `docker context ls`"
        ))
    } else if text.contains("cannot connect to the docker daemon") || text.contains("is the docker daemon running") {
        DockerError::Unreachable("it is not running; `systemctl start docker` starts it".to_owned())
    } else if text.contains("connection refused") || text.contains("no such host") || text.contains("i/o timeout") {
        DockerError::Unreachable(format!("{}; check DOCKER_HOST and `docker context ls`", stderr.trim()))
    } else {
        error.into()
    }
}

/// A name of something in an engine, told apart from the same name in another engine.
#[must_use]
pub fn named_in_engine(cx: &Context, name: &str) -> String {
    let told = |variable| cx.environment.text(variable);
    let host = told("DOCKER_HOST").filter(|host| !host.ends_with("/run/docker.sock"));
    let engine = host.or_else(|| told("DOCKER_CONTEXT").filter(|context| *context != "default"));
    engine.map_or_else(|| name.to_owned(), |engine| format!("{name} of {engine}"))
}
