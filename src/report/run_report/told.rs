//! What a report says, before it has a form.

use serde::Serialize;
use serde_json::Value;

use super::changes::{self, Change, ServiceLine};
use super::checklist::{self, Check};
use super::logs::{self, Excerpt};
use super::material::{LogSource, Material};
use super::phases::{self, Axis, Phase};
use super::safe::Safe;
use super::seen::{self, Downtime, Lane, ShareCurve};
use crate::closing::{Closing, reason};
use crate::failure::{Account, Next};
use crate::json::SCHEMA_VERSION;
use crate::line::Tone;
use crate::moment::{moment, span};
use crate::readings;
use crate::result::Outcome;
use crate::run_view::RunView;
use crate::words::Narrator;
use guard_model::artifact::{Displaced, Prepared, Work};
use guard_model::exit::ExitCode;
use guard_model::fact::{Ending, RollbackCause};
use guard_model::name::{ResourceName, RunKind};
use guard_model::now::Now;
use guard_model::plan::StageName;
use guard_model::secret::Redaction;
use guard_model::text;

/// So many lines of the timeline are told from its beginning, and so many from its end.
const LINES: usize = 200;

/// How a run is to be taken at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It did what it was asked to.
    Good,
    /// It did not, and production is what it was.
    Back,
    /// A person is needed.
    NeedsPerson,
}

/// A command to type, and what for.
#[derive(Debug, Clone, Serialize)]
pub struct Command {
    /// What for.
    pub purpose: Safe,
    /// The command.
    pub command: Safe,
}

/// One line of the timeline.
#[derive(Debug, Clone, Serialize)]
pub struct TimelineLine {
    /// When, `2025-10-22T15:30:00Z`.
    pub at: String,
    /// `[INFO]`, `[WARN]`.
    pub tag: &'static str,
    /// What.
    pub text: Safe,
}

/// A report.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    /// The version of this form.
    pub schema_version: u32,
    /// The project.
    pub project: Safe,
    /// The environment, where one was chosen.
    pub environment: Option<Safe>,
    /// The run's name.
    pub run: Safe,
    /// The command that makes this report again, as Markdown.
    pub again: Safe,
    /// How it is to be taken.
    pub standing: Standing,
    /// How it ended, in one sentence.
    pub headline: Safe,
    /// The state of production: `old, verified`.
    pub production: Safe,
    /// The exit code.
    pub exit_code: u8,
    /// Figures for the head, by name.
    pub facts: Vec<(&'static str, Safe)>,
    /// What failed, as a sentence; `None` where the run is good.
    pub failed: Option<Safe>,
    /// Why, outermost cause first.
    pub why: Vec<Safe>,
    /// What guard did about it, each a sentence.
    pub did: Vec<Safe>,
    /// What logs say of it.
    pub excerpts: Vec<Excerpt>,
    /// What to type next, the most urgent first.
    pub next: Vec<Command>,
    /// The times.
    pub when: Vec<Safe>,
    /// The axis of the plots.
    pub axis: Axis,
    /// When the deploy command began, on the axis.
    pub deployed_at: Option<f64>,
    /// When the verdict fell, on the axis.
    pub verdict_at: Option<f64>,
    /// The phases.
    pub phases: Vec<Phase>,
    /// What each probe saw.
    pub lanes: Vec<Lane>,
    /// The same in a sentence each.
    pub probes: Vec<Safe>,
    /// The share of failures.
    pub share: Option<ShareCurve>,
    /// How long production was down; `None`: no probe was asked.
    pub downtime: Option<Downtime>,
    /// What the downtime comes to, in a sentence.
    pub down: Option<Safe>,
    /// Commits, images and what else can tell which release it is.
    pub changes: Vec<Change>,
    /// The services.
    pub services: Vec<ServiceLine>,
    /// What was put back.
    pub put_back: Vec<Safe>,
    /// What going back cost.
    pub lost: Vec<Safe>,
    /// What was taken along.
    pub carried: Vec<Safe>,
    /// What the deploy command announced as not to be undone.
    pub irreversible: Vec<Safe>,
    /// What was kept, and where.
    pub kept: Vec<Safe>,
    /// What was verified.
    pub checklist: Vec<Check>,
    /// What happened, line by line.
    pub timeline: Vec<TimelineLine>,
    /// Lines of the timeline that are left out in its middle.
    pub left_out: usize,
    /// What could not be read for this report.
    pub unread: Vec<Safe>,
}

