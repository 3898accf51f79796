//! How long the answers of one probe take, beside how long they took before the deployment.

use super::rate::{Excess, Rate};
use guard_model::health::Rule;

/// So many answers from before are needed to know what is usual. As many as the share of failures needs by default.
const ENOUGH: usize = 20;
/// Too much: more than half of the answers are slow. Of healthy ones, hardly one in ten is.
const SHARE: f64 = 0.5;
/// An answer that takes this much longer than usual, in seconds, is noticed by nobody. A guess
/// (docs/decisions/0042-slowness-is-a-share-of-answers.md).
const UNNOTICED: f64 = 0.05;

/// The pace of one probe.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// The median from before, in seconds.
    pub usual: f64,
    /// What is slow, in seconds.
    pub limit: f64,
    rate: Rate,
}

impl Pace {
    /// The pace that these answers had before; `None` where they are too few, or nothing is asked of it.
    pub(super) fn of(before: Vec<f64>, rule: &Rule) -> Option<Self> {
        let factor = rule.latency?;
        if before.len() < ENOUGH {
            return None;
        }
        let usual = median(before)?;
        Some(Self {
            usual,
            limit: (usual * factor).max(usual + UNNOTICED),
            rate: Rate::of_share(rule, SHARE),
        })
    }

    /// Takes an answer that came so many seconds after the gate; tells when too many are slow.
    pub(super) fn take(&mut self, seconds: f64, latency: f64) -> Option<Excess> {
        self.rate.take(seconds, latency > self.limit)
    }
}

/// The median of some numbers; `None` of none.
pub(super) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied()
}
