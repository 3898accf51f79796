//! The engine: the policy as a table, and the loop with steps that fail, hang, or come twice.

mod broken;
mod decide;
mod pauses;
mod unknown;

use std::sync::Arc;
use std::time::Duration;

use guard::engine::steps::{Errands, Monitor};
use guard::model::health::{Rule, Started};
use guard::probes::Probe;

/// Two seconds of a watch by one probe, ten times a second.
fn monitor(probe: Arc<dyn Probe>, runtime: &tokio::runtime::Runtime) -> Monitor {
    Monitor {
        probes: vec![probe],
        rule: Rule {
            window: Duration::from_secs(2),
            interval: Duration::from_millis(100),
            min_samples: 5,
            ..Rule::default()
        },
        rules: Vec::new(),
        project: None,
        units: Vec::new(),
        runtime: runtime.handle().clone(),
        errands: Errands::default(),
        starts: Vec::new(),
        started: Started::default(),
        hears: false,
    }
}
