//! The lane of one probe in the panel: its latest answers as cells, its streak, its share with the limit, its latency.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use console::{Alignment, measure_text_width, pad_str};

use super::brush::{Brush, Shade};
use guard_model::health::{Outcome, Reading, Tally};
use guard_model::standing::Standing;
use guard_model::text;

/// What stands above the names of the probes.
pub(super) const NAME_HEAD: &str = "probe";
/// The widest strip that is remembered, in cells.
const CELLS: usize = 400;
/// From so many columns on there is room for the limit and the latency beside the cells.
const WIDE: usize = 72;
/// Below so many columns there is room for the streak only.
const NARROW: usize = 60;
/// The columns of the streak, the share and the latency, in a wide panel.
const STREAK: usize = 11;
const SHARE: usize = 9;
const LATENCY: usize = 12;

/// The recent answers of one probe.
#[derive(Debug, Clone)]
pub struct Strip {
    /// The probe.
    pub name: String,
    /// How the rule sees it, where it decides.
    pub standing: Option<Standing>,
    cells: VecDeque<Outcome>,
    known: u64,
    failed: u64,
    streak: u64,
    /// When it began to fail, while it does.
    down: Option<DateTime<Utc>>,
}

impl Strip {
    /// A probe that has not answered yet.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            standing: None,
            cells: VecDeque::new(),
            known: 0,
            failed: 0,
            streak: 0,
            down: None,
        }
    }

    /// Takes an answer. Unknown ones neither end a streak nor lengthen it.
    pub fn push(&mut self, outcome: Outcome) {
        if outcome != Outcome::Unknown {
            let same = self.last() == Some(outcome);
            self.streak = if same { self.streak + 1 } else { 1 };
            self.known += 1;
            self.failed += u64::from(outcome == Outcome::Failed);
        }
        self.cells.push_back(outcome);
        if self.cells.len() > CELLS {
            self.cells.pop_front();
        }
    }

    /// Takes a reading; what it changes, in words: a probe began to fail, or is well again.
    pub fn take(&mut self, reading: &Reading) -> Option<String> {
        let (before, was_blind) = (self.last(), self.cells.back() == Some(&Outcome::Unknown));
        self.push(reading.outcome);
        let at = reading.at.format("%H:%M:%S");
        match reading.outcome {
            Outcome::Failed if before != Some(Outcome::Failed) => {
                self.down = Some(reading.at);
                Some(format!("{at} {}: {}", self.name, reading.note))
            }
            Outcome::Ok if before == Some(Outcome::Failed) => {
                let lasted = (reading.at - self.down.take()?).to_std().unwrap_or_default();
                Some(format!(
                    "{at} {} is well again after {}",
                    self.name,
                    text::duration(lasted)
                ))
            }
            Outcome::Unknown if !was_blind => Some(format!("{at} {} cannot be seen: {}", self.name, reading.note)),
            _ => None,
        }
    }

    /// The last answer that was known.
    fn last(&self) -> Option<Outcome> {
        let known = |outcome: &&Outcome| **outcome != Outcome::Unknown;
        self.cells.iter().rev().find(known).copied()
    }

    /// `failed x2`.
    fn streak(&self) -> String {
        match self.last() {
            Some(Outcome::Ok) => format!("ok x{}", self.streak),
            Some(Outcome::Failed) => format!("failed x{}", self.streak),
            _ => "no answer".to_owned(),
        }
    }

    /// The share of failures in percent.
    fn percent(&self) -> f64 {
        let tally = Tally {
            checks: self.known,
            failures: self.failed,
            ..Tally::default()
        };
        tally.rate() * 100.0
    }

    /// `failed x2 8.3%`: the streak and the share of failures, in columns with its limit and the latency; where there is
    /// little room, the streak alone.
    fn tail(&self, width: usize, has_columns: bool) -> String {
        if !has_columns {
            return match self.last() {
                Some(_) if width >= NARROW => format!("{} {:.1}%", self.streak(), self.percent()),
                _ => self.streak(),
            };
        }
        let (share, latency) = match &self.standing {
            Some(standing) => (share(standing), latency(standing)),
            None => (format!("{:.1}%", self.percent()), "-".to_owned()),
        };
        format!(
            "{} {} {}",
            pad_str(&self.streak(), STREAK, Alignment::Left, None),
            pad_str(&share, SHARE, Alignment::Right, None),
            pad_str(&latency, LATENCY, Alignment::Right, None),
        )
    }
}

/// `8.3/10%`: the share of failures and its limit.
fn share(standing: &Standing) -> String {
    format!("{:.1}/{:.0}%", standing.share() * 100.0, standing.limit * 100.0)
}

/// `23/20 ms`: how long answers take, and took before.
fn latency(standing: &Standing) -> String {
    let Some(now) = standing.latency else {
        return "-".to_owned();
    };
    let whole = |seconds: f64, unit: f64| format!("{:.0}", seconds / unit);
    let greatest = standing.usual.unwrap_or(now).max(now);
    let (unit, name) = if greatest < 10.0 { (0.001, "ms") } else { (1.0, "s") };
    match standing.usual {
        Some(usual) => format!("{}/{} {name}", whole(now, unit), whole(usual, unit)),
        None => format!("{} {name}", whole(now, unit)),
    }
}

/// Whether there is room, and use, for columns.
pub(super) fn has_columns(strips: &[Strip], width: usize) -> bool {
    width >= WIDE && strips.iter().any(|strip| strip.standing.is_some())
}

/// The heads of the columns, where there are any.
pub(super) fn head(strips: &[Strip], names: usize, width: usize, brush: Brush) -> Option<String> {
    let tail = format!(
        "{:<STREAK$} {:>SHARE$} {:>LATENCY$}",
        "in a row", "failed", "now/before"
    );
    let room = width.saturating_sub(2 + names + 1 + 1 + measure_text_width(&tail));
    has_columns(strips, width).then(|| {
        let text = format!(
            "  {} {} {tail}",
            pad_str(NAME_HEAD, names, Alignment::Left, Some("")),
            pad_str("answers", room, Alignment::Left, Some(""))
        );
        brush.paint(Shade::Dim, &text)
    })
}

/// The lines of one probe: one, and where there is little room a second one with what has none in the first.
pub(super) fn rows_of(strip: &Strip, names: usize, width: usize, has_columns: bool, brush: Brush) -> Vec<String> {
    let name = brush.cut(&strip.name, names);
    let name = pad_str(&name, names, Alignment::Left, None);
    let tail = strip.tail(width, has_columns);
    // The tail has a fixed place, so that the strip does not jump when a number grows.
    let least = if width < NARROW { 10 } else { 19 };
    let tail_width = measure_text_width(&tail).max(least).min(width / 2);
    let room = width.saturating_sub(2 + names + 1 + 1 + tail_width);
    let shown = strip.cells.len().min(room);
    let cells: String = strip
        .cells
        .iter()
        .skip(strip.cells.len() - shown)
        .map(|outcome| brush.cell(*outcome))
        .collect();
    let tail = match strip.last() {
        Some(Outcome::Failed) => brush.paint(Shade::Red, &tail),
        _ => tail,
    };
    let mut lines = vec![format!("  {name} {cells}{} {tail}", " ".repeat(room - shown))];
    if let Some(standing) = strip.standing.as_ref().filter(|_| width < WIDE) {
        let text = format!("    failed {}, takes {}", share(standing), latency(standing));
        lines.push(brush.paint(Shade::Dim, &text));
    }
    lines
}
