//! The project's page: the watch, the run that goes on, backups and history. Nothing is fetched from anywhere else; light and
//! dark, wide and narrow. It is whole without scripts; with them, what changes is put in place as it comes.

use std::time::Duration;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::board::{Board, Cell, Lane};
use super::overview::{Overview, Phase, RunningRun};
use guard_model::drill::DrillResult;
use guard_model::health::Outcome;
use guard_model::name::ProbeName;
use guard_model::text;

/// The columns of a timeline, and its height, in its own units.
const WIDTH: usize = 720;
const HEIGHT: f64 = 36.0;
/// The width of one answer, with its gap, and how many there is room for.
const STEP: usize = 4;
const ROOM: usize = WIDTH / STEP;
/// So many backups and runs are shown.
const ROWS: usize = 12;

const STYLE: &str = include_str!("page.css");

/// Puts what comes by [`EVENTS`] in place. Without it the page asks to be loaded again every five seconds.
pub const SCRIPT: &str =
    "new EventSource('/events').onmessage = event => { document.querySelector('main').innerHTML = event.data; };\n";
/// Where the script is asked for.
pub const SCRIPT_PATH: &str = "/live.js";
/// Where the events are asked for.
pub const EVENTS: &str = "/events";

/// The page.
#[must_use]
pub fn page(board: &Board) -> String {
    let short = if board.trouble.is_none() { "well" } else { "not well" };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                noscript { meta http-equiv="refresh" content="5"; }
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (board.project) ": " (short) }
                style { (PreEscaped(STYLE)) }
                script src=(SCRIPT_PATH) defer {}
            }
            body { main { (PreEscaped(live(board))) } }
        }
    }
    .into_string()
}

/// What changes on the page: all of it.
#[must_use]
pub fn live(board: &Board) -> String {
    let (class, state) = match &board.trouble {
        None if board.last.is_none() => ("state", "no answer yet".to_owned()),
        None => ("state", "well".to_owned()),
        Some(trouble) => ("state bad", format!("not well: {trouble}")),
    };
    let last = board
        .last
        .map_or_else(|| "no time yet".to_owned(), |last| last.format("%H:%M:%S").to_string());
    html! {
        h1 { (board.project) }
        p class=(class) role="status" { (state) }
        p.quiet {
            "Watched since " (board.begun.format("%Y-%m-%d %H:%M:%S")) " UTC; the latest answer came at " (last) ". All times are UTC."
        }
        (stands(&board.overview))
        @for (probe, lane) in &board.lanes { (article(probe, lane)) }
        p.quiet {
            "One bar is one answer, the newest on the right: " span.ok { "well, as high as it took long" } ", "
            span.failed { "failed, full height" } ", " span.unknown { "could not be seen, half" } "."
        }
        h2 { "What happened" }
        ul {
            @for (at, text) in &board.events { li { time { (at.format("%H:%M:%S")) } (text) } }
            @if board.events.is_empty() { li.quiet { "Nothing so far." } }
        }
        (backups(&board.overview))
        (runs(&board.overview))
        (drills(&board.drills))
    }
    .into_string()
}

/// What is live, the run that goes on, and what is worth doing.
fn stands(overview: &Overview) -> Markup {
    html! {
        @if !overview.live.is_empty() { p { "Live: " (overview.live) } }
        @if let Some(run) = &overview.running { (running(run)) }
        @if !overview.advice.is_empty() {
            h2 { "Worth doing" }
            ul { @for (what, todo) in &overview.advice { li { (what) ": " code { (todo) } } } }
        }
    }
}

fn running(run: &RunningRun) -> Markup {
    let phase = |phase: &Phase| {
        let state = phase.state.as_str();
        html! {
            tr {
                td { (if phase.is_back { "back" } else { "ahead" }) }
                td { (phase.title) }
                td class=(state) { (state) }
                td { @if let Some(took) = phase.took { (text::duration(took)) } }
            }
        }
    };
    html! {
        h2 { (run.name) }
        @if !run.is_held { p.failed { "It was cut off: " code { "guard resume" } " finishes it." } }
        div.wide { table {
            tr { th { "direction" } th { "phase" } th { "state" } th { "took" } }
            @for one in &run.phases { (phase(one)) }
        } }
        @if !run.tail.is_empty() { pre { @for line in &run.tail { (line) "\n" } } }
    }
}

fn backups(overview: &Overview) -> Markup {
    html! {
        @if !overview.backups.is_empty() {
            h2 { "Backups" }
            div.wide { table {
                tr { th { "backup" } th { "state" } th { "live then" } th { "holds" } th { "size" } }
                @for backup in overview.backups.iter().take(ROWS) {
                    tr { td { (backup.name) } td { (backup.state) } td { (backup.live_then) } td { (backup.holds) } td { (text::bytes(backup.bytes)) } }
                }
            } }
            @if overview.backups.len() > ROWS { p.quiet { (overview.backups.len() - ROWS) " older ones: " code { "guard list" } } }
        }
    }
}

