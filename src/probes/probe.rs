//! What a probe is: a way to ask that never fails.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use guard_model::health::Answer;
use guard_model::name::ProbeName;
use guard_system::context::Context;

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
