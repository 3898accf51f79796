//! `guard abort`: ends an unfinished run as things are, says how each thing is, and keeps everything.

use super::journey::write_reports;
use super::notices::Herald;
use super::prompt::confirm;
use super::refusal::{Outcome, Refusal};
use super::request::Abort;
use super::resume::{as_begun, open_run, silence};
use super::rollback::now;
use super::session::{self, state_of};
use super::setup::{Desk, width_of_stdout};
use super::workbench::Bench;
use guard_engine::crew::has_gone_in;
use guard_engine::history::{History, Progress};
use guard_engine::ledger::Ledger;
use guard_journal::{Journal, Run, State};
use guard_model::artifact::Work;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::fact::{Ending, Fact, Yield};
use guard_model::name::{ResourceName, RunKind};
use guard_model::now::Now;
use guard_model::plan::{Action, Step};
use guard_model::text::chain;
use guard_report::tables::Table;
use guard_services::{release_starters, release_updaters};
use guard_system::disk;

/// What a person said who ended a run, and how things were.
const ACCOUNT: &str = "aborted.json";

/// A resource of the run: how far the run had come with it, and how it is beside its copy now, both in words.
struct Standing {
    name: ResourceName,
    left: String,
    now: String,
}

/// Ends the unfinished run.
///
/// # Errors
/// Somebody works on it, its journal cannot be understood or written, or it was not confirmed.
pub(super) fn abort(asked: &Abort, bench: Bench, desk: &Desk) -> Outcome {
    let _lock = session::begin(&bench, "guard abort")?;
    let Some(run) = open_run(&bench.runs)? else {
        bench
            .cx
            .note(Level::Info, "nothing is unfinished, so there is nothing to end");
        return Ok(ExitCode::DONE);
    };
    // The answer is given for now, and not for the beginning of the run.
    let is_confirmed = bench.settings.confirmed;
    let mut bench = as_begun(bench, &run, desk)?;
    bench.settings.confirmed = is_confirmed;
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::CUT_OFF, error);
    let (journal, records) = Journal::open(&run.directory).map_err(|error| refused(&error))?;
    let history = History::of(&records).map_err(|error| refused(&error))?;
    if session::is_harmless(&history) {
        drop(journal);
        session::close_harmless(&run, &bench)?;
        let is_closed = matches!(state_of(&run)?, State::Closed(Ending::Untouched(_)));
        return Ok(if is_closed {
            ExitCode::INTERRUPTED_EARLY
        } else {
            ExitCode::CUT_OFF
        });
    }
    desk.reporter.recall(&records);
    silence(&run, &history, &bench);
    if let Err(refusal) = session::settle_resources(&run, &bench) {
        let why = refusal.account.failed;
        bench.cx.note(
            Level::Warn,
            format!("something that the run holds is still held: {why}"),
        );
    }
    let standings = standings(&history, &bench)?;
    let mut table = Table::new(["resource", "the run left it", "now"]);
    for standing in &standings {
        table = table.row([standing.name.to_string(), standing.left.clone(), standing.now.clone()]);
    }
    desk.reporter
        .data(format!("The run {}\n{}", run.id, table.render(Some(width_of_stdout()))));
    if let Some(warning) = stopped(&history) {
        bench.cx.note(Level::Warn, warning);
    }
    let question = format!("End {} here, with everything as it is?", run.id);
    confirm(&question, "abort", &bench, desk)?;
    let mut told = let_in(&run, &history, &bench)?;
    told.extend(let_go(&run, &history, &bench));
    write_account(&run, asked, &standings, &bench)?;
    let cx = bench.context_of(&run, &history.plan().backup);
    let herald = Herald::new(&run, &cx, &records, &bench, desk)?;
    let ledger = Ledger::reopen(Box::new(journal), &records, herald.voice(), bench.cx.clock.clone());
    let mut ledger = ledger.map_err(|error| refused(&error))?;
    let reopened = Fact::Reopened {
        actor: bench.actor.clone(),
    };
    let closed = Fact::Closed {
        ending: Ending::Abandoned,
        now: Some(Box::new(Now {
            others: told
                .iter()
                .map(|sentence| format!("{}.", bench.cx.redaction.clean(sentence)))
                .collect(),
            ..Now::default()
        })),
    };
    for fact in [reopened, closed] {
        ledger.append(&fact).map_err(|error| refused(&error))?;
    }
    if let Err(error) = write_reports(&run, ExitCode::ABANDONED, true, &bench, desk) {
        bench
            .cx
            .note(Level::Warn, format!("the report of this run is not complete: {error}"));
    }
    herald.settle();
    Ok(ExitCode::ABANDONED)
}

/// Lets clients into data that the run has shut: nobody else would. Returns what is to be said of it at the end.
fn let_in(run: &Run, history: &History, bench: &Bench) -> Result<Vec<String>, Refusal> {
    let cx = bench.context_of(run, &history.plan().backup);
    let mut told = Vec::new();
    for owned in bench.resources()? {
        let name = owned.resource.name();
        if !has_gone_in(name, history) {
            continue;
        }
        let (resource, there) = owned.resource.at(&cx);
        match resource.let_in(&there) {
            Ok(true) => told.push(format!("{name}: clients are let in again")),
            Ok(false) => {}
            Err(error) => told.push(format!("{name}: clients may still be kept out: {}", chain(&error))),
        }
    }
    Ok(told)
}

