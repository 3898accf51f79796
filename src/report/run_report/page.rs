//! The report as a page: one file without scripts, which fetches nothing; light and dark, wide and narrow, on screen and on paper.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::charts;
use super::checklist::Checked;
use super::logs::Excerpt;
use super::markdown::frame;
use super::safe::Safe;
use super::seen::Lane;
use super::told::{RunReport, Standing};
use crate::run_view::State;
use guard_model::text;

const STYLE: &str = include_str!("page.css");

/// Nothing may be fetched, run, sent or framed: what stands in a log of somebody else's stays text.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The page.
#[must_use]
pub fn page(report: &RunReport) -> String {
    let place = match &report.environment {
        Some(environment) => format!("{}, {environment}", report.project),
        None => report.project.to_string(),
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="referrer" content="no-referrer";
                title { (place) ": " (word(report.standing)) ", " (report.run) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (head(report, &place))
                main {
                    (failure(report))
                    (next(report))
                    (glance(report))
                    (releases(report))
                    (back(report))
                    (verified(report))
                    (post_mortem(report))
                    (timeline(report))
                }
                footer { "Made by guard from the journal of the run, its readings and its logs. All times are UTC." }
            }
        }
    }
    .into_string()
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Good => "went well",
        Standing::Back => "the release was turned back",
        Standing::NeedsPerson => "a person is needed",
    }
}

fn class(standing: Standing) -> &'static str {
    match standing {
        Standing::Good => "good",
        Standing::Back => "turned",
        Standing::NeedsPerson => "person",
    }
}

fn head(report: &RunReport, place: &str) -> Markup {
    html! {
        header .(class(report.standing)) {
            p .place { (place) }
            h1 { (report.headline) }
            p .run { "Run " (report.run) }
            dl .facts {
                @for (name, value) in &report.facts {
                    div { dt { (name) } dd { (value) } }
                }
            }
        }
    }
}

