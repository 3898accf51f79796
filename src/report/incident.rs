//! The incident report of a run that failed, in Markdown, made from its records and readings alone.

use std::fmt::Write as _;

use super::closing::{Closing, reason};
use super::failure::{Account, Next};
use super::line::Tone;
use super::moment::{moment, span};
use super::readings;
use super::run_view::RunView;
use super::sink::safe_lines;
use super::words::Narrator;
use guard_model::artifact::Work;
use guard_model::fact::{Record, RollbackCause};
use guard_model::health::Reading;
use guard_model::name::ResourceName;
use guard_model::now::Now;
use guard_model::secret::Redaction;
use guard_model::text;

/// The incident report of a run. Foreign texts are redacted and made safe to show in a terminal; `program` is how guard is
/// called, for the next command.
#[must_use]
pub fn incident(records: &[Record], readings: &[Reading], redaction: &Redaction, program: &str) -> String {
    let view = RunView::of(records);
    let mut text = String::new();
    head(&mut text, &view, program);
    found(&mut text, &view, readings);
    section(
        &mut text,
        "What was put back",
        &put_back(&view),
        "Nothing was put back.",
    );
    section(
        &mut text,
        "What was lost",
        &lost(&view, program),
        "Nothing that guard knows of.",
    );
    section(
        &mut text,
        "What cannot be undone",
        &view.deployed.irreversible,
        "The deploy command announced nothing of that kind.",
    );
    section(
        &mut text,
        "What was kept, and where",
        &kept(&view),
        "No failed state was put aside.",
    );
    let probes = readings::summary(readings);
    section(&mut text, "What the probes saw", &probes, "No probe was asked.");
    timeline(&mut text, records, program);
    safe_lines(&text, redaction).join("\n") + "\n"
}

fn head(text: &mut String, view: &RunView, program: &str) {
    let run = view
        .opened
        .as_ref()
        .map_or_else(|| "without a name".to_owned(), |opened| opened.run.to_string());
    let _infallible = writeln!(text, "# Run {run}\n");
    let Some((ending, _)) = view.ended else {
        let account = Account {
            failed: "The run has no end: it was cut off, or is still at work".to_owned(),
            why: Vec::new(),
            did: vec!["Production is mixed, resumable.".to_owned()],
            next: Some(Next::new("to continue", format!("{program} resume"))),
        };
        text.push_str(&account.markdown());
        return;
    };
    let closing = Closing::of(view, ending, program);
    let mut account = closing.account(view, ending);
    account.did.extend(view.now.iter().flat_map(Now::sentences));
    account.did.push(format!(
        "Production is {} (exit code {}).",
        closing.production,
        closing.code.number()
    ));
    text.push_str(&account.markdown());
}

fn found(text: &mut String, view: &RunView, readings: &[Reading]) {
    let mut lines = Vec::new();
    if let Some(opened) = &view.opened {
        lines.push(format!(
            "begun: {} by {} on {}",
            moment(opened.at),
            opened.actor.user,
            opened.actor.host
        ));
    }
    if let Some(actor) = &view.finisher {
        lines.push(if actor.watcher {
            format!(
                "finished: by its watcher (pid {} on {}), since guard was gone",
                actor.pid, actor.host
            )
        } else {
            format!("finished: by {} on {}, with `guard resume`", actor.user, actor.host)
        });
    }
    if let Some((turn, at)) = view.turned.filter(|(turn, _)| *turn != RollbackCause::Asked) {
        lines.push(format!("found: {} ({})", moment(at), reason(turn)));
        if let Some(first) = readings::first_failure(readings, at) {
            let late = text::duration(span(first.at, at));
            lines.push(format!(
                "first sign: {} ({}: {}), {late} before",
                moment(first.at),
                first.probe,
                first.note
            ));
        }
    }
    if let (Some((_, turned)), Some((ending, at))) = (view.turned, view.ended) {
        let verb = if ending.turn().is_some() { "over" } else { "closed" };
        lines.push(format!(
            "{verb}: {}, {} after it was found",
            moment(at),
            text::duration(span(turned, at))
        ));
    }
    section(text, "When", &lines, "The records say no times.");
}

fn put_back(view: &RunView) -> Vec<String> {
    let done: Vec<&str> = view
        .displaced
        .iter()
        .map(|displaced| displaced.resource.as_str())
        .collect();
    let sentence = |prepared: &guard_model::artifact::Prepared| {
        let name = &prepared.resource;
        match &prepared.work {
            Work::Unchanged => format!("{name}: was as before, and was not touched"),
            Work::Left(why) => format!("{name}: was left as it is: {why}"),
            work @ (Work::Withheld(_) | Work::Gone(_)) => format!(
                "{name}: must not be put back, so nothing was: {}",
                work.forbids().unwrap_or_default()
            ),
            Work::Changed(parts) if done.contains(&name.as_str()) => format!("{name}: put back ({})", parts.join(", ")),
            Work::Changed(parts) => format!("{name}: was NOT put back, though it had changed ({})", parts.join(", ")),
        }
    };
    view.prepared.iter().map(sentence).collect()
}

/// What going back cost, and the command that brings rows back.
fn lost(view: &RunView, program: &str) -> Vec<String> {
    let mut lines = view.price();
    let names: Vec<&str> = view.salvageable().into_iter().map(ResourceName::as_str).collect();
    if let (false, Some(opened)) = (names.is_empty(), &view.opened) {
        lines.push(format!(
            "rows of {} can be had again: `{program} salvage {}` writes them to files, `--tables NAME,…` puts them back",
            names.join(", "),
            opened.run
        ));
    }
    lines
}

fn kept(view: &RunView) -> Vec<String> {
    let places = |displaced: &guard_model::artifact::Displaced| {
        let name = displaced.resource.clone();
        displaced
            .kept_as
            .iter()
            .map(move |place| format!("{name}: {place}"))
            .collect::<Vec<_>>()
    };
    let backup = view.opened.as_ref().filter(|_| !view.artifacts.is_empty());
    let backup = backup.map(|opened| format!("the state before: backup {}", opened.plan.backup));
    view.displaced.iter().flat_map(places).chain(backup).collect()
}

fn section(text: &mut String, title: &str, lines: &[String], otherwise: &str) {
    let _infallible = writeln!(text, "\n## {title}\n");
    if lines.is_empty() {
        let _infallible = writeln!(text, "{otherwise}");
    }
    for line in lines {
        let _infallible = writeln!(text, "- {}", line.replace('\n', " | "));
    }
}

fn timeline(text: &mut String, records: &[Record], program: &str) {
    let mut narrator = Narrator::new(program);
    let mut lines = Vec::new();
    for record in records {
        let told = narrator
            .tell(record)
            .into_iter()
            .filter(|line| line.tone != Tone::Detail);
        lines.extend(told.map(|line| format!("{} {} {}", moment(record.at), line.tone.tag(), line.text)));
    }
    section(text, "Timeline", &lines, "There are no records.");
}
