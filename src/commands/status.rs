//! `guard status` and `guard history`: what is going on, and what happened.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::commands::record::{self, Advice, Standing, Totals, advice};
use guard_engine::history::{History, StandbyHistory};
use guard_engine::steps::has_gone_in;
use guard_journal::{Run, State};
use guard_model::drill::DrillResult;
use guard_model::exit::ExitCode;
use guard_model::fact::StandbyState;
use guard_model::name::{ResourceName, Timestamp};
use guard_model::text;
use guard_report::closing::Closing;
use guard_report::result::{finisher, word};
use guard_report::run_view::RunView;
use guard_report::style::Volume;
use guard_report::tables::Table;
use guard_run::assembly::Owned;
use guard_run::audit::{self, Entry};
use guard_run::backup_words::missing_words;
use guard_run::drill::book;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Project;
use guard_run::request::HistoryOf;
use guard_run::session::{Session, width_of_stdout};
use guard_run::{freeze, kept, locks, results, unfinished, watchdog};
use guard_services::{held_leftovers, held_starters};
use guard_store::{Backup, candidates};
use guard_system::identity::Identity;
use guard_system::lock::Lock;

/// Says what is going on. Read-only, and without the lock.
///
/// # Errors
/// The state directory cannot be read.
pub(super) fn status(project: &Project, session: &Session) -> Outcome {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::REFUSED, error);
    let holder = Lock::holder(&project.state.join("lock")).map_err(|error| refused(&error))?;
    // Another checkout of the same target has another state, and the lock of the target in common.
    let elsewhere = locks::paths_of_targets(project)
        .iter()
        .find_map(|path| Lock::holder(path).ok().flatten());
    let holder = holder.or(elsewhere);
    let frozen = freeze::in_force(&project.state)?;
    let runs = project.runs.list().map_err(|error| refused(&error))?;
    let newest = runs.first();
    let open = runs
        .iter()
        .find(|run| !matches!(run.state(), Ok(State::Empty | State::Closed(_))));
    let open = match open {
        Some(open) => Some(open),
        None => unfinished::stuck(&runs)?,
    };
    let stands_by = unfinished::standing(&runs)?.filter(|run| newest.is_none_or(|newest| newest.id != run.id));
    let stands_by = if open.is_some() { open } else { stands_by };
    let watcher = open.and_then(watchdog::process_of);
    let listed = project.store.list().map_err(|error| refused(&error))?;
    let good = candidates(&listed, &project.own_scope(), &[]).first().copied();
    let good = good.filter(|backup| backup.is_known_good());
    let missing = project.store.missing_newest().ok().flatten();
    let resources = project.resources()?;
    let kept = kept::all(&runs, &resources, &project.cx);
    let totals = Totals::of(&runs);
    let now = project.cx.clock.now();
    let drills = book::all(&project.state).map_err(|error| refused(&error))?;
    let drilled = book::newest(&drills);
    let advice = advised(project, &totals, good, &resources, drilled, &session.style.program);
    let half_way = HalfWay::of(open.filter(|_| holder.is_none()), &resources, project);
    if session.style.json {
        return Ok(session.answer(json!({
            "project": project.settings.project,
            "environment": project.settings.environment_name,
            "state_dir": project.state.display().to_string(),
            "running": holder,
            "watcher": watcher.map(|process| process.pid),
            "frozen": frozen,
            "unfinished": open.map(|run| run.id.to_string()),
            "stands_by": stands_by.or(newest).map(|run| run.id.to_string()),
            "standing": stands_by.or(newest).and_then(outcome),
            "last_run": newest.map(|run| run.id.to_string()),
            "last_outcome": newest.and_then(outcome),
            "last_finished_by": newest.and_then(history_of).filter(History::was_reopened).map(|history| finisher(history.actor())),
            "known_good": good.map(|backup| backup.timestamp().to_string()),
            "missing_backup": missing,
            "standbys": standbys(open).into_iter().map(|(name, state)| json!({ "resource": name, "state": state })).collect::<Vec<_>>(),
            "shut": half_way.shut,
            "held": half_way.held,
            "kept": kept,
            "runs": runs.len(),
            "last_drill": drilled,
            "totals": totals,
            "advice": advice,
        })));
    }
    let mut lines = vec![
        format!("project      {}", project.settings.project),
        format!("state        {}", project.state.display()),
    ];
    lines.extend(at_work(holder.as_deref(), watcher, frozen));
    if let (Some(run), None, None) = (open, holder.as_ref(), watcher) {
        lines.push(format!(
            "unfinished   {}: `{} resume` finishes it",
            run.id, session.style.program
        ));
    }
    lines.extend(standby_lines(open));
    lines.extend(half_way.lines(&session.style.program));
    lines.extend(newest.map(|run| {
        format!(
            "last run     {}: {}",
            run.id,
            outcome(run).unwrap_or_else(|| untold(run).to_owned())
        )
    }));
    let standing = stands_by.filter(|run| newest.is_none_or(|newest| newest.id != run.id));
    lines.extend(standing.map(standing_line));
    let good = good.map_or_else(|| "none".to_owned(), |backup| backup.timestamp().to_string());
    lines.push(format!("known good   {good}"));
    lines.extend(totals.lines(now));
    lines.extend(drilled.map(|drill| drill_line(drill, now)));
    lines.extend(missing.map(|backup| format!("missing      {}", missing_words(&backup))));
    lines.extend(kept_lines(&kept, &session.style.program));
    lines.extend(
        advice
            .iter()
            .map(|one| format!("worth doing  {}: {}", one.what, one.todo)),
    );
    session.reporter.data(lines.join("\n") + "\n");
    Ok(ExitCode::DONE)
}

