//! The plots: SVG of shapes alone, stretched to the width that there is; what is to be read stands beside it as text.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::phases::Phase;
use super::seen::{Column, Lane, ShareCurve};
use super::told::RunReport;
use crate::run_view::State;
use guard_model::health::Outcome;

/// The width of a plot in its own units; the page stretches it.
pub(super) const WIDTH: f64 = 1000.0;
/// The height of a probe's strip.
const STRIP: f64 = 48.0;
/// The height of the share's curve.
const SHARE: f64 = 80.0;
/// The height of a phase's bar.
const BAR: f64 = 14.0;
/// A phase of no time is seen all the same: so wide at least.
const THINNEST: f64 = 3.0;
/// A lane of fewer columns has them drawn wider.
const LEAST_SEEN: usize = 20;
/// The share of a strip's height that good answers may take: failures alone reach its top.
const GOOD: f64 = 0.8;

/// A plot of this height, with the moments that concern all of them.
fn plot(report: &RunReport, height: f64, label: &str, shapes: &Markup) -> Markup {
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height}")) preserveAspectRatio="none" role="img" aria-label=(label)
            style=(format!("height:{height}px") ) {
            @if let Some(back) = report.verdict_at.filter(|_| report.phases.iter().any(|phase| phase.is_back && phase.state != State::Waiting)) {
                rect .way-back x=(x(back)) y="0" width=(x(1.0 - back)) height=(height) {}
            }
            (shapes)
            @if let Some(at) = report.deployed_at { (upright(at, height, "deployed")) }
            @if let Some(at) = report.verdict_at { (upright(at, height, "verdict")) }
        }
    }
}

fn upright(at: f64, height: f64, class: &str) -> Markup {
    html! { line class=(class) x1=(x(at)) x2=(x(at)) y1="0" y2=(height) vector-effect="non-scaling-stroke" {} }
}

/// A place on the axis in the plot's units.
fn x(place: f64) -> String {
    short(place * WIDTH)
}

/// A number with one decimal, and none where it would be 0.
fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// One phase as a bar; nothing where it never began.
pub(super) fn phase(report: &RunReport, phase: &Phase) -> Markup {
    let (Some(from), Some(to)) = (phase.from, phase.to) else {
        return html! {};
    };
    let width = ((to - from) * WIDTH).max(THINNEST);
    // A bar at the end of the axis stays on it.
    let from = (from * WIDTH).min(WIDTH - width);
    let class = match (phase.state, phase.is_back) {
        (State::Failed, _) => "bar failed",
        (_, true) => "bar back",
        (_, false) => "bar ahead",
    };
    let bar = html! { rect class=(class) x=(short(from)) y="2" width=(short(width)) height=(BAR - 4.0) {} };
    plot(report, BAR, phase.title, &bar)
}

/// What one probe saw: a column for each stretch of time, as high as its answers took long, and full where one failed.
#[expect(clippy::cast_precision_loss, reason = "columns: a few hundred")]
pub(super) fn lane(report: &RunReport, lane: &Lane) -> Markup {
    let of = |outcome: Outcome| {
        let mut path = String::new();
        for column in lane.columns.iter().filter(|column| column.outcome == outcome) {
            let height = height(lane, column);
            // Where they are few they may be wider than the time that they stand for: a hair is overlooked.
            let least = (WIDTH * 0.4 / LEAST_SEEN.max(lane.columns.len()) as f64).min(8.0);
            let width = (column.width * WIDTH * 0.86).max(least);
            // A string takes whatever is written to it.
            let _infallible = write!(
                path,
                "M{} {STRIP}v-{}h{}v{}z",
                x(column.from),
                short(height),
                short(width),
                short(height)
            );
        }
        path
    };
    let usual = lane
        .usual
        .map(|usual| STRIP * (1.0 - GOOD * (usual / lane.scale).min(1.0)));
    let shapes = html! {
        @for (class, outcome) in [("ok", Outcome::Ok), ("unknown", Outcome::Unknown), ("failed", Outcome::Failed)] {
            @let path = of(outcome);
            @if !path.is_empty() { path class=(class) d=(path) {} }
        }
        @if let Some(usual) = usual {
            line .usual x1="0" x2=(WIDTH) y1=(short(usual)) y2=(short(usual)) vector-effect="non-scaling-stroke" {}
        }
    };
    plot(report, STRIP, &format!("the answers of {}", lane.probe), &shapes)
}

