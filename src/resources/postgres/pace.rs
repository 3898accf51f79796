//! How a database is filled: in how many jobs, and how much of the time the server is given something to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Jobs where nobody says how many: as many as there are processors, and not more than a server will bear unasked.
pub(crate) fn usual_jobs() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(cores.min(4)).unwrap_or(1)
}

/// How a database is filled.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// Jobs side by side; 1 loads all in one transaction.
    pub(crate) jobs: u32,
    /// The share of the time, in percent, for which the server is given something to do; under 100 there is one job.
    pub(crate) share: u32,
    /// What holds it back, where something does; there is one job then.
    pub(crate) hold: Option<Arc<Hold>>,
}

impl Load {
    /// As fast as these jobs can.
    pub(crate) fn full(jobs: u32) -> Self {
        Self {
            jobs,
            share: 100,
            hold: None,
        }
    }

    /// Whether it goes through a pipe, so that it can be held back.
    pub(crate) fn is_held(&self) -> bool {
        self.share < 100 || self.hold.is_some()
    }
}

/// How long so many bytes take at so many a second.
pub(crate) fn time_for(bytes: u64, rate: u64) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// A load that is held to a rate until somebody wants it at once.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    rate: u64,
    is_hurried: AtomicBool,
    fed: AtomicU64,
    total: AtomicU64,
}

impl Hold {
    /// To so many bytes of rows a second; 0: it is not held.
    pub(crate) fn to(rate: u64) -> Self {
        Self {
            rate,
            ..Self::default()
        }
    }

    /// The bytes a second; `None`: as fast as it goes.
    pub(crate) fn rate(&self) -> Option<u64> {
        let is_held = self.rate > 0 && !self.is_hurried();
        is_held.then_some(self.rate)
    }

    /// Holds it back no more.
    pub(crate) fn hurry(&self) {
        self.is_hurried.store(true, Ordering::SeqCst);
    }

    /// Whether somebody waits for it.
    pub(crate) fn is_hurried(&self) -> bool {
        self.is_hurried.load(Ordering::SeqCst)
    }

    /// Takes in how many of so many bytes have gone to the server. The total may be an estimate.
    pub(crate) fn fed(&self, done: u64, total: u64) {
        self.fed.store(done, Ordering::SeqCst);
        self.total.store(total, Ordering::SeqCst);
    }

    /// Whether going on with it is no slower than a load anew in so many jobs. Two jobs win nothing over one (see `MANY` in
    /// `fill.rs`), so they are taken for half as fast as they could be.
    pub(crate) fn is_worth_waiting(&self, jobs: u32) -> bool {
        let (fed, total) = (self.fed.load(Ordering::SeqCst), self.total.load(Ordering::SeqCst));
        let left = total.saturating_sub(fed);
        left.saturating_mul(u64::from(jobs.max(2))) <= total.saturating_mul(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_gone_on_with_unless_one_anew_is_faster() {
        let hold = Hold::to(40);
        let worth = |fed, jobs| {
            hold.fed(fed, 100);
            hold.is_worth_waiting(jobs)
        };
        assert!(worth(0, 1) && worth(0, 2), "nothing is won by two jobs");
        assert!(!worth(40, 4) && worth(50, 4), "four are taken for twice as fast");
        assert!(!worth(74, 8) && worth(75, 8));
        assert_eq!(hold.rate(), Some(40));
        hold.hurry();
        assert_eq!(hold.rate(), None);
        assert_eq!(Hold::to(0).rate(), None);
    }
}
