//! The end of a drill: the fault is gone, what is there is compared with what was there before, times are measured, the book
//! gets its line. Whoever closes the run does this, and it can be repeated.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::drill::book;
use crate::drill::counts::{Counts, Differences, When};
use crate::drill::lift::end;
use crate::drill::record::{DrillRecord, keep_result, result_of};
use crate::project::Project;
use guard_engine::history::History;
use guard_engine::steps::{READINGS, StepRunner};
use guard_journal::Run;
use guard_model::drill::{DrillResult, Fault, NoticedBy};
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::fact::{Ending, Fact, Record, RollbackCause};
use guard_model::health::{Outcome, Reading};
use guard_model::plan::{Action, Step};
use guard_model::setting::Value;
use guard_system::context::Context;
use guard_system::disk;

/// Concludes the drill of a run that is over; its exit code. `None`: the run is no drill.
#[must_use]
pub fn conclude(
    run: &Run,
    history: &History,
    ending: Ending,
    runner: &StepRunner,
    project: &Project,
) -> Option<ExitCode> {
    let cx = &runner.cx.unstoppable();
    let record = match DrillRecord::of(&run.directory) {
        Ok(record) => record?,
        Err(error) => {
            cx.note(
                Level::Error,
                format!("what the drill has injected may still be there: {error}"),
            );
            return Some(ending.exit_code());
        }
    };
    let fault = record.fault()?;
    let mut told = end(&run.directory, &record, cx);
    if matches!(ending, Ending::Untouched(_) | Ending::Unprepared(_)) {
        return Some(ending.exit_code());
    }
    if let Some(result) = result_of(&run.directory).ok().flatten() {
        // Concluded before, by a guard that was killed behind it.
        return Some(kept(&result, run, project, cx));
    }
    let differences = differences(run, &record, history, runner, project);
    let mut differing = std::mem::take(&mut told);
    match differences {
        Ok(found) => {
            let result = judged(run, fault, &record, (history, ending), (found, differing), project);
            Some(kept(&result, run, project, cx))
        }
        Err(why) => {
            differing.push(why);
            let result = judged(
                run,
                fault,
                &record,
                (history, ending),
                (Differences::default(), differing),
                project,
            );
            Some(kept(&result, run, project, cx))
        }
    }
}

/// Writes the result down, and says what differs.
fn kept(result: &DrillResult, run: &Run, project: &Project, cx: &Context) -> ExitCode {
    for what in &result.differing {
        cx.note(Level::Error, format!("NOT AS BEFORE: {what}"));
    }
    let written = keep_result(&run.directory, result).and_then(|()| book::note(result, &project.state));
    if let Err(error) = written {
        cx.note(Level::Warn, format!("the drill is not in the book: {error}"));
    }
    exit(result.exit)
}

/// The exit code with this number.
#[must_use]
pub fn exit(number: u8) -> ExitCode {
    let mut rows = guard_model::exit::TABLE.iter();
    rows.find(|row| row.code.number() == number)
        .map_or(ExitCode::BUG, |row| row.code)
}

fn differences(
    run: &Run,
    record: &DrillRecord,
    history: &History,
    runner: &StepRunner,
    project: &Project,
) -> Result<Differences, String> {
    let kept = |when| Counts::kept(when, &run.directory).map_err(|error| error.to_string());
    let before = kept(When::Before)?.ok_or("what there was before was not counted")?;
    let failed = kept(When::Failed)?;
    let cx = &runner.cx.unstoppable();
    let after = Counts::of(&runner.resources, (Some(&before), &record.ignored), cx);
    // For people who want to know more; the comparison does not need it.
    let _optional = after.keep(When::After, &run.directory);
    let keeps = |name: &str| {
        let prepared = history.prepared().find(|prepared| prepared.resource.as_str() == name);
        prepared.is_some_and(|prepared| !prepared.work.is_needed()) || carries_over(name, project)
    };
    Ok(before.differences(failed.as_ref(), &after, keeps))
}

/// Whether the settings let something of this resource stay that was written since the backup.
fn carries_over(name: &str, project: &Project) -> bool {
    let declared = project
        .settings
        .resources
        .iter()
        .find(|declared| declared.name.as_str() == name);
    let Some(Value::Table(keys)) = declared.map(|declared| &declared.item.value) else {
        return false;
    };
    let set = keys.get("carry_over").map(|(_, item)| &item.value);
    set.is_some_and(|value| *value != Value::Text("none".to_owned()))
}

