//! Time: the wall's, for names and messages, and one that never jumps, for durations.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

/// Where the time comes from. A trait because a test has to be able to make it jump.
pub trait Clock: Send + Sync {
    /// The wall clock, UTC.
    fn now(&self) -> DateTime<Utc>;
    /// Time since some fixed moment, by a clock that never goes back.
    fn steady(&self) -> Duration;
    /// How long the machine has slept in all since some fixed moment; `steady` stands still meanwhile.
    fn asleep(&self) -> Duration {
        Duration::ZERO
    }
    /// Waits.
    fn sleep(&self, span: Duration);
}

/// The machine's clock.
pub struct MachineClock(Instant);

impl MachineClock {
    /// The machine's clock, its steady time counted from now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub fn start() -> Arc<dyn Clock> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for MachineClock {
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn steady(&self) -> Duration {
        self.0.elapsed()
    }

    fn asleep(&self) -> Duration {
        use rustix::time::{ClockId, clock_gettime};
        let read = |id| Duration::try_from(clock_gettime(id)).unwrap_or_default();
        // In this order a pause between the two looks like less sleep, never like more.
        let awake_and_asleep = read(ClockId::Boottime);
        awake_and_asleep.saturating_sub(read(ClockId::Monotonic))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    fn sleep(&self, span: Duration) {
        std::thread::sleep(span);
    }
}
