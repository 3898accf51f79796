//! Failures in a row of one probe: how many, since when, and what became of them.

/// The failures that no success has followed. Probes overlap, so the order is that of asking, not that of answering.
#[derive(Debug, Clone, Default)]
pub(super) struct Streak {
    /// When each was asked and answered, in the order of asking.
    failures: Vec<(f64, f64)>,
    /// When the latest success was asked.
    latest_ok: Option<f64>,
}

/// Failures in a row that are over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Past {
    /// How many.
    pub count: usize,
    /// When the first was asked.
    pub begun: f64,
    /// Seconds from the first question to the last answer.
    pub lasted: f64,
}

impl Streak {
    /// Takes a failure: when it was asked, when it was answered.
    pub(super) fn fail(&mut self, asked: f64, answered: f64) {
        // A success that was asked later has told that this failure is over.
        if self.latest_ok.is_some_and(|ok| ok > asked) {
            return;
        }
        let place = self.failures.partition_point(|(other, _)| *other <= asked);
        self.failures.insert(place, (asked, answered));
    }

    /// Takes a success; what it ended.
    pub(super) fn succeed(&mut self, asked: f64) -> Option<Past> {
        self.latest_ok = Some(self.latest_ok.map_or(asked, |ok| ok.max(asked)));
        let over = self.failures.partition_point(|(other, _)| *other <= asked);
        let ended: Vec<_> = self.failures.drain(..over).collect();
        Some(Past {
            count: ended.len(),
            begun: ended.first()?.0,
            lasted: span(&ended),
        })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.failures.len()
    }

    /// When the first was asked.
    pub(super) fn begun(&self) -> Option<f64> {
        self.failures.first().map(|(asked, _)| *asked)
    }

    /// Seconds from the first question to the last answer: for so long it is known to fail.
    pub(super) fn lasted(&self) -> f64 {
        span(&self.failures)
    }
}

fn span(failures: &[(f64, f64)]) -> f64 {
    let begun = failures.first().map_or(0.0, |(asked, _)| *asked);
    let last = failures.iter().map(|(_, answered)| *answered).fold(begun, f64::max);
    last - begun
}