fn judged(
    run: &Run,
    fault: &Fault,
    record: &DrillRecord,
    (history, ending): (&History, Ending),
    (found, mut differing): (Differences, Vec<String>),
    project: &Project,
) -> DrillResult {
    differing.extend(found.differing);
    let was_noticed = !matches!(history.turned(), Some(RollbackCause::Decided));
    let is_back = matches!(ending, Ending::RolledBack(_) | Ending::NothingToUndo(_));
    let equal = differing.is_empty();
    let (exit, why) = if !is_back {
        (
            ending.exit_code(),
            Some(format!("production is {}", ending.production())),
        )
    } else if !equal {
        (
            ExitCode::DIFFERS,
            Some("what is there is not what was there before".to_owned()),
        )
    } else if record.injected_at.is_none() {
        (
            ending.exit_code(),
            Some("the run went back before the fault was injected".to_owned()),
        )
    } else if record.done.is_none() {
        (
            ending.exit_code(),
            Some("the fault could not be injected as a whole".to_owned()),
        )
    } else if matches!(history.turned(), Some(RollbackCause::Interrupted)) {
        (ending.exit_code(), Some("the drill was interrupted".to_owned()))
    } else if !was_noticed && fault.noticed_by != NoticedBy::Person {
        (
            ending.exit_code(),
            Some("no probe noticed the fault, so guard had to decide by itself to go back".to_owned()),
        )
    } else {
        (ExitCode::DONE, None)
    };
    let times = Times::of(run, record, history);
    let seconds =
        |from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>| Some((to? - from?).as_seconds_f64().max(0.0));
    DrillResult {
        fault: fault.name.to_owned(),
        kind: fault.kind,
        run: run.id.to_string(),
        at: project.cx.clock.now(),
        equal,
        differing,
        compared: found.compared,
        not_compared: found.not_compared,
        noticed: seconds(record.injected_at, history.turned_at()),
        back: seconds(history.turned_at(), times.well_at),
        rto: seconds(record.injected_at, times.well_at),
        lost: found.lost,
        discarded: found.discarded,
        kept: found.kept,
        was_noticed,
        passed: exit == ExitCode::DONE,
        exit: exit.number(),
        why,
    }
}

/// When what happened.
struct Times {
    /// When production was well again: what ran was started, and each probe that had failed passed again. `None`: it was not.
    well_at: Option<DateTime<Utc>>,
}

impl Times {
    fn of(run: &Run, record: &DrillRecord, history: &History) -> Self {
        let records = run.read().unwrap_or_default();
        let done = |action: Action| {
            let id = Step::of(action).id;
            let is_it = |one: &&Record| matches!(&one.fact, Fact::Done { step, .. } if *step == id);
            records.iter().rev().find(is_it).map(|one| one.at)
        };
        let (Some(started), Some(_)) = (done(Action::Start), done(Action::Prove)) else {
            return Self { well_at: None };
        };
        let since = record.injected_at.or(history.turned_at());
        let kept = disk::read_text_optional(&run.directory.join(READINGS))
            .ok()
            .flatten()
            .unwrap_or_default();
        let readings = kept
            .lines()
            .filter_map(|line| serde_json::from_str::<Reading>(line).ok());
        let recovered = recovered(readings.filter(|reading| since.is_none_or(|since| reading.at >= since)));
        Self {
            well_at: Some(recovered.map_or(started, |at| at.max(started))),
        }
    }
}

/// When the last probe that had failed passed again; `None`: none had failed.
fn recovered(readings: impl Iterator<Item = Reading>) -> Option<DateTime<Utc>> {
    let mut by_probe: BTreeMap<_, Option<DateTime<Utc>>> = BTreeMap::new();
    for reading in readings {
        match reading.outcome {
            Outcome::Failed => {
                by_probe.insert(reading.probe, None);
            }
            Outcome::Ok => {
                if let Some(again) = by_probe.get_mut(&reading.probe) {
                    again.get_or_insert(reading.at);
                }
            }
            Outcome::Unknown => {}
        }
    }
    by_probe.into_values().flatten().max()
}
