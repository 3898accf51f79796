//! The board for Prometheus, in its text format.

use std::fmt::Write;

use super::board::{Board, Lane};
use guard_model::health::Outcome;

/// One kind of figure: its name, its type, what it is, and its value for a probe.
type Figure = (&'static str, &'static str, &'static str, fn(&Lane) -> Option<f64>);

#[expect(clippy::cast_precision_loss, reason = "counts of readings, far below 2^52")]
const FIGURES: &[Figure] = &[
    (
        "guard_probe_up",
        "gauge",
        "Whether the latest known answer was well.",
        |lane| {
            let mut known = lane.cells.iter().rev().filter(|cell| cell.outcome != Outcome::Unknown);
            known
                .next()
                .map(|cell| f64::from(u8::from(cell.outcome == Outcome::Ok)))
        },
    ),
    (
        "guard_probe_seen",
        "gauge",
        "Whether the latest answer was known at all.",
        |lane| {
            lane.cells
                .back()
                .map(|cell| f64::from(u8::from(cell.outcome != Outcome::Unknown)))
        },
    ),
    (
        "guard_probe_latency_seconds",
        "gauge",
        "How long the latest answer took.",
        |lane| lane.cells.back().map(|cell| cell.took),
    ),
    (
        "guard_probe_failed_in_a_row",
        "gauge",
        "How many answers in a row have failed up to now.",
        |lane| Some(lane.streak as f64),
    ),
];

/// The text. Probes' names need no escape: letters, digits, `_`, `.` and `-`.
#[must_use]
pub fn metrics(board: &Board) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        // A string takes whatever is written to it.
        let _written = writeln!(text, "{line}");
    };
    for (name, kind, about, value) in FIGURES {
        line(format!("# HELP {name} {about}\n# TYPE {name} {kind}"));
        for (probe, lane) in &board.lanes {
            if let Some(value) = value(lane) {
                line(format!("{name}{{probe=\"{probe}\"}} {value}"));
            }
        }
    }
    let name = "guard_probe_readings_total";
    line(format!(
        "# HELP {name} How many answers there were.\n# TYPE {name} counter"
    ));
    for (probe, lane) in &board.lanes {
        for (outcome, count) in [("ok", lane.ok), ("failed", lane.failed), ("unknown", lane.unknown)] {
            line(format!("{name}{{probe=\"{probe}\",outcome=\"{outcome}\"}} {count}"));
        }
    }
    line("# HELP guard_watch_well Whether production is well.\n# TYPE guard_watch_well gauge".to_owned());
    line(format!("guard_watch_well {}", u8::from(board.trouble.is_none())));
    let name = "guard_watch_findings_total";
    line(format!(
        "# HELP {name} How often it was found not well.\n# TYPE {name} counter\n{name} {}",
        board.findings
    ));
    if let Some(last) = board.last {
        let name = "guard_watch_last_reading_timestamp_seconds";
        line(format!(
            "# HELP {name} When the latest answer came.\n# TYPE {name} gauge\n{name} {}",
            last.timestamp()
        ));
    }
    text
}
