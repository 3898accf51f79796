//! `guard abort`: ends an unfinished run as things are, says how each thing is, and keeps everything.

use guard_engine::history::{History, Progress};
use guard_engine::ledger::Ledger;
use guard_engine::steps::has_gone_in;
use guard_journal::{Journal, Run, State};
use guard_model::artifact::Work;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::fact::{Ending, Fact, StepOutput};
use guard_model::name::{ResourceName, RunKind};
use guard_model::now::Now;
use guard_model::plan::{Action, Step};
use guard_model::text::chain;
use guard_report::tables::Table;
use guard_run::comparison::now;
use guard_run::confirmation::confirm;
use guard_run::drill::lift::end;
use guard_run::drill::record::DrillRecord;
use guard_run::notices::NoticeSender;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::project::Project;
use guard_run::request::Abort;
use guard_run::results::{ACCOUNT, write_reports};
use guard_run::session::{Session, width_of_stdout};
use guard_run::takeover::{as_begun, end_leftover_processes};
use guard_run::unfinished::{open_run, state_of};
use guard_run::{locks, preconditions};
use guard_services::{release_starters, release_updaters};
use guard_system::disk;

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
pub(super) fn abort(asked: &Abort, project: Project, session: &Session) -> Outcome {
    let _lock = locks::begin(&project, "guard abort")?;
    let Some(run) = open_run(&project.runs)? else {
        project
            .cx
            .note(Level::Info, "nothing is unfinished, so there is nothing to end");
        return Ok(ExitCode::DONE);
    };
    // The answer is given for now, and not for the beginning of the run.
    let is_confirmed = project.settings.confirmed;
    let mut project = as_begun(project, &run, session)?;
    project.settings.confirmed = is_confirmed;
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::CUT_OFF, error);
    let (journal, records) = Journal::open(&run.directory).map_err(|error| refused(&error))?;
    let history = History::of(&records).map_err(|error| refused(&error))?;
    if preconditions::is_harmless(&history) {
        drop(journal);
        preconditions::close_harmless(&run, &project)?;
        let is_closed = matches!(state_of(&run)?, State::Closed(Ending::Untouched(_)));
        return Ok(if is_closed {
            ExitCode::INTERRUPTED_EARLY
        } else {
            ExitCode::CUT_OFF
        });
    }
    session.reporter.recall(&records);
    end_leftover_processes(&run, &history, &project);
    if let Err(refusal) = preconditions::recover_resources(&run, &project) {
        let why = refusal.account.failed;
        project.cx.note(
            Level::Warn,
            format!("something that the run holds is still held: {why}"),
        );
    }
    let standings = standings(&history, &project)?;
    let mut table = Table::new(["resource", "the run left it", "now"]);
    for standing in &standings {
        table = table.row([standing.name.to_string(), standing.left.clone(), standing.now.clone()]);
    }
    session
        .reporter
        .data(format!("The run {}\n{}", run.id, table.render(Some(width_of_stdout()))));
    if let Some(warning) = stopped(&history) {
        project.cx.note(Level::Warn, warning);
    }
    let question = format!("End {} here, with everything as it is?", run.id);
    confirm(&question, "abort", project.settings.confirmed, session)?;
    let mut told = let_in(&run, &history, &project)?;
    told.extend(let_go(&run, &history, &project));
    told.extend(preconditions::stand_down(&run, &project)?);
    told.extend(unfault(&run, &history, &project)?);
    write_account(&run, asked, &standings, &project)?;
    let cx = project.context_of(&run, &history.plan().backup);
    let sender = NoticeSender::new(&run, &cx, &records, &project, &session.style.program)?;
    let ledger = Ledger::reopen(Box::new(journal), &records, sender.voice(), project.cx.clock.clone());
    let mut ledger = ledger.map_err(|error| refused(&error))?;
    let reopened = Fact::Reopened {
        actor: project.actor.clone(),
    };
    let closed = Fact::Closed {
        ending: Ending::Abandoned,
        now: Some(Box::new(Now {
            others: told
                .iter()
                .map(|sentence| format!("{}.", project.cx.redaction.clean(sentence)))
                .collect(),
            ..Now::default()
        })),
    };
    for fact in [reopened, closed] {
        ledger.append(&fact).map_err(|error| refused(&error))?;
    }
    if let Err(error) = write_reports(&run, ExitCode::ABANDONED, true, &project, session) {
        project
            .cx
            .note(Level::Warn, format!("the report of this run is not complete: {error}"));
    }
    sender.drain();
    Ok(ExitCode::ABANDONED)
}

/// Lets clients into data that the run has shut: nobody else would. Returns what is to be said of it at the end.
fn let_in(run: &Run, history: &History, project: &Project) -> Result<Vec<String>, Refusal> {
    let cx = project.context_of(run, &history.plan().backup);
    let mut told = Vec::new();
    for owned in project.resources()? {
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

/// Takes away what a drill has injected: the fault is no state that anybody wants to keep. Returns what is to be said of it at the
/// end.
fn unfault(run: &Run, history: &History, project: &Project) -> Result<Vec<String>, Refusal> {
    let record = DrillRecord::of(&run.directory).map_err(|error| Refusal::of_error(ExitCode::CUT_OFF, &error))?;
    let Some(record) = record else {
        return Ok(Vec::new());
    };
    let mut told = end(
        &run.directory,
        &record,
        &project.context_of(run, &history.plan().backup),
    );
    told.push(format!(
        "the fault of the drill, {}, is no longer injected",
        record.fault
    ));
    Ok(told)
}

/// Lets go of what the way back holds and the next start would have let go. Returns what is to be said of it at the end.
fn let_go(run: &Run, history: &History, project: &Project) -> Vec<String> {
    let cx = project.context_of(run, &history.plan().backup);
    let services = project.services();
    services.end_copy(&cx);
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

fn standings(history: &History, project: &Project) -> Result<Vec<Standing>, Refusal> {
    let backup = project.store.get(&history.plan().backup);
    let owned = project.resources()?;
    let now_of = |name: &ResourceName| {
        let backup = backup.as_ref().map_err(|error| format!("cannot be compared: {error}"));
        let artifact = backup.and_then(|backup| {
            let artifact = backup.manifest.artifact(name);
            let none = || "the backup has no copy of it".to_owned();
            artifact.map(|artifact| (artifact, backup)).ok_or_else(none)
        });
        let owned = owned.iter().find(|owned| owned.resource.name() == name);
        match (artifact, owned) {
            (Ok((artifact, backup)), Some(owned)) => now(owned, artifact, backup, project),
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
        Progress::Done(StepOutput::Quiesced(names)) if !names.is_empty() => names.join(", "),
        _ => "the services".to_owned(),
    };
    Some(format!(
        "{names}: stopped for the way back and not started again, and guard does not do it now; a maintenance page may be up"
    ))
}

fn write_account(run: &Run, asked: &Abort, standings: &[Standing], project: &Project) -> Result<(), Refusal> {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::CUT_OFF, error);
    let resources: Vec<_> = standings
        .iter()
        .map(|standing| serde_json::json!({ "resource": standing.name, "left": standing.left, "now": standing.now }))
        .collect();
    let account = serde_json::json!({
        "at": project.cx.clock.now(),
        "by": format!("{}@{}", project.actor.user, project.actor.host),
        "reason": asked.reason,
        "resources": resources,
    });
    let text = serde_json::to_string_pretty(&account).map_err(|error| refused(&error))?;
    let text = project.cx.redaction.clean(&text);
    disk::write_whole(&run.directory.join(ACCOUNT), text.as_bytes()).map_err(|error| refused(&error))
}
