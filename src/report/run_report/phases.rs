//! The phases of a run on one axis of time, from its first record to its last.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::moment::span;
use crate::run_view::{RunView, State};

/// The time that a report is about.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Axis {
    /// When the run began.
    pub from: DateTime<Utc>,
    /// Seconds until its last record; never 0.
    pub seconds: f64,
}

impl Axis {
    pub(super) fn of(view: &RunView) -> Self {
        let from = view.opened.as_ref().map_or(DateTime::UNIX_EPOCH, |opened| opened.at);
        let last = view.last.unwrap_or(from);
        Self {
            from,
            // The clock of a journal may tell a run that took no time.
            seconds: span(from, last).as_secs_f64().max(0.001),
        }
    }

    /// Where a moment is on the axis, 0 to 1.
    #[must_use]
    pub fn place(&self, at: DateTime<Utc>) -> f64 {
        (span(self.from, at).as_secs_f64() / self.seconds).clamp(0.0, 1.0)
    }
}

/// One phase.
#[derive(Debug, Clone, Serialize)]
pub struct Phase {
    /// `back up databases`.
    pub title: &'static str,
    /// Whether it belongs to the way back.
    pub is_back: bool,
    /// How far it came.
    pub state: State,
    /// Where it begins on the axis, 0 to 1; `None` where it never began.
    pub from: Option<f64>,
    /// Where it ends; the axis' end where it has not.
    pub to: Option<f64>,
    /// How long it took, where it ended.
    pub seconds: Option<f64>,
}

pub(super) fn phases(view: &RunView, axis: &Axis) -> Vec<Phase> {
    view.stages
        .iter()
        .map(|stage| Phase {
            title: stage.name.title(),
            is_back: stage.is_back,
            state: stage.state(),
            from: stage.began.map(|at| axis.place(at)),
            to: stage.began.map(|_| stage.ended.map_or(1.0, |at| axis.place(at))),
            seconds: stage.took().map(|took| took.as_secs_f64()),
        })
        .collect()
}
