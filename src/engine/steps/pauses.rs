//! Pauses in which nobody looked, because the machine slept or guard was suspended: a watch begins again after one.

use std::time::Duration;

use guard_system::context::Context;

/// The shortest pause that counts. A guess (docs/decisions/0023-a-hole-in-a-watch.md).
const PAUSE: Duration = Duration::from_secs(10);

/// Notices that nobody looked for a while.
pub(super) struct Pauses {
    seen: Duration,
    asleep: Duration,
    limit: Duration,
}

impl Pauses {
    pub(super) fn new(interval: Duration, cx: &Context) -> Self {
        Self {
            seen: cx.clock.steady(),
            asleep: cx.clock.asleep(),
            limit: PAUSE.max(interval * 3),
        }
    }

    /// The pause since this was asked last, where it was one.
    pub(super) fn noticed(&mut self, cx: &Context) -> Option<Duration> {
        let (now, asleep) = (cx.clock.steady(), cx.clock.asleep());
        let pause = now.saturating_sub(self.seen) + asleep.saturating_sub(self.asleep);
        (self.seen, self.asleep) = (now, asleep);
        (pause >= self.limit).then_some(pause)
    }
}