/// A text with its commands, which stand in backticks, as code.
fn words(text: &str) -> Markup {
    let parts: Vec<&str> = text.split('`').collect();
    // An odd backtick is no pair.
    if parts.len().is_multiple_of(2) {
        return html! { (text) };
    }
    html! {
        @for (at, part) in parts.iter().enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn list(title: &str, lines: &[Safe]) -> Markup {
    html! {
        @if !lines.is_empty() {
            h3 { (title) }
            ul { @for said in lines { li { (words(said.as_str())) } } }
        }
    }
}

fn failure(report: &RunReport) -> Markup {
    html! {
        section aria-labelledby="why" {
            @if let Some(failed) = &report.failed {
                h2 #why { "What failed" }
                p .lead { (failed.sentence()) }
            } @else {
                h2 #why { "What happened" }
                p .lead { (report.headline) }
            }
            @if !report.why.is_empty() {
                ul .why {
                    @for why in &report.why {
                        li {
                            @for (at, part) in why.as_str().split('\n').enumerate() {
                                @if at == 0 { (words(part)) } @else { pre { (part) } }
                            }
                        }
                    }
                }
            }
            @for said in &report.excerpts { (excerpt(said)) }
            @if !report.did.is_empty() && report.failed.is_some() {
                h3 { "What guard did" }
                @for did in &report.did { p .did { (words(did.as_str())) } }
            }
        }
    }
}

fn excerpt(excerpt: &Excerpt) -> Markup {
    html! {
        figure .log {
            figcaption { "The last lines of " (excerpt.of) }
            pre tabindex="0" {
                @for (at, said) in excerpt.lines.iter().enumerate() {
                    @if excerpt.telling == Some(at) { mark { (said) } } @else { span { (said) } }
                    "\n"
                }
            }
        }
    }
}

fn next(report: &RunReport) -> Markup {
    html! {
        @if !report.next.is_empty() {
            section aria-labelledby="next" {
                h2 #next { "What to do now" }
                dl .commands {
                    @for next in &report.next {
                        dt { (next.purpose) }
                        dd { pre tabindex="0" { (next.command) } }
                    }
                }
            }
        }
    }
}

fn seconds(value: f64) -> String {
    text::duration(std::time::Duration::try_from_secs_f64(value).unwrap_or_default())
}

fn milliseconds(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value < 10.0 => format!("{:.0} ms", value * 1000.0),
        Some(value) => seconds(value),
    }
}

fn percent(ratio: f64) -> String {
    format!("{:.1} %", 100.0 * ratio)
}

/// One row of the plots: its name, its figure, and the plot between or below them.
fn row(name: &Markup, figure: &str, plot: &Markup) -> Markup {
    html! {
        div .row {
            div .name { (name) }
            div .plot { (plot) }
            div .figure { (figure) }
        }
    }
}

fn axis(report: &RunReport) -> Markup {
    html! {
        div .row.axis aria-hidden="true" {
            div .name {}
            div .plot {
                @for (at, said) in charts::ticks(report.axis.seconds) {
                    // The words of one near the end stand before it: behind it is no room.
                    span .late[at > 0.8] style=(format!("left:{:.2}%", at * 100.0)) { (said) }
                }
            }
            div .figure {}
        }
    }
}

/// The run at a glance: everything on one axis of time.
fn glance(report: &RunReport) -> Markup {
    let ran = |is_back: bool| {
        report
            .phases
            .iter()
            .filter(move |phase| phase.is_back == is_back && phase.state != State::Waiting)
    };
    let waiting: Vec<&str> = report
        .phases
        .iter()
        .filter(|phase| !phase.is_back && phase.state == State::Waiting)
        .map(|phase| phase.title)
        .collect();
    html! {
        section aria-labelledby="glance" {
            h2 #glance { "The run at a glance" }
            p .legend {
                @if report.deployed_at.is_some() { span .key.deployed { "the deploy command begins" } }
                @if report.verdict_at.is_some() { span .key.verdict { "the verdict" } }
                @if ran(true).next().is_some() { span .key.way-back { "the way back" } }
            }
            figure .plots {
                figcaption { "Phases" }
                @for phase in ran(false) {
                    (row(&html! { (phase.title) }, &took(phase.seconds), &charts::phase(report, phase)))
                }
                @for phase in ran(true) {
                    (row(&html! { span .quiet { "back: " } (phase.title) }, &took(phase.seconds), &charts::phase(report, phase)))
                }
                (axis(report))
                @if !waiting.is_empty() { p .quiet { "Not reached: " (waiting.join(", ")) "." } }
            }
            @if !report.lanes.is_empty() { (probes(report)) }
            @if let Some(share) = &report.share {
                figure .plots {
                    figcaption { "Share of failures since the release came up, of the worst probe that decides" }
                    (row(&html! { "limit " (percent(share.limit)) }, &format!("{} at most", percent(share.highest)), &charts::share(report, share)))
                    (axis(report))
                    p .legend { span .key.limit { "the limit" } span .key.curve { "share of failures; the top of the plot is " (percent(charts::top(share))) } }
                }
            }
            @if let Some(down) = &report.down {
                figure .plots {
                    figcaption { "Downtime as the probes saw it" }
                    (row(&html! { "production" }, "", &charts::downtime(report)))
                    (axis(report))
                    p { (down.sentence()) }
                    p .legend { span .key.up { "not seen down" } span .key.down { "down" } span .key.perhaps { "between the last good answer and the next" } }
                }
            }
        }
    }
}

fn took(took: Option<f64>) -> String {
    took.map_or_else(|| "not ended".to_owned(), seconds)
}

fn probes(report: &RunReport) -> Markup {
    html! {
        figure .plots.probes {
            figcaption { "Probes: how long each answer took, and what failed" }
            @for lane in &report.lanes {
                (row(&lane_name(lane), &lane_figure(lane), &charts::lane(report, lane)))
                @if let Some(note) = &lane.last_failure {
                    p .note { "last failure of " (lane.probe) ": " (note) }
                }
            }
            (axis(report))
            p .legend {
                span .key.ok { "well, as high as it took long" }
                span .key.failed { "failed, full height" }
                span .key.unknown { "could not be seen" }
                span .key.usual { "usual before the deployment" }
            }
        }
    }
}

fn lane_name(lane: &Lane) -> Markup {
    html! {
        strong { (lane.probe) }
        @if !lane.decides { span .quiet { " (only looked at)" } }
        span .small {
            "usual " (milliseconds(lane.usual)) ", since " (milliseconds(lane.since))
        }
    }
}

fn lane_figure(lane: &Lane) -> String {
    let failed = format!("{} of {} failed", text::count(lane.failures), text::count(lane.checks));
    match lane.unknown {
        0 => failed,
        unknown => format!("{failed}, {} not seen", text::count(unknown)),
    }
}

fn releases(report: &RunReport) -> Markup {
    let cell = |value: &Option<Safe>| html! { @match value { Some(value) => (words(value.as_str())), None => "–" } };
    html! {
        @if !report.changes.is_empty() || !report.services.is_empty() {
            section aria-labelledby="live" {
                h2 #live { "What was live" }
                @if !report.changes.is_empty() {
                    div .scroll tabindex="0" {
                        table {
                            thead { tr { th { "" } th { "before" } th { "after the deploy command" } th { "now" } } }
                            tbody {
                                @for change in &report.changes {
                                    tr .changed[change.changed] {
                                        th scope="row" { (change.what) @if change.changed { span .badge { "changed" } } }
                                        td data-name="before" { (cell(&change.before)) }
                                        td data-name="after the deploy command" { (cell(&change.after)) }
                                        td data-name="now" { (cell(&change.left)) }
                                    }
                                }
                            }
                        }
                    }
                }
                @if !report.services.is_empty() {
                    h3 { "Services" }
                    ul .services {
                        @for service in &report.services {
                            li {
                                (state(match service.runs { Some(true) => Checked::Well, Some(false) => Checked::NotWell, None => Checked::Open }))
                                strong { (service.name) }
                                @match service.runs { Some(true) => " runs", Some(false) => " does not run", None => " was not looked at" }
                                @if !service.how.as_str().is_empty() { " (" (service.how) ")" }
                                @if !service.done.is_empty() { span .quiet { "; " (service.done) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn back(report: &RunReport) -> Markup {
    let has_gone_back = !report.put_back.is_empty();
    html! {
        @if has_gone_back || !report.kept.is_empty() || !report.irreversible.is_empty() {
            section aria-labelledby="data" {
                h2 #data { @if has_gone_back { "What went back, and what it cost" } @else { "What was kept" } }
                (list("Put back", &report.put_back))
                @if has_gone_back {
                    (list("Lost", &report.lost))
                    @if report.lost.is_empty() { h3 { "Lost" } p { "Nothing that guard knows of." } }
                }
                (list("What stays of what came since", &report.carried))
                (list("Cannot be undone", &report.irreversible))
                (list("Kept, and where", &report.kept))
            }
        }
    }
}

/// How a point stands: by its sign, its word and its colour.
fn state(checked: Checked) -> Markup {
    let (class, sign, word) = match checked {
        Checked::Well => ("ok", "✔", "well"),
        Checked::NotWell => ("failed", "✘", "not well"),
        Checked::Open => ("open", "○", "not known"),
    };
    html! { span .sign.(class) role="img" aria-label=(word) { (sign) } }
}

fn verified(report: &RunReport) -> Markup {
    html! {
        @if !report.checklist.is_empty() {
            section aria-labelledby="verified" {
                h2 #verified { "What was verified" }
                ul .checks {
                    @for check in &report.checklist {
                        li { (state(check.checked)) span { (words(check.what.as_str())) @if !check.how.as_str().is_empty() { span .how { (words(check.how.as_str())) } } } }
                    }
                }
            }
        }
    }
}

/// The frame of a post-mortem. What is empty can be written in, in any browser, and is printed with the page.
fn post_mortem(report: &RunReport) -> Markup {
    html! {
        @if report.standing != Standing::Good {
            section .post-mortem aria-labelledby="post-mortem" {
                h2 #post-mortem { "Post-mortem, to fill in" }
                p .quiet { "The boxes can be written in here and printed; a browser does not keep them. "
                    code { (report.again) } " has the same frame as text." }
                @for (title, known, ask) in frame(report) {
                    h3 { (title) }
                    @if !known.is_empty() { ul { @for said in known { li { (words(&said)) } } } }
                    div .fill contenteditable="true" role="textbox" aria-multiline="true" aria-label=(ask) data-ask=(ask) {}
                }
                h3 { "Actions" }
                table .actions {
                    thead { tr { th { "what" } th { "who" } th { "until" } } }
                    tbody { @for _ in 0..3 { tr { @for name in ["what", "who", "until"] { td contenteditable="true" role="textbox" aria-label=(name) {} } } } }
                }
            }
        }
    }
}

fn timeline(report: &RunReport) -> Markup {
    let middle = report.timeline.len() / 2;
    html! {
        section aria-labelledby="timeline" {
            h2 #timeline { "Timeline" }
            ol .timeline {
                @for (at, said) in report.timeline.iter().enumerate() {
                    @if report.left_out > 0 && at == middle {
                        li .quiet { "… " (text::plural(report.left_out as u64, "line")) " are left out" }
                    }
                    li .(tone(said.tag)) {
                        time datetime=(said.at) { (said.at.get(11..19).unwrap_or(&said.at)) }
                        span { (words(said.text.as_str())) }
                    }
                }
            }
            @for unread in &report.unread { p .quiet { "Not in this report: " (unread) } }
        }
    }
}

fn tone(tag: &str) -> &'static str {
    match tag {
        "[ERROR]" => "error",
        "[WARN]" => "warn",
        "[STEP]" => "step",
        _ => "info",
    }
}
