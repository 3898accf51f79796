//! The board as a page: one file, no scripts, nothing fetched from anywhere; light and dark, wide and narrow.

use std::fmt::Write;

use quick_xml::escape::escape;

use super::board::{Board, Cell, Lane};
use guard_model::health::Outcome;
use guard_model::name::ProbeName;

/// The columns of a timeline, and its height, in its own units.
const WIDTH: usize = 720;
const HEIGHT: f64 = 36.0;
/// The width of one answer, with its gap, and how many there is room for.
const STEP: usize = 4;
const ROOM: usize = WIDTH / STEP;

const STYLE: &str = "\
:root{color-scheme:light dark;--text:#1f2328;--quiet:#57606a;--page:#fff;--card:#f6f8fa;--line:#d0d7de;--ok:#1a7f37;--bad:#c22a1f;--blind:#8c6d1f}\
@media(prefers-color-scheme:dark){:root{--text:#e6edf3;--quiet:#9da7b1;--page:#0d1117;--card:#161b22;--line:#30363d;--ok:#3fb950;--bad:#ff7b72;--blind:#d29922}}\
*{box-sizing:border-box}\
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:62rem;padding:1.5rem 1rem;color:var(--text);background:var(--page)}\
h1{font-size:1.4rem;margin:0 0 .75rem}h2{font-size:1.05rem;margin:2rem 0 .5rem}\
.state{margin:0 0 .5rem;padding:.7rem 1rem;border-left:.4rem solid var(--ok);border-radius:.3rem;background:var(--card);font-weight:600;overflow-wrap:anywhere}\
.state.bad{border-color:var(--bad);color:var(--bad)}\
.quiet{color:var(--quiet);font-size:.875rem;margin:.25rem 0}\
article{margin:1rem 0;padding:.75rem 1rem;border:1px solid var(--line);border-radius:.4rem}\
header{display:flex;flex-wrap:wrap;gap:.15rem 1rem;align-items:baseline}\
h3{font-size:1rem;margin:0;overflow-wrap:anywhere}\
.word{font-weight:600}.ok{color:var(--ok)}.failed{color:var(--bad)}.unknown{color:var(--blind)}\
.note{flex:1 1 12rem;color:var(--quiet);overflow-wrap:anywhere}\
dl{display:flex;flex-wrap:wrap;gap:0 1.5rem;margin:.35rem 0 .5rem;font-size:.875rem}\
dl div{display:flex;gap:.4rem}dt{color:var(--quiet)}dd{margin:0;font-variant-numeric:tabular-nums}\
svg{display:block;width:100%;height:2.25rem}\
rect.ok{fill:var(--ok)}rect.failed{fill:var(--bad)}rect.unknown{fill:var(--blind)}\
.axis{display:flex;justify-content:space-between;color:var(--quiet);font-size:.75rem;font-variant-numeric:tabular-nums}\
ul{margin:0;padding:0;list-style:none}li{padding:.2rem 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere}\
time{color:var(--quiet);font-variant-numeric:tabular-nums;margin-right:.5rem}";

/// The page. It asks to be loaded again every five seconds.
#[must_use]
pub fn page(board: &Board) -> String {
    let probes: String = board.lanes.iter().map(|(probe, lane)| article(probe, lane)).collect();
    let mut events = String::new();
    for (at, text) in &board.events {
        let time = at.format("%H:%M:%S");
        // A string takes whatever is written to it.
        let _written = write!(events, "<li><time>{time}</time>{}</li>", escape(text));
    }
    if events.is_empty() {
        events.push_str("<li class=\"quiet\">Nothing so far.</li>");
    }
    let (class, state) = match &board.trouble {
        None if board.last.is_none() => ("state", "no answer yet".to_owned()),
        None => ("state", "well".to_owned()),
        Some(trouble) => ("state bad", format!("not well: {trouble}")),
    };
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"5\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{project}: {short}</title><style>{STYLE}</style></head>\
         <body><h1>{project}</h1><p class=\"{class}\" role=\"status\">{state}</p>\
         <p class=\"quiet\">Watched since {since} UTC; the latest answer came at {last}. All times are UTC.</p>\
         <main>{probes}</main>\
         <p class=\"quiet\">One bar is one answer, the newest on the right: <span class=\"ok\">well, as high as it took long</span>, \
         <span class=\"failed\">failed, full height</span>, <span class=\"unknown\">could not be seen, half</span>.</p>\
         <h2>What happened</h2><ul>{events}</ul></body></html>\n",
        project = escape(board.project.as_str()),
        short = if board.trouble.is_none() { "well" } else { "not well" },
        state = escape(state.as_str()),
        since = board.begun.format("%Y-%m-%d %H:%M:%S"),
        last = board
            .last
            .map_or_else(|| "no time yet".to_owned(), |last| last.format("%H:%M:%S").to_string()),
    )
}

fn article(probe: &ProbeName, lane: &Lane) -> String {
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
    let figures: Vec<String> = figures
        .iter()
        .map(|(what, value)| format!("<div><dt>{what}</dt><dd>{value}</dd></div>"))
        .collect();
    let figures = figures.concat();
    let time = |cell: Option<&Cell>| {
        cell.map(|cell| cell.at.format("%H:%M:%S").to_string())
            .unwrap_or_default()
    };
    format!(
        "<article><header><h3>{probe}</h3><span class=\"word {outcome}\">{outcome}</span><span class=\"note\">{}</span></header>\
         <dl>{figures}</dl>{}<div class=\"axis\" style=\"padding-left:{}%\"><span>{}</span><span>{}</span></div></article>",
        escape(note),
        strip(probe, lane),
        // Where the timeline begins, as long as both times have room beside each other.
        (100 * (ROOM - lane.cells.len().min(ROOM)) / ROOM).min(50),
        time(lane.cells.front()),
        time(latest),
    )
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
fn strip(probe: &ProbeName, lane: &Lane) -> String {
    let slowest = lane.cells.iter().map(|cell| cell.took).fold(0.001, f64::max);
    let mut bars = String::new();
    // The newest answer is at the right edge, however few there are.
    let shown = lane.cells.len().min(ROOM);
    let cells = lane.cells.iter().skip(lane.cells.len() - shown);
    for (place, cell) in (ROOM - shown..).zip(cells) {
        let height = match cell.outcome {
            Outcome::Ok => (cell.took / slowest).mul_add(HEIGHT * 0.6, HEIGHT * 0.15),
            Outcome::Failed => HEIGHT,
            Outcome::Unknown => HEIGHT * 0.5,
        };
        let _written = write!(
            bars,
            "<rect class=\"{}\" x=\"{}\" y=\"{:.1}\" width=\"{}\" height=\"{height:.1}\"><title>{}</title></rect>",
            word(cell.outcome),
            place * STEP,
            HEIGHT - height,
            STEP - 1,
            escape(title(cell))
        );
    }
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"the latest answers of {probe}\">{bars}</svg>"
    )
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
