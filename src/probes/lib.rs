//! Probes: ways to ask whether the system is well. Register a kind here.

mod command;
mod common;
mod container;
mod host;
mod http;
mod log;
mod placed;
mod postgres;
mod redis;
mod starts;
mod tcp;
mod tls;
mod witness;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use guard_model::health::{Answer, Numbers};
use guard_model::name::ProbeName;
use guard_model::section::Section;
use guard_system::context::Context;
use guard_system::docker::Compose;

pub use placed::Placed;
pub use starts::Starts;
pub use witness::{Asked, witnessed};

/// All kinds. To add one: a file here, and its line in this list.
pub const KINDS: &[Kind] = &[
    http::KIND,
    tcp::KIND,
    command::KIND,
    container::KIND,
    postgres::KIND,
    redis::KIND,
    log::KIND,
    http::PROMETHEUS,
    host::KIND,
];

/// What a probe is to expect of this run; nothing is expected before the deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expectation {
    /// The version that the deploy script announced; a probe that can see a version fails for another one.
    pub version: Option<String>,
    /// Containers of these services must not be the ones with these ids, since those belong to the release before:
    /// `(service, container id)`.
    pub replaced: Vec<(String, String)>,
    /// When the deploy command began: containers of services that every deployment replaces have to be younger.
    pub since: Option<DateTime<Utc>>,
    /// On the way back: when the old release was started. What a log holds from before its first reading then is the failed
    /// release's.
    pub back_since: Option<DateTime<Utc>>,
}

/// A way to ask. It never fails: silence is an answer.
#[async_trait]
pub trait Probe: Send + Sync {
    /// The name in `guard.toml`.
    fn name(&self) -> &ProbeName;

    /// Asks once, within one deadline for the whole exchange.
    async fn read(&self, expectation: &Expectation, cx: &Context) -> Answer;

    /// Whether its failures can decide; else they are only told.
    fn decides(&self) -> bool {
        true
    }

    /// What it asks, for people: `GET http://127.0.0.1:3001/health`, without secrets.
    fn describe(&self) -> String;
}

/// What all probes of a project share.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// The Compose project, where there is one.
    pub compose: Option<Compose>,
}

/// What a kind makes of its table in `guard.toml`.
pub type Built = Option<Box<dyn Probe>>;

/// A kind of probe.
pub struct Kind {
    /// As in `kind = "http"`.
    pub key: &'static str,
    /// One line for `guard init` and the docs.
    pub about: &'static str,
    /// Reads the kind's own keys from its table. Problems are told to the section; `None` where there are any.
    pub build: fn(ProbeName, &mut Section<'_>, &Site) -> Built,
    /// Which numbers its answers tell to rules.
    pub numbers: Numbers,
}

/// The kind of this key.
#[must_use]
pub fn kind(key: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.key == key)
}