impl RunReport {
    /// What this material says. `program` is how guard is called in commands: `guard -C /srv/shop`.
    #[must_use]
    pub fn of(material: &Material, redaction: &Redaction, program: &str) -> Self {
        let view = RunView::of(&material.records);
        let axis = Axis::of(&view);
        let safe = |text: &str| Safe::of(text, redaction);
        let all = |texts: Vec<String>| -> Vec<Safe> { texts.iter().map(|text| safe(text)).collect() };
        let told = Ended::of(&view, program);
        let downtime = seen::downtime(material, &axis);
        let down = downtime.as_ref().map(|downtime| safe(&down_words(downtime)));
        let (timeline, left_out) = timeline(material, redaction, program);
        let run = view
            .opened
            .as_ref()
            .map_or_else(|| "without a name".to_owned(), |opened| opened.run.to_string());
        let mut report = Self {
            schema_version: SCHEMA_VERSION,
            project: safe(&material.project),
            environment: material.environment.as_deref().map(safe),
            again: safe(&format!("{program} report {run} --format markdown")),
            run: safe(&run),
            standing: told.standing,
            headline: safe(&told.sentence),
            production: safe(&told.production),
            exit_code: told.exit.number(),
            facts: Vec::new(),
            failed: (told.standing != Standing::Good).then(|| safe(&told.account.failed)),
            why: if told.standing == Standing::Good {
                Vec::new()
            } else {
                all(told.account.why.clone())
            },
            did: all(told.account.did.clone()),
            excerpts: logs::excerpts(material, &view, redaction),
            next: commands(&view, &told, material, program)
                .into_iter()
                .map(|next| Command {
                    purpose: safe(&next.purpose),
                    command: safe(&next.command),
                })
                .collect(),
            when: all(when(material, &view)),
            axis,
            deployed_at: seen::changed_from(&view).map(|at| axis.place(at)),
            verdict_at: verdict_at(&view).map(|at| axis.place(at)),
            phases: phases::phases(&view, &axis),
            lanes: seen::lanes(material, &view, &axis, redaction),
            probes: all(readings::summary(&material.readings)),
            share: seen::share_curve(material, &axis),
            downtime,
            down,
            changes: changes::changes(material, redaction),
            services: changes::services(&view, redaction),
            put_back: all(put_back(&view)),
            lost: all(lost(&view)),
            carried: all(carried(&view)),
            irreversible: all(view.deployed.irreversible.clone()),
            kept: all(kept(&view, material)),
            checklist: checklist::checklist(&view, redaction),
            timeline,
            left_out,
            unread: all(material.unread.clone()),
        };
        report.facts = facts(&view, &told, report.downtime.as_ref(), material)
            .into_iter()
            .map(|(name, value)| (name, safe(&value)))
            .collect();
        report
    }

    /// The report as JSON, with the result of the run as `result.json` has it.
    #[must_use]
    pub fn to_value(&self, result: &Outcome, redaction: &Redaction) -> Value {
        // Only a map with keys that are no strings cannot be written, and there is none.
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(map) = value.as_object_mut() {
            map.insert("result".to_owned(), result.to_value(redaction));
        }
        value
    }
}

/// How a run ended, or that it has not.
struct Ended {
    standing: Standing,
    sentence: String,
    production: String,
    exit: ExitCode,
    account: Account,
}