/// Lets go of what the way back holds and the next start would have let go. Returns what is to be said of it at the end.
fn let_go(run: &Run, history: &History, bench: &Bench) -> Vec<String> {
    let cx = bench.context_of(run, &history.plan().backup);
    let services = bench.services();
    let further = services.further.iter().map(|further| Some(further.name.as_str()));
    let mut told = Vec::new();
    for name in std::iter::once(None).chain(further) {
        let (of_project, there) = services.of_project(name, &cx);
        if let Err(error) = of_project.release_restarts(name, &there) {
            told.push(chain(&error));
        }
    }
    told.extend(release_starters(&cx));
    told.extend(release_updaters(&cx));
    told.extend(services.release_leftovers(&cx));
    told
}

fn standings(history: &History, bench: &Bench) -> Result<Vec<Standing>, Refusal> {
    let backup = bench.store.get(&history.plan().backup);
    let owned = bench.resources()?;
    let now_of = |name: &ResourceName| {
        let backup = backup.as_ref().map_err(|error| format!("cannot be compared: {error}"));
        let artifact = backup.and_then(|backup| {
            let artifact = backup.manifest.artifact(name);
            let none = || "the backup has no copy of it".to_owned();
            artifact.map(|artifact| (artifact, backup)).ok_or_else(none)
        });
        let owned = owned.iter().find(|owned| owned.resource.name() == name);
        match (artifact, owned) {
            (Ok((artifact, backup)), Some(owned)) => now(owned, artifact, backup, bench),
            (Ok(_), None) => "the settings name it no more".to_owned(),
            (Err(why), _) => why,
        }
    };
    let standing = |name: &ResourceName| Standing {
        name: name.clone(),
        left: left(name, history),
        now: now_of(name),
    };
    Ok(history.plan().swapped().map(standing).collect())
}

/// How far the run had come with a resource.
fn left(name: &ResourceName, history: &History) -> String {
    let plan = history.plan();
    let is_undo = plan.kind == RunKind::Undo;
    let (action, there) = if is_undo {
        (Action::Undo(name.clone()), "as before the rollback".to_owned())
    } else {
        (Action::Restore(name.clone()), format!("as in backup {}", plan.backup))
    };
    let is_unchanged = history
        .prepared_of(name)
        .is_some_and(|prepared| matches!(prepared.work, Work::Unchanged));
    match history.step(&Step::of(action).id).map(|step| &step.progress) {
        Some(Progress::Done(_)) => {
            let displaced = history.displaced().filter(|displaced| &displaced.resource == name);
            let kept: Vec<String> = displaced.flat_map(|displaced| displaced.kept_as.clone()).collect();
            if kept.is_empty() {
                there
            } else {
                format!("{there}; what was there: {}", kept.join(", "))
            }
        }
        Some(Progress::Begun) => "in the middle of being put back".to_owned(),
        Some(Progress::Failed(failure)) => format!("could not be put back: {}", failure.sentence()),
        None if is_unchanged => "unchanged by the release".to_owned(),
        None if plan.kind == RunKind::Deploy => "as the release left it".to_owned(),
        None => "as it was before the run".to_owned(),
    }
}

/// What was stopped for the way back and not started again, as a warning.
fn stopped(history: &History) -> Option<String> {
    let progress = |action| history.step(&Step::of(action).id).map(|step| &step.progress);
    let quiesced = progress(Action::Quiesce)?;
    if matches!(progress(Action::Start), Some(Progress::Done(_))) {
        return None;
    }
    let names = match quiesced {
        Progress::Done(Yield::Quiesced(names)) if !names.is_empty() => names.join(", "),
        _ => "the services".to_owned(),
    };
    Some(format!(
        "{names}: stopped for the way back and not started again, and guard does not do it now; a maintenance page may be up"
    ))
}

fn write_account(run: &Run, asked: &Abort, standings: &[Standing], bench: &Bench) -> Result<(), Refusal> {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::CUT_OFF, error);
    let resources: Vec<_> = standings
        .iter()
        .map(|standing| serde_json::json!({ "resource": standing.name, "left": standing.left, "now": standing.now }))
        .collect();
    let account = serde_json::json!({
        "at": bench.cx.clock.now(),
        "by": format!("{}@{}", bench.actor.user, bench.actor.host),
        "reason": asked.reason,
        "resources": resources,
    });
    let text = serde_json::to_string_pretty(&account).map_err(|error| refused(&error))?;
    let text = bench.cx.redaction.clean(&text);
    disk::write_whole(&run.directory.join(ACCOUNT), text.as_bytes()).map_err(|error| refused(&error))
}

/// Why a person ended this run, where somebody did and said why.
#[must_use]
pub(super) fn reason_of(run: &Run) -> Option<String> {
    let bytes = disk::read_optional(&run.directory.join(ACCOUNT)).ok().flatten()?;
    let account: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    Some(account.get("reason")?.as_str()?.to_owned())
}
