//! What a condition asks of the readings, and the type of what it is told.

use guard_model::name::ProbeName;

/// What an expression gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    /// A number without a unit.
    Number,
    /// A span of time.
    Span,
    /// Whether something holds.
    Truth,
}

impl Type {
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Span => "a span of time",
            Self::Truth => "a condition",
        }
    }
}

/// What is asked of the readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Failures,
    Streak,
    Outage,
    Rate,
    Latency,
    Baseline,
    Metric,
    Restarts,
    Elapsed,
}

/// A question to the readings.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) ask: Ask,
    pub(super) probe: Option<ProbeName>,
    /// The name of the number that is meant, where the probe tells several.
    pub(super) figure: Option<&'static str>,
    pub(super) span: f64,
    pub(super) gives: Type,
    /// As it was written.
    pub(super) text: String,
}