fn runs(overview: &Overview) -> Markup {
    html! {
        @if !overview.runs.is_empty() {
            h2 { "Runs" }
            div.wide { table {
                tr { th { "run" } th { "ended" } th { "code" } th { "took" } }
                @for run in overview.runs.iter().take(ROWS) {
                    tr { td { (run.name) } td { (run.ended) } td { @if let Some(code) = run.exit_code { (code) } } td { (text::duration(run.took)) } }
                }
            } }
        }
    }
}

fn drills(drills: &[DrillResult]) -> Markup {
    let seconds = |seconds: f64| text::duration(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default());
    html! {
        @if !drills.is_empty() {
            h2 { "Drills" }
            div.wide { table {
                tr { th { "run" } th { "fault" } th { "passed" } th { "RTO" } th { "rows and files lost" } }
                @for drill in drills.iter().rev().take(ROWS) {
                    tr {
                        td { (drill.run) }
                        td { (drill.fault) }
                        td class=(if drill.passed { "ok" } else { "failed" }) { (if drill.passed { "yes" } else { "no" }) }
                        td { @if let Some(rto) = drill.rto { (seconds(rto)) } }
                        td { (drill.lost) }
                    }
                }
            } }
        }
    }
}

fn article(probe: &ProbeName, lane: &Lane) -> Markup {
    let latest = lane.cells.back();
    let outcome = latest.map_or("none yet", |cell| word(cell.outcome));
    let note = latest.map(|cell| cell.note.as_str()).unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let share = 100.0 * lane.failed as f64 / (lane.ok + lane.failed).max(1) as f64;
    let took = median(lane).map_or_else(|| "-".to_owned(), |seconds| format!("{:.0} ms", seconds * 1000.0));
    let figures = [
        ("failed", format!("{share:.1} %")),
        ("failed in a row", lane.streak.to_string()),
        ("takes", took),
        ("answers", (lane.ok + lane.failed).to_string()),
        ("not seen", lane.unknown.to_string()),
    ];
    let time = |cell: Option<&Cell>| {
        cell.map(|cell| cell.at.format("%H:%M:%S").to_string())
            .unwrap_or_default()
    };
    // Where the timeline begins, as long as both times have room beside each other.
    let begins = (100 * (ROOM - lane.cells.len().min(ROOM)) / ROOM).min(50);
    html! {
        article {
            header { h3 { (probe) } span class={ "word " (outcome) } { (outcome) } span.note { (note) } }
            dl { @for (what, value) in &figures { div { dt { (what) } dd { (value) } } } }
            (strip(probe, lane))
            div.axis style={ "padding-left:" (begins) "%" } { span { (time(lane.cells.front())) } span { (time(latest)) } }
        }
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Failed => "failed",
        Outcome::Unknown => "unknown",
    }
}

/// The median time of the good answers that are shown, in seconds.
fn median(lane: &Lane) -> Option<f64> {
    let good = lane.cells.iter().filter(|cell| cell.outcome == Outcome::Ok);
    let mut spans: Vec<f64> = good.map(|cell| cell.took).collect();
    spans.sort_by(f64::total_cmp);
    spans.get(spans.len() / 2).copied()
}

/// The timeline: what an answer was is told by its height as well as by its colour.
fn strip(probe: &ProbeName, lane: &Lane) -> Markup {
    let slowest = lane.cells.iter().map(|cell| cell.took).fold(0.001, f64::max);
    // The newest answer is at the right edge, however few there are.
    let shown = lane.cells.len().min(ROOM);
    let cells = lane.cells.iter().skip(lane.cells.len() - shown);
    let height = |cell: &Cell| match cell.outcome {
        Outcome::Ok => (cell.took / slowest).mul_add(HEIGHT * 0.6, HEIGHT * 0.15),
        Outcome::Failed => HEIGHT,
        Outcome::Unknown => HEIGHT * 0.5,
    };
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label={ "the latest answers of " (probe) } {
            @for (place, cell) in (ROOM - shown..).zip(cells) {
                rect class=(word(cell.outcome)) x=(place * STEP) y=(format!("{:.1}", HEIGHT - height(cell))) width=(STEP - 1)
                    height=(format!("{:.1}", height(cell))) { title { (title(cell)) } }
            }
        }
    }
}

fn title(cell: &Cell) -> String {
    let took = cell.took * 1000.0;
    format!(
        "{} {}: {} ({took:.0} ms)",
        cell.at.format("%H:%M:%S"),
        word(cell.outcome),
        cell.note
    )
}