fn height(lane: &Lane, column: &Column) -> f64 {
    match column.outcome {
        Outcome::Ok => STRIP * GOOD * (column.took / lane.scale).clamp(0.06, 1.0),
        Outcome::Unknown => STRIP * 0.5,
        Outcome::Failed => STRIP,
    }
}

/// The ratio at the top of the share's plot.
pub(super) fn top(share: &ShareCurve) -> f64 {
    (share.limit * 2.0).max(share.highest * 1.1).min(1.0)
}

/// The share of failures as it grew, with the limit.
pub(super) fn share(report: &RunReport, share: &ShareCurve) -> Markup {
    let y = |ratio: f64| short(SHARE * (1.0 - (ratio / top(share)).min(1.0)));
    let mut line = String::new();
    let mut last = 0.0;
    for (at, (place, ratio)) in share.points.iter().enumerate() {
        let verb = if at == 0 { 'M' } else { 'L' };
        let _infallible = write!(line, "{verb}{} {}", x(*place), y(*ratio));
        last = *place;
    }
    let first = share.points.first().map_or(0.0, |(place, _)| *place);
    let area = format!("{line}L{} {SHARE}L{} {SHARE}z", x(last), x(first));
    let shapes = html! {
        path .area d=(area) {}
        path .curve d=(line) vector-effect="non-scaling-stroke" {}
        line .limit x1="0" x2=(WIDTH) y1=(y(share.limit)) y2=(y(share.limit)) vector-effect="non-scaling-stroke" {}
    };
    plot(report, SHARE, "the share of failures and its limit", &shapes)
}

/// When production was down: for certain, and at most.
pub(super) fn downtime(report: &RunReport) -> Markup {
    let outages = report.downtime.iter().flat_map(|downtime| &downtime.outages);
    let place = |at| report.axis.place(at);
    let shapes = html! {
        rect .up x="0" y="2" width=(WIDTH) height=(BAR - 4.0) {}
        @for outage in outages {
            @let (from, to) = (place(outage.earliest), outage.latest.map_or(1.0, place));
            rect .perhaps x=(x(from)) y="2" width=(short(((to - from) * WIDTH).max(THINNEST))) height=(BAR - 4.0) {}
            @let (from, to) = (place(outage.from), place(outage.to));
            rect .down x=(x(from)) y="2" width=(short(((to - from) * WIDTH).max(THINNEST))) height=(BAR - 4.0) {}
        }
    };
    plot(report, BAR, "the times in which production was seen down", &shapes)
}

/// The times below the plots: their places on the axis, 0 to 1, and what they say.
pub(super) fn ticks(seconds: f64) -> Vec<(f64, String)> {
    let steps = [
        0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0,
        14_400.0, 43_200.0, 86_400.0,
    ];
    let step = steps
        .into_iter()
        .find(|step| seconds / step <= 5.0)
        .unwrap_or(seconds / 4.0);
    let mut ticks = Vec::new();
    let mut at = 0.0;
    // The last one has room for its words only where it is not at the very end.
    while at <= seconds * 0.96 {
        let said = if at < step / 2.0 {
            "0".to_owned()
        } else if step < 1.0 {
            format!("{at:.1} s")
        } else {
            guard_model::text::duration(std::time::Duration::try_from_secs_f64(at).unwrap_or_default())
                .replace(".0 s", " s")
        };
        ticks.push((at / seconds, said));
        at += step;
    }
    ticks
}
