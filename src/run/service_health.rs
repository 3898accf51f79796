//! The health of a named service: a probe of its own, asked in between its start and what needs it.

use std::sync::Arc;

use tokio::runtime::Handle;

use guard_engine::steps::ask_once;
use guard_model::health::Outcome;
use guard_probes::Probe;
use guard_services::HealthCheck;
use guard_system::context::Context;

/// A probe that services ask.
pub(crate) struct ProbeHealth {
    /// The probe.
    pub probe: Arc<dyn Probe>,
    /// Where it runs.
    pub runtime: Handle,
}

impl HealthCheck for ProbeHealth {
    fn ask(&self, cx: &Context) -> Result<(), String> {
        let answers = ask_once(std::slice::from_ref(&self.probe), &self.runtime, cx);
        let (outcome, note) = answers
            .into_iter()
            .next()
            .map_or((Outcome::Unknown, "the probe broke off".to_owned()), |(_, answer)| {
                (answer.outcome, answer.note)
            });
        if outcome == Outcome::Ok {
            return Ok(());
        }
        Err(cx.redaction.clean(&format!("{}: {note}", self.probe.describe())))
    }
}
