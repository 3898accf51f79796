//! A run from its first record to its last, and what is written and said when it is over.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::assembly::Owned;
use crate::drill::conclude::conclude;
use crate::drill::record::is_drill;
use crate::notices::NoticeSender;
use crate::outcome::{Outcome, Refusal};
use crate::project::Project;
use crate::results::write_reports;
use crate::run_settings::RunSettings;
use crate::session::Session;
use crate::watchdog::{self, Supervised};
use crate::{cleanup, failed_release, locks, registry, step_runner, vouched};
use guard_engine::drive::{Acts, Arrival, drive};
use guard_engine::history::Progress;
use guard_engine::ledger::{Ledger, LedgerError};
use guard_engine::steps::SealInput;
use guard_journal::{Journal, JournalError, Run};
use guard_model::artifact::Displaced;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::fact::{Ending, Fact};
use guard_model::foreign::Material;
use guard_model::name::{ResourceName, RunId, RunKind, Timestamp};
use guard_model::now::Now;
use guard_model::plan::{Action, Plan, Step};
use guard_report::bug;

/// A run that is about to begin.
pub struct NewRun {
    /// What it will do.
    pub plan: Plan,
    /// Why, where somebody said.
    pub reason: Option<String>,
    /// What the backup is for.
    pub description: Option<String>,
    /// The resources.
    pub resources: Vec<Owned>,
    /// For an undo: what the run before displaced.
    pub undoing: Vec<Displaced>,
    /// Resources that are copied from what somebody made by hand.
    pub adopting: BTreeMap<ResourceName, Material>,
}

/// Begins a run and drives it to its end.
///
/// # Errors
/// It could not be begun: nothing was done.
pub fn start(mut new: NewRun, run: &Run, project: &Project, session: &Session) -> Outcome {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::BACKUP_FAILED, error);
    let run_settings = RunSettings::of(project);
    run_settings.write(run)?;
    registry::register(project);
    let clean = |text: &String| project.cx.redaction.clean(text);
    let seal = SealInput {
        description: new.description.as_ref().map(clean),
        target: project.target(),
        is_vouched: vouched::is_vouched(&new.resources, !new.adopting.is_empty(), project),
        environment: project.settings.environment_name.clone(),
        settings: run_settings.settings,
    };
    let backup = new.plan.backup.clone();
    let mut cx = project.context_of(run, &backup);
    let sender = NoticeSender::new(run, &cx, &[], project, &session.style.program)?;
    cx.voice = sender.voice();
    let mut runner = step_runner::of(project, cx, new.resources, new.undoing, seal)?;
    runner.adopting = new.adopting;
    runner.command.clone_from(&new.plan.command);
    new.plan.command.iter_mut().for_each(|word| *word = clean(word));
    let journal = Journal::create(&run.directory).map_err(|error| refused(&error))?;
    let opened = Fact::Opened {
        run: run.id.clone(),
        plan: Box::new(new.plan),
        actor: project.actor.clone(),
        reason: new.reason.as_ref().map(clean),
    };
    let ledger = Ledger::open(Box::new(journal), &opened, sender.voice(), project.cx.clock.clone());
    let mut ledger = ledger.map_err(|error| refused(&error))?;
    finish(&mut ledger, &runner, run, &sender, project, session)
}

/// Drives a run from where it is, and writes, says and tells what there is at its end.
///
/// # Errors
/// The journal could not be written.
pub fn finish(
    ledger: &mut Ledger,
    runner: &guard_engine::steps::StepRunner,
    run: &Run,
    sender: &NoticeSender,
    project: &Project,
    session: &Session,
) -> Outcome {
    let outcome = drive_to_end(ledger, runner, run, project, session);
    if let Err(refusal) = &outcome {
        sender.needs_person(refusal);
    }
    // What has come of the run stands; this waits only for what rules have set going, and for those who are being told.
    runner.errands.settle();
    sender.drain();
    outcome
}

