//! A run from its first record to its last, and what is written and said when it is over.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::assembly::Owned;
use crate::notices::Herald;
use crate::outcome::{Outcome, Refusal};
use crate::project::Bench;
use crate::results::write_reports;
use crate::run_settings::Luggage;
use crate::session::Desk;
use crate::watchdog::{self, Attended};
use crate::{cleanup, crew, failed_release, locks, registry, vouched};
use guard_engine::crew::SealInput;
use guard_engine::drive::{Acts, Arrival, drive};
use guard_engine::ledger::{Ledger, LedgerError};
use guard_journal::{Journal, JournalError, Run};
use guard_model::artifact::Displaced;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::fact::{Ending, Fact};
use guard_model::foreign::Material;
use guard_model::name::{ResourceName, RunId, RunKind, Timestamp};
use guard_model::now::Now;
use guard_model::plan::Plan;
use guard_report::bug;

/// A run that is about to begin.
pub struct Departure {
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
pub fn depart(mut departure: Departure, run: &Run, bench: &Bench, desk: &Desk) -> Outcome {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::BACKUP_FAILED, error);
    let luggage = Luggage::of(bench);
    luggage.pack(run)?;
    registry::register(bench);
    let clean = |text: &String| bench.cx.redaction.clean(text);
    let seal = SealInput {
        description: departure.description.as_ref().map(clean),
        target: bench.target(),
        is_vouched: vouched::is_vouched(&departure.resources, !departure.adopting.is_empty(), bench),
        environment: bench.settings.environment_name.clone(),
        settings: luggage.settings,
    };
    let backup = departure.plan.backup.clone();
    let mut cx = bench.context_of(run, &backup);
    let herald = Herald::new(run, &cx, &[], bench, desk)?;
    cx.voice = herald.voice();
    let mut crew = crew::of(bench, cx, departure.resources, departure.undoing, seal)?;
    crew.adopting = departure.adopting;
    crew.command.clone_from(&departure.plan.command);
    departure.plan.command.iter_mut().for_each(|word| *word = clean(word));
    let journal = Journal::create(&run.directory).map_err(|error| refused(&error))?;
    let opened = Fact::Opened {
        run: run.id.clone(),
        plan: Box::new(departure.plan),
        actor: bench.actor.clone(),
        reason: departure.reason.as_ref().map(clean),
    };
    let ledger = Ledger::open(Box::new(journal), &opened, herald.voice(), bench.cx.clock.clone());
    let mut ledger = ledger.map_err(|error| refused(&error))?;
    finish(&mut ledger, &crew, run, &herald, bench, desk)
}

/// Drives a run from where it is, and writes, says and tells what there is at its end.
///
/// # Errors
/// The journal could not be written.
pub fn finish(
    ledger: &mut Ledger,
    crew: &guard_engine::crew::Crew,
    run: &Run,
    herald: &Herald,
    bench: &Bench,
    desk: &Desk,
) -> Outcome {
    let outcome = drive_to_end(ledger, crew, run, bench, desk);
    if let Err(refusal) = &outcome {
        herald.needs_person(refusal);
    }
    // What has come of the run stands; this waits only for what rules have set going, and for those who are being told.
    crew.errands.settle();
    herald.settle();
    outcome
}