impl Ended {
    fn of(view: &RunView, program: &str) -> Self {
        let Some((ending, _)) = view.ended else {
            let failed = "The run has no end: it was cut off, or is still at work".to_owned();
            return Self {
                standing: Standing::NeedsPerson,
                sentence: format!("{failed}."),
                production: "mixed, resumable".to_owned(),
                exit: ExitCode::CUT_OFF,
                account: Account {
                    failed,
                    why: Vec::new(),
                    did: vec!["Production is mixed, resumable.".to_owned()],
                    next: Some(Next::new("to continue", format!("{program} resume"))),
                },
            };
        };
        let closing = Closing::of(view, ending, program);
        let mut account = closing.account(view, ending);
        account.did.extend(view.now.iter().flat_map(Now::sentences));
        account.did.push(format!(
            "Production is {} (exit code {}).",
            closing.production,
            closing.code.number()
        ));
        Self {
            standing: standing(ending),
            sentence: closing.sentence,
            production: closing.production.to_owned(),
            exit: closing.code,
            account,
        }
    }
}

fn standing(ending: Ending) -> Standing {
    match ending.exit_code().number() {
        0 => Standing::Good,
        30..40 | 70 => Standing::NeedsPerson,
        _ => Standing::Back,
    }
}

/// When the watch, or what else decided, had come to its verdict.
fn verdict_at(view: &RunView) -> Option<chrono::DateTime<chrono::Utc>> {
    let turned = view.turned.filter(|(why, _)| *why != RollbackCause::Asked);
    turned.map(|(_, at)| at).or_else(|| {
        let watch = view.stages.iter().find(|stage| stage.name == StageName::Watch)?;
        watch.ended
    })
}

fn facts(
    view: &RunView,
    told: &Ended,
    downtime: Option<&Downtime>,
    material: &Material,
) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("production", told.production.clone()),
        ("exit code", told.exit.number().to_string()),
    ];
    let Some(opened) = &view.opened else { return facts };
    facts.push(("began", format!("{} UTC", opened.at.format("%Y-%m-%d %H:%M:%S"))));
    if let Some(last) = view.last {
        facts.push(("took", text::duration(span(opened.at, last))));
    }
    let found = view.turned.filter(|(why, _)| *why != RollbackCause::Asked);
    if let Some((_, at)) = found {
        if let Some(first) = readings::first_failure(&material.readings, at) {
            facts.push(("found after the first failure", text::duration(span(first.at, at))));
        }
        if let Some((_, end)) = view.ended.filter(|(ending, _)| ending.turn().is_some()) {
            facts.push(("back after it was found", text::duration(span(at, end))));
        }
    }
    if let Some(downtime) = downtime {
        facts.push(("seen down", down_figure(downtime)));
    }
    facts.push(("begun by", format!("{} on {}", opened.actor.user, opened.actor.host)));
    facts
}

fn seconds(value: f64) -> String {
    text::duration(std::time::Duration::try_from_secs_f64(value).unwrap_or_default())
}

fn down_figure(downtime: &Downtime) -> String {
    match downtime.outages.len() {
        0 => "never".to_owned(),
        _ => format!("{} to {}", seconds(downtime.at_least), seconds(downtime.at_most)),
    }
}

fn down_words(downtime: &Downtime) -> String {
    let count = downtime.outages.len() as u64;
    if count == 0 {
        return "No probe that decides has seen production down".to_owned();
    }
    let over = if downtime.is_over {
        ""
    } else {
        "; the last one was not seen to end"
    };
    format!(
        "{} seen: {} at least, from the first to the last failed answer, and {} at most, between the good answers around \
         them{over}",
        text::plural(count, "outage"),
        seconds(downtime.at_least),
        seconds(downtime.at_most)
    )
}

