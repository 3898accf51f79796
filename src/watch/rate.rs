//! The share of failures of one probe: counted, and weighed against chance.
//!
//! The weighing is a Shiryaev–Roberts e-detector with a mixture over stakes: J. Shin, A. Ramdas and A. Rinaldo, "E-detectors: a
//! nonparametric framework for sequential change detection", New England Journal of Statistics in Data Science 2 (2024),
//! doi 10.51387/23-NEJSDS51. For each stake f, after a bucket with the failing share x and with the threshold θ,
//! R becomes (R + 1) · (1 + f/θ · (x − θ)). The factor is an e-value: it is never negative, since f < 1, and at most 1 on average
//! while the share is expected to be at most θ. So the mean of R over the stakes, less the number of buckets, is a
//! supermartingale, and reaches A after A buckets on average or later, whatever the distribution.

use guard_model::health::{RateForm, Rule, share};

/// Seconds of probes that are weighed as one: failures come in clusters, and a cluster is one event. Five is a guess at how long a
/// cluster lasts; the measurements of docs/watching.md were made with it.
const BUCKET: f64 = 5.0;
/// How many bets there are: 0.05, 0.10 … 0.95. The small ones find a share just over the threshold, the large ones one far above.
const BETS: usize = 19;
/// What the bets have to have won on average: a service whose share is at the threshold gets there by chance once in a thousand
/// buckets (83 minutes) at most, on average; see the module's own words.
const ENOUGH: f64 = 1000.0;

/// The share so far.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    form: RateForm,
    /// The share that is too much.
    threshold: f64,
    min_samples: u64,
    /// Known readings, and those of them that failed.
    pub known: u64,
    pub failed: u64,
    bucket: Bucket,
    past: Vec<Bucket>,
    bets: [f64; BETS],
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// Which one, counted from the beginning.
    at: u32,
    known: u32,
    failed: u32,
}

/// A share over the threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Excess {
    /// Readings that failed.
    pub failed: u64,
    /// Readings in all.
    pub known: u64,
    /// Over so many seconds; `None`: since the beginning.
    pub seconds: Option<f64>,
}

impl Rate {
    pub(super) fn new(rule: &Rule) -> Self {
        Self {
            form: rule.rate,
            threshold: rule.error_threshold,
            min_samples: u64::from(rule.min_samples),
            known: 0,
            failed: 0,
            bucket: Bucket::default(),
            past: Vec::new(),
            bets: [0.0; BETS],
        }
    }

    /// The same for another question than that of failures: what share of answers is something else.
    pub(super) fn of_share(rule: &Rule, threshold: f64) -> Self {
        Self {
            form: RateForm::Evidence,
            threshold,
            ..Self::new(rule)
        }
    }

    /// Raises the threshold to what was usual before the deployment: the upper bound (95 %) of the share seen then. A stray
    /// failure among a handful of readings is no habit; a probe that only failed was broken before.
    pub(super) fn tolerate(&mut self, failed: u64, known: u64) {
        if known < self.min_samples && failed < known {
            return;
        }
        self.threshold = self.threshold.max(upper_bound(failed, known));
    }

    /// The share that is too much.
    pub(super) fn limit(&self) -> f64 {
        self.threshold
    }

    /// Takes an answer that came so many seconds after the beginning; tells when it is too much.
    pub(super) fn take(&mut self, seconds: f64, has_failed: bool) -> Option<Excess> {
        let closed = self.close_before(seconds);
        self.known += 1;
        self.failed += u64::from(has_failed);
        self.bucket.known += 1;
        self.bucket.failed += u32::from(has_failed);
        if self.known < self.min_samples || self.threshold >= 1.0 {
            return None;
        }
        match self.form {
            RateForm::Observed => self.observed(),
            RateForm::Evidence if closed && mean(&self.bets) >= ENOUGH => Some(self.explained()),
            RateForm::Evidence => None,
        }
    }

    /// The share since the beginning, where it is over the threshold and rests on enough readings.
    pub(super) fn observed(&self) -> Option<Excess> {
        (self.is_enough() && share(self.failed, self.known) > self.threshold).then_some(Excess {
            failed: self.failed,
            known: self.known,
            seconds: None,
        })
    }

    /// The share since the beginning, 0 where nothing is known.
    pub(super) fn share_of_all(&self) -> f64 {
        share(self.failed, self.known)
    }

    /// Whether there are enough readings for a share to mean anything.
    pub(super) fn is_enough(&self) -> bool {
        self.known >= self.min_samples
    }

    /// Closes the bucket if these seconds are past it, and lets the bets win or lose by it.
    fn close_before(&mut self, seconds: f64) -> bool {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a watch is far shorter than 2^32 buckets; what came before its beginning belongs to the first"
        )]
        let at = (seconds / BUCKET).max(0.0) as u32;
        // An answer that was held back may be older than the bucket; it counts where it arrives.
        if at <= self.bucket.at {
            return false;
        }
        let closed = std::mem::replace(
            &mut self.bucket,
            Bucket {
                at,
                ..Bucket::default()
            },
        );
        if closed.known == 0 {
            return false;
        }
        for (bet, won) in self.bets.iter_mut().enumerate() {
            *won = (*won + 1.0) * gain(bet, closed.share(), self.threshold);
        }
        self.past.push(closed);
        true
    }

    /// The stretch that speaks loudest: from which beginning until now the bets would have won most.
    fn explained(&self) -> Excess {
        let mut products = [1.0; BETS];
        let (mut failed, mut known) = (0, 0);
        let mut best = (0.0, 0, 0, 0);
        for bucket in self.past.iter().rev() {
            failed += u64::from(bucket.failed);
            known += u64::from(bucket.known);
            for (bet, product) in products.iter_mut().enumerate() {
                *product *= gain(bet, bucket.share(), self.threshold);
            }
            if mean(&products) > best.0 {
                best = (mean(&products), failed, known, bucket.at);
            }
        }
        let (_, failed, known, since) = best;
        let end = self.past.last().map_or(0, |bucket| bucket.at);
        Excess {
            failed,
            known,
            seconds: Some(f64::from(end - since + 1) * BUCKET),
        }
    }
}

impl Bucket {
    fn share(&self) -> f64 {
        f64::from(self.failed) / f64::from(self.known)
    }
}

/// By how much a bet multiplies when this share failed: on average not at all while the threshold holds.
fn gain(bet: usize, share: f64, threshold: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "at most 19")]
    let stake = (bet + 1) as f64 * 0.05;
    1.0 + stake / threshold * (share - threshold)
}

fn mean(values: &[f64; BETS]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "it is 19")]
    let count = BETS as f64;
    values.iter().sum::<f64>() / count
}

/// The upper end of the Wilson score interval (E. B. Wilson, 1927), in which the share is with 95 %; 0 where nothing failed, since
/// nothing then speaks for a bad habit.
fn upper_bound(failed: u64, known: u64) -> f64 {
    // The 97.5 % quantile of the normal distribution: 2.5 % are left on either side of the interval.
    const Z: f64 = 1.959_964;
    if failed == 0 || known == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of readings, far below 2^52")]
    let count = known as f64;
    let share = share(failed, known);
    let spread = Z * (share * (1.0 - share) / count + Z * Z / (4.0 * count * count)).sqrt();
    (share + Z * Z / (2.0 * count) + spread) / (1.0 + Z * Z / count)
}
