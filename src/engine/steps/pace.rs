//! The pace of production: the probes are read on while the backup is taken, so that it is known how long an answer takes.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::probe_loop::{CONFIRMATION, ProbeLoop, StopWhen};
use guard_model::event::Voice;
use guard_model::health::{Reading, Rule};
use guard_probes::{Expectation, Probe};
use guard_system::context::Context;
use guard_system::disk::{self, DiskError};
use guard_system::stop::Stop;
use guard_watch::Judge;

/// The readings, in the run's directory. They are none of the baseline's: a service that is paused for its copy fails
/// them, and no release may fail as often for that.
pub const PACES: &str = "pace.jsonl";
/// So many rounds are enough. One a second for a minute: a guess. Twenty are needed (`ENOUGH` in src/watch/pace.rs).
const ROUNDS: u32 = 60;

/// Reads on in the background.
#[derive(Default)]
pub struct Pacer(Mutex<Option<(Stop, JoinHandle<()>)>>);

impl Pacer {
    /// Begins. That nothing can be kept is no reason not to deploy: how long answers take then decides nothing.
    pub(super) fn begin(&self, probes: &[Arc<dyn Probe>], rule: &Rule, runtime: &Handle, cx: &Context) {
        if rule.latency.is_none() {
            return;
        }
        let Ok(log) = disk::open_append(&cx.scratch.join(PACES)) else {
            return;
        };
        let rule = Rule {
            interval: rule.interval.min(CONFIRMATION),
            ..rule.clone()
        };
        let observation = ProbeLoop {
            until: StopWhen::Rounds(ROUNDS),
            judge: Judge::new(rule.clone(), Vec::new()),
            rule,
            readings: Vec::new(),
            count: 0,
            from: 0,
            log,
            expectation: Arc::new(Expectation::default()),
            hears: false,
            unshown: Vec::new(),
            acting: None,
        };
        let stop = Stop::default();
        let cx = Context {
            stop: stop.clone(),
            voice: Voice::silent(),
            ..cx.clone()
        };
        let probes = probes.to_vec();
        let task = runtime.spawn(async move {
            // Its end by a wish to stop is the usual one.
            let _over = observation.run(&probes, &cx).await;
        });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((stop, task));
    }

    /// Ends, before the first thing changes.
    pub(super) fn end(&self, runtime: &Handle) {
        let task = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, task)) = task {
            stop.ask();
            let _over = runtime.block_on(task);
        }
    }
}

/// What was read; a last line that was cut off is no reading.
///
/// # Errors
/// The file is there and cannot be read.
pub(super) fn paces(cx: &Context) -> Result<Vec<Reading>, DiskError> {
    let kept = disk::read_text_optional(&cx.scratch.join(PACES))?.unwrap_or_default();
    Ok(kept
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}