/// What is said of the run by which production stands, where that is not the newest.
fn standing_line(run: &Run) -> String {
    let standing = outcome(run).unwrap_or_else(|| untold(run).to_owned());
    format!("stands by    {}: {standing}", run.id)
}

/// What is said of the newest drill.
fn drill_line(drill: &DrillResult, now: DateTime<Utc>) -> String {
    let outcome = if drill.passed { "passed" } else { "FAILED" };
    let rto = drill.rto.map(|rto| format!(", RTO {}", book::seconds(rto)));
    let ago = book::ago(drill.at, now);
    format!(
        "last drill   {ago}: {} {outcome}{}",
        drill.fault,
        rto.unwrap_or_default()
    )
}

/// Who is at work, who stands by, and what is frozen.
fn at_work(holder: Option<&str>, watcher: Option<Identity>, frozen: Option<freeze::Freeze>) -> Vec<String> {
    let mut lines = vec![format!("running      {}", holder.unwrap_or("nothing"))];
    lines.extend(watcher.map(|process| {
        format!(
            "watcher      stands by (pid {}): if guard is killed, it finishes the run",
            process.pid
        )
    }));
    lines.extend(frozen.map(|freeze| {
        format!(
            "frozen       since {} by {}: {}",
            freeze.since,
            freeze.user,
            text::sanitised(&freeze.message)
        )
    }));
    lines
}

/// What is worth doing here.
fn advised(
    project: &Project,
    totals: &Totals,
    good: Option<&Backup>,
    resources: &[Owned],
    drilled: Option<&DrillResult>,
    program: &str,
) -> Vec<Advice> {
    let settings = &project.settings;
    let standing = Standing {
        known_good: good.map(|backup| backup.manifest.begun),
        has_resources: !resources.is_empty(),
        has_probes: !settings.probes.is_empty(),
        copies: settings.copy.url.is_some() || !settings.copy.commands.is_empty(),
        watcher: settings.watcher,
        is_well: totals.health.as_ref().map(|health| health.is_well),
        drills: settings.drill,
        drilled: drilled.map(|drill| drill.at),
    };
    advice(&standing, project.cx.clock.now(), program)
}

/// What rollbacks have put aside.
fn kept_lines(kept: &[kept::Kept], program: &str) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(kept.iter().map(|kept| format!("kept         {}", kept.sentence())));
    lines.extend(kept.iter().filter(|kept| kept.rows).map(|kept| {
        format!(
            "             rows of {}: `{} salvage {}` brings them back",
            kept.resource, program, kept.run
        )
    }));
    let weight: u64 = kept.iter().filter_map(|kept| kept.bytes).sum();
    if kept.len() > 1 {
        lines.push(format!("             {} in all", text::bytes(weight)));
    }
    lines
}

/// What a run that was cut off has left shut for clients, and what it still holds, by name.
#[derive(Default)]
struct HalfWay {
    shut: Vec<String>,
    /// What could not be asked, with why.
    unasked: Vec<String>,
    held: Vec<String>,
}

