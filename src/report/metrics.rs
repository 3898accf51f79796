//! The board for Prometheus, in its text format.

use std::fmt::Write;

use super::board::{Board, Lane};
use super::drill;
use super::overview::Overview;
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
    project(&board.overview, &mut line);
    text.push_str(&drill::metrics(&board.drills));
    text
}

/// The figures of the project: of what its runs come to, which are told of those that are kept, and so are no counters.
fn project(overview: &Overview, line: &mut impl FnMut(String)) {
    let counts = &overview.counts;
    let mut gauge = |name: &str, about: &str, value: Option<i64>| {
        if let Some(value) = value {
            line(format!("# HELP {name} {about}\n# TYPE {name} gauge\n{name} {value}"));
        }
    };
    let whole = |count: u64| i64::try_from(count).ok();
    gauge(
        "guard_deployments",
        "Deployments among the runs that are kept.",
        whole(counts.deployments),
    );
    gauge(
        "guard_deployments_successful",
        "Those of them whose release stayed and was verified.",
        whole(counts.successful),
    );
    gauge(
        "guard_rollbacks_active",
        "Runs that are going back, or stopped on the way.",
        whole(counts.active_rollbacks),
    );
    gauge(
        "guard_run_in_progress",
        "Whether a run goes on.",
        Some(i64::from(overview.running.as_ref().is_some_and(|run| run.is_held))),
    );
    gauge(
        "guard_run_unfinished",
        "Whether a run was cut off and waits for guard resume.",
        Some(i64::from(overview.running.as_ref().is_some_and(|run| !run.is_held))),
    );
    let ended = overview.runs.iter().find_map(|run| Some((run.exit_code?, run.at)));
    gauge(
        "guard_last_run_exit_code",
        "The exit code of the newest run that has ended.",
        ended.map(|(code, _)| i64::from(code)),
    );
    gauge(
        "guard_last_run_timestamp_seconds",
        "When the newest run that has ended did so.",
        ended.map(|(_, at)| at.timestamp()),
    );
    gauge(
        "guard_backups",
        "Backups that are kept.",
        i64::try_from(overview.backups.len()).ok(),
    );
    gauge(
        "guard_known_good_backup_timestamp_seconds",
        "When the newest known-good backup was taken.",
        overview.known_good.map(|taken| taken.timestamp()),
    );
    let name = "guard_rollbacks";
    line(format!(
        "# HELP {name} Rollbacks among the runs that are kept.\n# TYPE {name} gauge"
    ));
    for (cause, count) in &counts.rollbacks {
        line(format!("{name}{{cause=\"{cause}\"}} {count}"));
    }
}
