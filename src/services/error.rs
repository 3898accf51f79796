//! Why services could not be stopped or started.

use guard_system::docker::DockerError;
use guard_system::processes::CallError;

/// Why services could not be stopped or started.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The engine does not answer, or refuses.
    #[error("could not {what}")]
    Engine {
        /// What was tried: `stop app`.
        what: String,
        /// Why.
        source: DockerError,
    },
    /// One of the user's own commands failed.
    #[error("could not run the {stage} command")]
    Command {
        /// `stop`, `start` or `maintenance`; of a named service with its name: `api before_stop`.
        stage: String,
        /// Why.
        source: CallError,
    },
    /// systemd does not answer, or refuses.
    #[error("could not {what}")]
    Unit {
        /// What was tried: `stop api.service`.
        what: String,
        /// Why.
        source: CallError,
    },
    /// What runs could not be written down before it is stopped.
    #[error("could not write down what runs")]
    Note(#[source] guard_system::disk::DiskError),
    /// Something else holds what a service needs.
    #[error("could not start the services: {0}")]
    Conflict(String),
    /// The front could not be asked, or switched.
    #[error(transparent)]
    Front(super::front::FrontError),
    /// Services do not run as they should.
    #[error("could not see the services running: {}", .0.join("; "))]
    NotRunning(Vec<String>),
}

impl ServiceError {
    pub(super) fn engine(what: impl Into<String>) -> impl FnOnce(DockerError) -> Self {
        let what = what.into();
        move |source| Self::Engine { what, source }
    }
}

/// What an act on services returns.
pub type Result<T> = std::result::Result<T, ServiceError>;