impl HalfWay {
    fn of(run: Option<&Run>, resources: &[Owned], project: &Project) -> Self {
        let Some((run, history)) = run.and_then(|run| Some((run, history_of(run)?))) else {
            return Self::default();
        };
        let cx = project.context_of(run, &history.plan().backup);
        let is_open = history.closed().is_none();
        let mut half = Self::default();
        let mine = resources.iter().map(|owned| &owned.resource);
        for member in mine.filter(|member| has_gone_in(member.name(), &history)) {
            let (resource, there) = member.at(&cx);
            match resource.is_shut(&there) {
                Ok(true) => half.shut.push(resource.name().to_string()),
                // After a run that is over, a server that is away is no matter of that run.
                Err(error) if is_open => half
                    .unasked
                    .push(format!("{} ({})", resource.name(), text::chain(&error))),
                Ok(false) | Err(_) => {}
            }
        }
        if is_open {
            half.held = held_starters(&cx);
            half.held.extend(held_leftovers(&cx));
        }
        half
    }

    fn lines(&self, program: &str) -> Vec<String> {
        let shut = self.shut.iter().map(|name| {
            format!(
                "shut         {name} lets no client in, since the way back stopped half-way: `{program} resume` goes on and \
                 opens it"
            )
        });
        let held = (!self.held.is_empty()).then(|| {
            let names = self.held.join(", ");
            format!(
                "held         {names}, since the way back stopped half-way: `{program} resume` goes on and lets it go"
            )
        });
        let unasked = self.unasked.iter().map(|what| {
            format!("shut?        whether clients are kept out of {what} cannot be asked: `{program} resume` goes on and sees to it")
        });
        shut.chain(unasked).chain(held).collect()
    }
}

/// The copies that stand by in the run that is open, or were to: each resource, and how far its copy has come.
fn standbys(open: Option<&Run>) -> Vec<(String, String)> {
    let Some(history) = open.and_then(history_of) else {
        return Vec::new();
    };
    let told = |(name, standby): (&ResourceName, &StandbyHistory)| {
        let state = match &standby.state {
            Some(StandbyState::Loading) => format!("is loaded, since {}", standby.at.format("%H:%M:%S UTC")),
            Some(StandbyState::Ready { kept_as }) => format!("ready, as {kept_as}"),
            Some(StandbyState::Without { why }) => format!("none: {why}"),
            Some(StandbyState::Failed { why }) => format!("none: it could not be made: {why}"),
            None => "its load was cut off".to_owned(),
        };
        (name.to_string(), text::sanitised(&state))
    };
    history.standbys().map(told).collect()
}

fn standby_lines(open: Option<&Run>) -> impl Iterator<Item = String> {
    let told = standbys(open).into_iter();
    told.map(|(name, state)| format!("standby      {name}: {state}"))
}

fn history_of(run: &Run) -> Option<History> {
    History::of(&run.read().ok()?).ok()
}

/// How a run ended, its exit code, and the state of production, in a sentence; `None`: it has not ended, or cannot be read.
pub(super) fn outcome(run: &Run) -> Option<String> {
    let records = run.read().ok()?;
    let history = History::of(&records).ok()?;
    let ending = history.closed()?;
    Some(format!(
        "{}{} (exit code {}; production is {})",
        word(ending),
        by_watcher(&history),
        ending.exit_code().number(),
        // In the words of the run's own last line.
        Closing::of(&RunView::of(&records), ending, "").production
    ))
}

/// What is to be said of a run whose journal tells nothing.
fn untold(run: &Run) -> &'static str {
    match run.state() {
        Ok(State::Empty) if unfinished::has_lost_journal(run) => "its journal is gone, so how far it came is not known",
        Ok(State::Empty) => "never began",
        Ok(_) => "not finished",
        Err(_) => "cannot be read",
    }
}

fn by_watcher(history: &History) -> &'static str {
    if history.was_reopened() && history.actor().watcher {
        ", by the watcher"
    } else {
        ""
    }
}

/// A line of the history: when, its cells, and the same for machines.
type Line = (DateTime<Utc>, [String; 5], Value);

