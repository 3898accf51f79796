//! What a report is made from: the journal of a run, the readings of its probes, and the ends of its logs.

use std::collections::BTreeMap;

use guard_model::fact::Record;
use guard_model::health::{Reading, Watched};
use guard_model::name::ResourceName;

/// Which release was live, by resource and its parts: `{"code": {"commit": "4f9c…"}}`.
pub type Release = BTreeMap<ResourceName, BTreeMap<String, String>>;

/// All of it. Texts are as they were kept; the report makes them safe.
#[derive(Debug, Clone, Default)]
pub struct Material {
    /// The project.
    pub project: String,
    /// The environment of the settings, where one was chosen.
    pub environment: Option<String>,
    /// The journal.
    pub records: Vec<Record>,
    /// What the probes answered, the oldest first.
    pub readings: Vec<Reading>,
    /// The watches that are over.
    pub watches: Vec<Watched>,
    /// Which release was live before the deploy command.
    pub before: Release,
    /// Which was live after it.
    pub after: Release,
    /// Which one the run has left.
    pub left: Release,
    /// The ends of the logs.
    pub logs: Vec<Log>,
    /// The files that `guard salvage` has written for this run.
    pub salvaged: Vec<String>,
    /// What could not be read, each a sentence.
    pub unread: Vec<String>,
}

/// The end of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Who wrote it.
    pub source: LogSource,
    /// Its path in the run's directory.
    pub path: String,
    /// How its writer stood, where it was a container in trouble: `exited with 1, restarted 3 times`.
    pub trouble: Option<String>,
    /// Its last lines.
    pub lines: Vec<String>,
}

/// Who writes a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogSource {
    /// The deploy command.
    Deploy,
    /// A verify command behind the deployment.
    Verify,
    /// A verify command behind the way back.
    Prove,
    /// A service, to a probe: what it answered where it failed.
    Answer,
    /// A container.
    Container,
}