fn drive_to_end(
    ledger: &mut Ledger,
    crew: &guard_engine::crew::Crew,
    run: &Run,
    bench: &Bench,
    desk: &Desk,
) -> Outcome {
    bug::keep_in(&run.directory);
    let attended = Attended::new(crew, run, bench, desk);
    let arrival = drive(ledger, &attended, &desk.stop, &bench.cx.voice);
    let exit = match &arrival {
        Ok(Arrival::Closed(ending)) => ending.exit_code(),
        Ok(Arrival::Paused) => ExitCode::CUT_OFF,
        Err(error) => return Err(journal_lost(error, ledger, desk)),
    };
    if let Ok(Arrival::Paused) = arrival {
        watchdog::dismiss(run, bench);
    }
    if let Ok(Arrival::Closed(ending)) = arrival {
        if !matches!(ending, Ending::Untouched(_) | Ending::Unprepared(_) | Ending::Captured) {
            // What a release that stays was like at its gate stays written down; what was put back is another release.
            let is_back = matches!(
                ending,
                Ending::RolledBack(_) | Ending::RestoredUnhealthy(_) | Ending::Stuck(_)
            );
            crew.keep_left(is_back, &crew.cx);
        }
        if matches!(ending, Ending::Withheld(_)) {
            // The failed release stays, for people to look at.
            crew.take_page_down(&crew.cx);
        }
        let command = Some(&crew.command).filter(|command| !command.is_empty());
        let command = command.unwrap_or(&ledger.history().plan().command);
        failed_release::remember(run, ledger.history(), ending, command, bench);
        cleanup::after(ledger.history(), ending, crew, bench);
        cleanup::shut(crew, bench);
    }
    // A backup that was adopted is the first half of a rollback.
    let is_last = crew.adopting.is_empty() || exit != ExitCode::DONE;
    if let Err(error) = write_reports(run, exit, is_last, bench, desk) {
        bench
            .cx
            .note(Level::Warn, format!("the report of this run is not complete: {error}"));
    }
    if arrival.is_ok_and(|arrival| arrival == Arrival::Paused) {
        let mut refusal = Refusal::new(ExitCode::CUT_OFF, "stopped between two steps, as was asked twice");
        let now = crew.look_around(ledger.history());
        for sentence in now.iter().flat_map(Now::sentences) {
            refusal = refusal.because(sentence);
        }
        return Err(refusal.next("to go on", format!("{} resume", desk.style.program)));
    }
    Ok(exit)
}

fn journal_lost(error: &LedgerError, ledger: &Ledger, desk: &Desk) -> Refusal {
    let history = ledger.history();
    let touched = history.has_deploy_begun() || history.plan().ahead.is_empty();
    if touched && matches!(error, LedgerError::Journal(JournalError::Removed { .. })) {
        // Nobody can go on from a record that is gone, so no resume is promised.
        return Refusal::of_error(ExitCode::WITHHELD, error)
            .because(
                "something, the deploy command perhaps, has removed guard's own state, and with it this run's way back",
            )
            .next("to see which backups are left", format!("{} list", desk.style.program));
    }
    let exit = if touched {
        ExitCode::CUT_OFF
    } else {
        ExitCode::BACKUP_FAILED
    };
    let refusal =
        Refusal::of_error(exit, error).because("nothing is done that is not announced on disk, so guard stopped here");
    if touched {
        refusal.next(
            "when the disk can be written again",
            format!("{} resume", desk.style.program),
        )
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
    bench: &Bench,
    desk: &Desk,
) -> Outcome {
    let _held = locks::resources(bench, &resources, Duration::ZERO)?;
    let run = claim(plan.kind, bench)?;
    let departure = Departure {
        plan,
        reason,
        description: None,
        resources,
        undoing,
        adopting: std::collections::BTreeMap::new(),
    };
    depart(departure, &run, bench, desk)
}

/// Makes the directory of a run.
///
/// # Errors
/// It cannot be made.
pub fn claim(kind: RunKind, bench: &Bench) -> Result<Run, Refusal> {
    bench
        .runs
        .claim(bench.cx.clock.now(), kind)
        .map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))
}

/// Makes the directories of a backup and of the run that fills it; both have the same timestamp.
///
/// # Errors
/// One of them cannot be made.
pub fn claim_backup(kind: RunKind, bench: &Bench) -> Result<(Timestamp, Run), Refusal> {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::BACKUP_FAILED, error);
    loop {
        let draft = bench
            .store
            .begin(bench.cx.clock.now())
            .map_err(|error| refused(&error))?;
        let id = RunId::new(draft.timestamp(), kind);
        // The backup of a run may be gone, so that its name is free again; the run's is not. The draft, which nothing is in
        // yet, is swept with all that is no backup.
        if let Some(run) = bench.runs.claim_named(&id).map_err(|error| refused(&error))? {
            return Ok((draft.timestamp().clone(), run));
        }
    }
}