/// What to type next: what the run's own last line says, then what brings back what was put aside.
fn commands(view: &RunView, told: &Ended, material: &Material, program: &str) -> Vec<Next> {
    let mut next: Vec<Next> = told.account.next.iter().cloned().collect();
    let mut add = |purpose: String, command: String| {
        if next.iter().all(|known| known.command != command) {
            next.push(Next::new(purpose, command));
        }
    };
    let Some(opened) = &view.opened else { return next };
    let run = &opened.run;
    let rows: Vec<&str> = view.salvageable().into_iter().map(ResourceName::as_str).collect();
    if !rows.is_empty() {
        let names = rows.join(", ");
        add(
            format!("to write the rows of {names} that were displaced to files"),
            format!("{program} salvage {run}"),
        );
        add(
            format!("to put those rows of {names} back into their tables"),
            format!("{program} salvage {run} --tables all"),
        );
    }
    if !view.files_aside().is_empty() {
        add(
            format!("to give back {}", view.files_aside().join(", ")),
            format!("{program} salvage {run} --files '**'"),
        );
    }
    if !view.displaced.is_empty() && opened.plan.kind != RunKind::Undo {
        add(
            "to return to the state that was put aside".to_owned(),
            format!("{program} rollback --undo"),
        );
    }
    let is_whole = |source| !matches!(source, LogSource::Container | LogSource::Answer);
    if material.logs.iter().any(|log| is_whole(log.source)) {
        add("to read the whole logs".to_owned(), format!("{program} logs {run}"));
    }
    next
}

fn when(material: &Material, view: &RunView) -> Vec<String> {
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
        if let Some(first) = readings::first_failure(&material.readings, at) {
            let late = text::duration(span(first.at, at));
            lines.push(format!(
                "first sign: {} ({}: {}), {late} before",
                moment(first.at),
                first.probe,
                first.note
            ));
        }
    }
    match (view.turned, view.ended) {
        (Some((_, turned)), Some((ending, at))) => {
            let verb = if ending.turn().is_some() { "over" } else { "closed" };
            lines.push(format!(
                "{verb}: {}, {} after it was found",
                moment(at),
                text::duration(span(turned, at))
            ));
        }
        (None, Some((_, at))) => lines.push(format!("over: {}", moment(at))),
        (_, None) => {}
    }
    lines
}

fn put_back(view: &RunView) -> Vec<String> {
    let done: Vec<&str> = view
        .displaced
        .iter()
        .map(|displaced| displaced.resource.as_str())
        .collect();
    let sentence = |prepared: &Prepared| {
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

/// What going back cost.
fn lost(view: &RunView) -> Vec<String> {
    view.price().into_iter().filter(|price| !is_kept(price)).collect()
}

/// What going back took along, or left where it was.
fn carried(view: &RunView) -> Vec<String> {
    view.price().into_iter().filter(|price| is_kept(price)).collect()
}

/// Whether a sentence of the price says that something stays.
fn is_kept(price: &str) -> bool {
    let what = price.split_once(": ").map_or(price, |(_, what)| what);
    ["keeps ", "takes ", "carried "]
        .iter()
        .any(|verb| what.starts_with(verb))
}

fn kept(view: &RunView, material: &Material) -> Vec<String> {
    let places = |displaced: &Displaced| {
        let name = displaced.resource.clone();
        displaced
            .kept_as
            .iter()
            .map(move |place| format!("{name}: {place}"))
            .collect::<Vec<_>>()
    };
    let backup = view.opened.as_ref().filter(|_| !view.artifacts.is_empty());
    let backup = backup.map(|opened| format!("the state before: backup {}", opened.plan.backup));
    let salvaged = material.salvaged.iter().map(|path| format!("salvaged: {path}"));
    view.displaced
        .iter()
        .flat_map(places)
        .chain(backup)
        .chain(salvaged)
        .collect()
}

/// The timeline, without its middle where it is long, and how many lines that is.
fn timeline(material: &Material, redaction: &Redaction, program: &str) -> (Vec<TimelineLine>, usize) {
    let mut narrator = Narrator::new(program);
    let mut lines = Vec::new();
    for record in &material.records {
        let told = narrator.tell(record);
        let told = told.into_iter().filter(|line| line.tone != Tone::Detail);
        lines.extend(told.map(|line| TimelineLine {
            at: moment(record.at),
            tag: line.tone.tag(),
            text: Safe::of(&line.text, redaction),
        }));
    }
    let left_out = lines.len().saturating_sub(2 * LINES);
    if left_out > 0 {
        lines.drain(LINES..LINES + left_out);
    }
    (lines, left_out)
}