fn drive_to_end(
    ledger: &mut Ledger,
    runner: &guard_engine::steps::StepRunner,
    run: &Run,
    project: &Project,
    session: &Session,
) -> Outcome {
    bug::keep_in(&run.directory);
    if let Some(visit) = &session.visit
        && let Err(error) = visit.note_run(&run.directory)
    {
        let note = format!("who asked from outside will not hear of this run's end if guard is killed: {error}");
        project.cx.note(Level::Warn, note);
    }
    let supervised = Supervised::new(runner, run, project, session);
    let arrival = drive(ledger, &supervised, &session.stop, &project.cx.voice);
    let mut exit = match &arrival {
        Ok(Arrival::Closed(ending)) => ending.exit_code(),
        Ok(Arrival::Paused) => ExitCode::CUT_OFF,
        Err(error) => return Err(journal_lost(error, ledger, &session.style.program)),
    };
    if let Ok(Arrival::Paused) = arrival {
        watchdog::pause(run, project);
    }
    if let Ok(Arrival::Closed(ending)) = arrival {
        if !matches!(ending, Ending::Untouched(_) | Ending::Unprepared(_) | Ending::Captured) {
            // What a release that stays was like at its gate stays written down; what was put back is another release.
            let is_back = matches!(
                ending,
                Ending::RolledBack(_) | Ending::RestoredUnhealthy(_) | Ending::Stuck(_)
            );
            if is_back {
                runner.keep_left_anew(&runner.cx);
            } else {
                runner.keep_left(&runner.cx);
            }
        }
        if matches!(ending, Ending::Withheld(_)) {
            // The failed release stays, for people to look at.
            runner.take_page_down(&runner.cx);
        }
        let command = Some(&runner.command).filter(|command| !command.is_empty());
        let command = command.unwrap_or(&ledger.history().plan().command);
        let drilled = conclude(run, ledger.history(), ending, runner, project);
        // What a drill has broken is no release that failed.
        if drilled.is_none() {
            failed_release::remember(run, ledger.history(), ending, command, project);
        }
        exit = drilled.unwrap_or(exit);
        cleanup::after(ledger.history(), ending, runner, project);
        cleanup::shut(runner, project);
    }
    // A backup that was adopted is the first half of a rollback.
    let is_last = (runner.adopting.is_empty() || exit != ExitCode::DONE) && !is_drill(&run.directory);
    if let Err(error) = write_reports(run, exit, is_last, project, session) {
        project
            .cx
            .note(Level::Warn, format!("the report of this run is not complete: {error}"));
    }
    if arrival.is_ok_and(|arrival| arrival == Arrival::Paused) {
        let proof = ledger.history().step(&Step::of(Action::Prove).id);
        let what = match proof.map(|past| &past.progress) {
            Some(Progress::Failed(_)) => "all is back, and its proof was stopped, as was asked twice",
            _ => "stopped between two steps, as was asked twice",
        };
        let mut refusal = Refusal::new(ExitCode::CUT_OFF, what);
        let now = runner.look_around(ledger.history());
        for sentence in now.iter().flat_map(Now::sentences) {
            refusal = refusal.because(sentence);
        }
        return Err(refusal.next("to go on", format!("{} resume", session.style.program)));
    }
    Ok(exit)
}

fn journal_lost(error: &LedgerError, ledger: &Ledger, program: &str) -> Refusal {
    let history = ledger.history();
    let touched = history.has_deploy_begun() || history.plan().ahead.is_empty();
    if touched && matches!(error, LedgerError::Journal(JournalError::Removed { .. })) {
        // Nobody can go on from a record that is gone, so no resume is promised.
        return Refusal::of_error(ExitCode::WITHHELD, error)
            .because(
                "something, the deploy command perhaps, has removed guard's own state, and with it this run's way back",
            )
            .next("to see which backups are left", format!("{program} list"));
    }
    let exit = if touched {
        ExitCode::CUT_OFF
    } else {
        ExitCode::BACKUP_FAILED
    };
    let refusal =
        Refusal::of_error(exit, error).because("nothing is done that is not announced on disk, so guard stopped here");
    if touched {
        refusal.next("when the disk can be written again", format!("{program} resume"))
    } else {
        refusal
    }
}

/// Begins a run of its own that goes back, without a copy before it.
///
/// # Errors
/// It could not be begun: nothing was done.
pub fn go_back(
    plan: Plan,
    reason: Option<String>,
    resources: Vec<Owned>,
    undoing: Vec<Displaced>,
    project: &Project,
    session: &Session,
) -> Outcome {
    let _held = locks::resources(project, &resources, Duration::ZERO)?;
    let run = claim(plan.kind, project)?;
    let new = NewRun {
        plan,
        reason,
        description: None,
        resources,
        undoing,
        adopting: std::collections::BTreeMap::new(),
    };
    start(new, &run, project, session)
}

/// Makes the directory of a run.
///
/// # Errors
/// It cannot be made.
pub fn claim(kind: RunKind, project: &Project) -> Result<Run, Refusal> {
    project
        .runs
        .claim(project.cx.clock.now(), kind)
        .map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))
}

/// Makes the directories of a backup and of the run that fills it; both have the same timestamp.
///
/// # Errors
/// One of them cannot be made.
pub fn claim_backup(kind: RunKind, project: &Project) -> Result<(Timestamp, Run), Refusal> {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::BACKUP_FAILED, error);
    loop {
        let draft = project
            .store
            .begin(project.cx.clock.now())
            .map_err(|error| refused(&error))?;
        let id = RunId::new(draft.timestamp(), kind);
        // The backup of a run may be gone, so that its name is free again; the run's is not. The draft, which nothing is in
        // yet, is swept with all that is no backup.
        if let Some(run) = project.runs.claim_named(&id).map_err(|error| refused(&error))? {
            return Ok((draft.timestamp().clone(), run));
        }
    }
}
