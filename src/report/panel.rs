//! The panel of the live display as lines of text: pure, cut to the width, so that it can be read in a test.

use std::collections::VecDeque;
use std::time::Duration;

use console::measure_text_width;

pub use super::brush::Brush;
use super::brush::Shade;
use super::outputs::counts;
use super::pace::{Work, speed, whole};
pub use super::strip::Strip;
use super::strip::{NAME_HEAD, has_columns, head, rows_of};
use guard_model::health::Tally;
use guard_model::text;

/// What the panel shows.
#[derive(Debug, Clone, Default)]
pub struct Panel {
    /// The stage that runs: `Step 4: deploy`, and for how long.
    pub stage: Option<(String, Duration)>,
    /// Long work under way.
    pub works: Vec<Work>,
    /// Seconds since the window began, seconds in all, the counts.
    pub watch: Option<(f64, f64, Tally)>,
    /// Seconds since guard began to wait for the release to come up, seconds that it may take.
    pub gate: Option<(f64, f64)>,
    /// What it waits for then, in words.
    pub waits_for: Option<String>,
    /// The probes that answered in this stage.
    pub strips: Vec<Strip>,
    /// What happened to them last, the newest at the end.
    pub events: VecDeque<String>,
    /// What the keys do, or a question about it.
    pub keys: Option<String>,
}

/// So many of the last events are shown.
const EVENTS: usize = 3;

impl Panel {
    /// Notes that something happened to a probe; the oldest is forgotten.
    pub fn happened(&mut self, event: String) {
        self.events.push_back(event);
        if self.events.len() > EVENTS {
            self.events.pop_front();
        }
    }

    /// The lines of the panel, at most `rows` of them, none as wide as `columns`: a full line would wrap.
    #[must_use]
    pub fn lines(&self, columns: usize, rows: usize, brush: Brush) -> Vec<String> {
        let width = columns.saturating_sub(1).max(1);
        let mut lines = Vec::new();
        if let Some((title, elapsed)) = &self.stage {
            let head = if brush.unicode { "▸" } else { ">" };
            lines.push(format!(
                "{head} {} {}",
                brush.paint(Shade::Bold, title),
                whole(*elapsed)
            ));
        }
        lines.extend(self.works.iter().map(|work| work_line(work, width, brush)));
        if let Some((elapsed, limit)) = &self.gate {
            lines.push(countdown(*elapsed, *limit, "left to come up", width, brush));
            lines.extend(self.waits_for.as_ref().map(|what| format!("  waits for {what}")));
        }
        if let Some((elapsed, window, tally)) = &self.watch {
            lines.push(countdown(*elapsed, *window, "left", width, brush));
            lines.push(format!("  {}", counts(tally)));
        }
        let names = self
            .strips
            .iter()
            .map(|strip| measure_text_width(&strip.name))
            .max()
            .unwrap_or_default();
        let columns = has_columns(&self.strips, width);
        // Below a head, no name is so short that the head has no room.
        let least = if columns { NAME_HEAD.len() } else { 1 };
        let names = names.max(least).min(width / 4).max(1);
        lines.extend(head(&self.strips, names, width, brush));
        let rows_of = |strip| rows_of(strip, names, width, columns, brush);
        lines.extend(self.strips.iter().flat_map(rows_of));
        // The keys are seen as long as anything is.
        let keys = self
            .keys
            .as_ref()
            .map(|keys| format!("  {}", brush.paint(Shade::Bold, keys)));
        let rows = rows.saturating_sub(usize::from(keys.is_some()));
        let room = rows.saturating_sub(lines.len()).min(self.events.len());
        let latest = self.events.iter().skip(self.events.len() - room);
        lines.extend(latest.map(|event| brush.paint(Shade::Dim, &format!("  {event}"))));
        if lines.len() > rows {
            let hidden = lines.len() + 1 - rows.max(1);
            lines.truncate(rows.saturating_sub(1));
            lines.push(format!("  and {hidden} more"));
        }
        lines.extend(keys);
        lines.iter().map(|line| brush.cut(line, width)).collect()
    }
}

/// How much of a time is over.
fn countdown(elapsed: f64, of: f64, until: &str, width: usize, brush: Brush) -> String {
    let left = whole(Duration::try_from_secs_f64(of - elapsed).unwrap_or_default());
    let tail = format!("{elapsed:.0}s / {of:.0}s, {left} {until}");
    let share = if of > 0.0 { elapsed / of } else { 1.0 };
    with_bar("", share, &tail, width, brush)
}

/// A bar between a name and a tail, as wide as there is room, and left out where there is none.
fn with_bar(name: &str, share: f64, tail: &str, width: usize, brush: Brush) -> String {
    let gap = if name.is_empty() { "" } else { " " };
    let taken = 2 + measure_text_width(name) + gap.len() + 1 + measure_text_width(tail);
    match width.checked_sub(taken).filter(|room| *room >= 4) {
        Some(room) => format!("  {name}{gap}{} {tail}", brush.bar(share, room.min(40))),
        None => format!("  {name}{gap}{tail}"),
    }
}

/// A line about long work: bar, bytes, speed and what is left, of which a narrow line has the most important.
fn work_line(work: &Work, width: usize, brush: Brush) -> String {
    let name = brush.cut(&work.what, (width / 3).max(8));
    let left = work.left().map(|left| format!("{} left", whole(left)));
    let rate = work.speed().map(speed);
    let total = work.total.filter(|total| *total >= work.done);
    let amount = match total {
        Some(total) => format!("{} / {}", text::bytes(work.done), text::bytes(total)),
        None => text::bytes(work.done),
    };
    let percent = total.and(work.share()).map(|share| format!("{:.0}%", share * 100.0));
    let join = |parts: [Option<&String>; 3]| parts.into_iter().flatten().cloned().collect::<Vec<_>>().join(", ");
    let tails = [
        join([Some(&amount), rate.as_ref(), left.as_ref()]),
        join([percent.as_ref().or(Some(&amount)), rate.as_ref(), left.as_ref()]),
        join([percent.as_ref().or(Some(&amount)), left.as_ref(), None]),
        percent.unwrap_or_else(|| amount.clone()),
    ];
    let room = width.saturating_sub(measure_text_width(&name) + 4 + 6);
    let tail = tails
        .iter()
        .find(|tail| measure_text_width(tail) <= room)
        .unwrap_or(&tails[3]);
    match total.and(work.share()) {
        Some(share) => with_bar(&name, share, tail, width, brush),
        None => format!("  {name} {tail}"),
    }
}
