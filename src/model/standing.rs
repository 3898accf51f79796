//! Where a watch stands, for people who look at it: figures that decide nothing.

use serde::{Deserialize, Serialize};

use super::name::ProbeName;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The release has to come up.
    Gate,
    /// The release has come up, and is watched.
    Window,
}

/// How one probe that decides stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The probe.
    pub probe: ProbeName,
    /// Scheduled readings that were known, and those of them that failed, since the release came up.
    pub known: u64,
    /// Those that failed.
    pub failed: u64,
    /// The share of failures that is too much: 0.1, or what was usual before.
    pub limit: f64,
    /// The median time of the latest good answers, in seconds.
    pub latency: Option<f64>,
    /// The median from before the deployment, in seconds; `None` where it is not known.
    pub usual: Option<f64>,
}

impl Standing {
    /// The share of failures, 0 where nothing is known.
    #[must_use]
    pub fn share(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of readings, far below 2^52")]
        if self.known == 0 {
            0.0
        } else {
            self.failed as f64 / self.known as f64
        }
    }
}
