//! Pace: how fast long work goes, what is left, and how often something is said.

use std::collections::VecDeque;
use std::time::Duration;

use guard_model::text;

/// How far back the speed looks.
const LOOK_BACK: Duration = Duration::from_secs(15);

/// Long work, measured by what it tells.
#[derive(Debug, Clone)]
pub struct Work {
    /// What is done: `dump app`.
    pub what: String,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all, as far as is known; often an estimate.
    pub total: Option<u64>,
    samples: VecDeque<(Duration, u64)>,
}

impl Work {
    /// Work of this name that begins.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            done: 0,
            total: None,
            samples: VecDeque::new(),
        }
    }

    /// Takes where it stands at a moment of the steady clock.
    pub fn update(&mut self, at: Duration, done: u64, total: Option<u64>) {
        if done < self.done {
            // It began anew: the pace of the try before says nothing about this one.
            self.samples.clear();
        }
        (self.done, self.total) = (done, total);
        while self.samples.len() > 2
            && self
                .samples
                .front()
                .is_some_and(|(then, _)| at.saturating_sub(*then) > LOOK_BACK)
        {
            self.samples.pop_front();
        }
        self.samples.push_back((at, done));
    }

    /// Bytes in a second, over the last seconds; `None` before there are two moments.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "shown with two or three digits")]
    pub fn speed(&self) -> Option<f64> {
        let ((first, before), (last, now)) = (self.samples.front()?, self.samples.back()?);
        let seconds = last.saturating_sub(*first).as_secs_f64();
        (seconds >= 0.2 && now > before).then(|| (now - before) as f64 / seconds)
    }

    /// What is left in time, where total and speed are known and the total is not passed yet.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "shown in whole seconds")]
    pub fn left(&self) -> Option<Duration> {
        let left = self.total?.checked_sub(self.done).filter(|left| *left > 0)?;
        Duration::try_from_secs_f64(left as f64 / self.speed()?).ok()
    }

    /// The share that is done, 0 to 1, where the total is known.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share to draw a bar with")]
    pub fn share(&self) -> Option<f64> {
        self.total
            .filter(|total| *total > 0)
            .map(|total| (self.done as f64 / total as f64).min(1.0))
    }

    /// `dump app: 412.0 MB of about 886.0 MB, 96 MB/s, 5 s left`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let done = text::bytes(self.done);
        let mut parts = vec![match self.total.filter(|total| *total >= self.done) {
            Some(total) => format!("{}: {done} of about {}", self.what, text::bytes(total)),
            None => format!("{}: {done} so far", self.what),
        }];
        parts.extend(self.speed().map(speed));
        parts.extend(self.left().map(|left| format!("{} left", whole(left))));
        parts.join(", ")
    }
}

/// `96 MB/s`, `1.2 GB/s`, `9 kB/s`.
#[must_use]
pub fn speed(bytes_per_second: f64) -> String {
    let (value, unit) = match bytes_per_second {
        rate if rate < 1e6 => (rate / 1e3, "kB/s"),
        rate if rate < 1e9 => (rate / 1e6, "MB/s"),
        rate => (rate / 1e9, "GB/s"),
    };
    if value < 9.95 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// `5 s`, `3 min 20 s`: in whole seconds, since an estimate has no tenths.
#[must_use]
pub fn whole(span: Duration) -> String {
    let seconds = span.as_secs_f64().round();
    if seconds < 60.0 {
        format!("{seconds:.0} s")
    } else {
        text::duration(Duration::from_secs_f64(seconds))
    }
}

/// Lets something through at most once in a while.
#[derive(Debug, Clone, Default)]
pub struct Throttle(Option<Duration>);

impl Throttle {
    /// Whether it may pass at this moment; if it may, the next has to wait.
    pub fn passes(&mut self, at: Duration, pause: Duration) -> bool {
        let passes = self.0.is_none_or(|last| at.saturating_sub(last) >= pause);
        if passes {
            self.0 = Some(at);
        }
        passes
    }

    /// Makes the next wait from this moment on.
    pub fn hold(&mut self, at: Duration) {
        self.0 = Some(at);
    }
}
