//! The board of a watch: its readings folded into what a page and a metrics' server want to know.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};

use super::overview::Overview;
use guard_model::drill::DrillResult;
use guard_model::health::{Outcome, Reading};
use guard_model::name::ProbeName;

/// So many answers of each probe are shown.
const CELLS: usize = 180;
/// So many events are shown.
const EVENTS: usize = 20;

/// So many failures in a row are an event; fewer are a stray one.
const TOLD: u64 = 3;

/// What is known of a watch.
#[derive(Debug, Clone)]
pub struct Board {
    /// The project.
    pub project: String,
    /// When the watch began.
    pub begun: DateTime<Utc>,
    /// Why production is not well; `None`: it is.
    pub trouble: Option<String>,
    /// How often it was found not well.
    pub findings: u64,
    /// When the last answer came.
    pub last: Option<DateTime<Utc>>,
    /// The probes.
    pub lanes: BTreeMap<ProbeName, Lane>,
    /// What happened, the newest first.
    pub events: VecDeque<(DateTime<Utc>, String)>,
    /// What is known of the project beside the watch.
    pub overview: Overview,
    /// The drills so far, in the order of time.
    pub drills: Vec<DrillResult>,
}

/// What is known of one probe.
#[derive(Debug, Clone, Default)]
pub struct Lane {
    /// How many readings were well.
    pub ok: u64,
    /// How many failed.
    pub failed: u64,
    /// How many could not see.
    pub unknown: u64,
    /// How many in a row have failed up to now.
    pub streak: u64,
    /// The latest answers, the oldest first.
    pub cells: VecDeque<Cell>,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Cell {
    /// When.
    pub at: DateTime<Utc>,
    /// What it means.
    pub outcome: Outcome,
    /// How long it took, in seconds.
    pub took: f64,
    /// What was seen.
    pub note: String,
}

impl Board {
    /// A board on which nothing stands yet.
    #[must_use]
    pub fn new(project: impl Into<String>, begun: DateTime<Utc>) -> Self {
        Self {
            project: project.into(),
            begun,
            trouble: None,
            findings: 0,
            last: None,
            lanes: BTreeMap::new(),
            events: VecDeque::new(),
            overview: Overview::default(),
            drills: Vec::new(),
        }
    }

    /// Takes an answer.
    pub fn take(&mut self, reading: &Reading) {
        self.last = Some(reading.at);
        let lane = self.lanes.entry(reading.probe.clone()).or_default();
        let mut happened = None;
        match reading.outcome {
            Outcome::Ok => {
                lane.ok += 1;
                let streak = std::mem::take(&mut lane.streak);
                happened = (streak >= TOLD).then(|| format!("{} is well again after {streak} failures", reading.probe));
            }
            Outcome::Failed => {
                lane.failed += 1;
                lane.streak += 1;
                happened = (lane.streak == TOLD).then(|| format!("{} fails: {}", reading.probe, reading.note));
            }
            Outcome::Unknown => lane.unknown += 1,
        }
        lane.cells.push_back(Cell {
            at: reading.at,
            outcome: reading.outcome,
            took: reading.latency.as_secs_f64(),
            note: reading.note.clone(),
        });
        if lane.cells.len() > CELLS {
            lane.cells.pop_front();
        }
        if let Some(text) = happened {
            self.event(reading.at, text);
        }
    }

    /// Writes an event on it.
    pub fn event(&mut self, at: DateTime<Utc>, text: impl Into<String>) {
        self.events.push_front((at, text.into()));
        self.events.truncate(EVENTS);
    }
}