/// Says what happened, the newest first: the runs, and what people did beside them.
///
/// # Errors
/// The runs cannot be listed.
pub(super) fn history(asked: &HistoryOf, project: &Project, session: &Session) -> Outcome {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::REFUSED, error);
    let runs = project.runs.list().map_err(|error| refused(&error))?;
    let deeds = audit::all(&project.state).map_err(|error| refused(&error))?;
    let is_verbose = session.style.volume == Volume::Verbose;
    let runs = runs.iter().take(asked.number).map(|run| of_run(run, is_verbose));
    let lines = merged(runs, deeds.iter().rev().map(of_deed), asked.number);
    if session.style.json {
        let (mut runs, mut deeds) = (Vec::new(), Vec::new());
        for (_, _, value) in lines {
            let list = if value.get("run").is_some() {
                &mut runs
            } else {
                &mut deeds
            };
            list.push(value);
        }
        return Ok(session.answer(json!({ "runs": runs, "deeds": deeds })));
    }
    let mut table = Table::new(["run", "ended", "took", "by", "why"]).right(2);
    for (_, cells, _) in lines {
        table = table.row(cells);
    }
    session.reporter.data(if table.is_empty() {
        "nothing has happened yet\n".to_owned()
    } else {
        table.render(Some(width_of_stdout()))
    });
    Ok(ExitCode::DONE)
}

/// Two rows of lines as one, each in its own order, whatever the clock said; so many at most.
fn merged(runs: impl Iterator<Item = Line>, deeds: impl Iterator<Item = Line>, most: usize) -> Vec<Line> {
    let (mut runs, mut deeds) = (runs.peekable(), deeds.peekable());
    let mut lines = Vec::new();
    while lines.len() < most {
        let next = match (runs.peek(), deeds.peek()) {
            (Some((run, _, _)), Some((deed, _, _))) if deed > run => deeds.next(),
            (Some(_), _) => runs.next(),
            (None, _) => deeds.next(),
        };
        match next {
            Some(line) => lines.push(line),
            None => break,
        }
    }
    lines
}

fn of_deed(entry: &Entry) -> Line {
    let name = format!("{}-{}", Timestamp::at(entry.at, 0), entry.did);
    let what = format!("{}{}", entry.what, if entry.forced { ", by force" } else { "" });
    let user = format!("{}@{}", entry.user, entry.host);
    let why = entry.why.clone().unwrap_or_default();
    let cells = [name, what, String::new(), user, why];
    let cells = cells.map(|cell| text::sanitised(&cell));
    (entry.at, cells, serde_json::to_value(entry).unwrap_or_default())
}

/// When a run began, by its name.
fn begun_of(run: &Run) -> DateTime<Utc> {
    run.id.timestamp().moment()
}

/// The line of a run; where `is_verbose`, with how long each of its phases took.
fn of_run(run: &Run, is_verbose: bool) -> Line {
    let records = run.read().unwrap_or_default();
    let Some(history) = History::of(&records).ok() else {
        let what = untold(run);
        let none = String::new;
        let cells = [run.id.to_string(), what.to_owned(), none(), none(), none()];
        let value = json!({ "run": run.id, "outcome": what });
        return (begun_of(run), cells, value);
    };
    let ended = history.closed().map_or("not finished", word);
    let took = records
        .last()
        .and_then(|last| (last.at - history.opened()).to_std().ok())
        .unwrap_or_default();
    let given_up = results::reason_of(run).map(|why| format!("given up: {why}"));
    let view = RunView::of(&records);
    let phases = record::phases(&view);
    let stages: Vec<Value> = view
        .stages
        .iter()
        .filter_map(|stage| {
            let seconds = stage.took()?.as_secs_f64();
            Some(json!({ "phase": stage.name, "direction": if stage.is_back { "back" } else { "ahead" }, "seconds": seconds }))
        })
        .collect();
    let why: Vec<String> = history
        .reason()
        .map(str::to_owned)
        .into_iter()
        .chain(given_up)
        .collect();
    let why = why.join("; ");
    let user = format!("{}@{}", history.actor().user, history.actor().host);
    let value = json!({ "run": run.id, "outcome": ended, "exit_code": history.closed().map(|ending| ending.exit_code().number()),
        "seconds": took.as_secs_f64(), "user": user, "reason": why,
        "finished_by": history.was_reopened().then(|| finisher(history.actor())), "phases": stages, "backup": history.plan().backup, "command": history.plan().command });
    let ended = format!("{ended}{}", by_watcher(&history));
    let shown = [why, if is_verbose { phases } else { String::new() }];
    let shown: Vec<&str> = shown
        .iter()
        .map(String::as_str)
        .filter(|text| !text.is_empty())
        .collect();
    let cells = [run.id.to_string(), ended, text::duration(took), user, shown.join("; ")];
    (history.opened(), cells, value)
}
