//! The board as a page: one file, no scripts, nothing fetched from anywhere.

use std::fmt::Write;

use super::board::{Board, Cell, Lane};
use crate::model::health::Outcome;
use crate::model::name::ProbeName;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1a1a1a;background:#fff}\
h1{font-size:1.3rem}.state{padding:.6rem 1rem;border-radius:.4rem;color:#fff;background:#1a7f37}.state.bad{background:#b42318}\
table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}\
svg{display:block;width:100%;height:24px}.note{color:#555;font-size:.9rem}\
@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}th,td{border-color:#333}.note{color:#aaa}}";

/// The page. It asks to be loaded again every five seconds.
#[must_use]
pub fn page(board: &Board) -> String {
    let mut rows = String::new();
    for (probe, lane) in &board.lanes {
        rows.push_str(&row(probe, lane));
    }
    let mut events = String::new();
    for (at, text) in &board.events {
        // A string takes whatever is written to it.
        let _written = write!(
            events,
            "<li><time>{}</time> {}</li>",
            at.format("%H:%M:%S"),
            escaped(text)
        );
    }
    let (class, state) = match &board.trouble {
        None => ("state", "well".to_owned()),
        Some(trouble) => ("state bad", format!("not well: {trouble}")),
    };
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"5\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{project}: {short}</title><style>{STYLE}</style></head>\
         <body><h1>{project}</h1><p class=\"{class}\" role=\"status\">{state}</p>\
         <table><thead><tr><th>probe</th><th>latest</th><th>failed</th><th>in a row</th></tr></thead><tbody>{rows}</tbody></table>\
         <h2>What happened</h2><ul>{events}</ul>\
         <p class=\"note\">Watched since {since} UTC; the latest answer came at {last}.</p></body></html>\n",
        project = escaped(&board.project),
        short = if board.trouble.is_none() { "well" } else { "not well" },
        state = escaped(&state),
        since = board.begun.format("%Y-%m-%d %H:%M:%S"),
        last = board
            .last
            .map_or_else(|| "no time yet".to_owned(), |last| last.format("%H:%M:%S").to_string()),
    )
}

fn row(probe: &ProbeName, lane: &Lane) -> String {
    let latest = lane.cells.back();
    let word = latest.map_or("none yet", |cell| word(cell.outcome));
    let note = latest
        .map(|cell| format!("{} ({:.0} ms)", cell.note, cell.took * 1000.0))
        .unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let share = 100.0 * lane.failed as f64 / (lane.ok + lane.failed).max(1) as f64;
    format!(
        "<tr><th>{probe}</th><td>{word}<div class=\"note\">{}</div></td><td>{share:.1} %</td><td>{}</td></tr>\
         <tr><td colspan=\"4\">{}</td></tr>",
        escaped(&note),
        lane.streak,
        strip(probe, lane)
    )
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Failed => "failed",
        Outcome::Unknown => "unknown",
    }
}

/// The timeline: one bar an answer, the newest on the right; a failure is told by height as well as by colour.
fn strip(probe: &ProbeName, lane: &Lane) -> String {
    let mut bars = String::new();
    for (place, cell) in lane.cells.iter().enumerate() {
        let (colour, top) = match cell.outcome {
            Outcome::Ok => ("#1a7f37", 12),
            Outcome::Failed => ("#b42318", 0),
            Outcome::Unknown => ("#888", 18),
        };
        let _written = write!(
            bars,
            "<rect x=\"{}\" y=\"{top}\" width=\"3\" height=\"{}\" fill=\"{colour}\"><title>{}</title></rect>",
            place * 4,
            24 - top,
            escaped(&title(cell))
        );
    }
    format!(
        "<svg viewBox=\"0 0 720 24\" preserveAspectRatio=\"xMinYMid meet\" role=\"img\" aria-label=\"the latest answers of {probe}\">{bars}</svg>"
    )
}

fn title(cell: &Cell) -> String {
    format!("{} {}: {}", cell.at.format("%H:%M:%S"), word(cell.outcome), cell.note)
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
        escaped
    })
}
