//! A run from its first record to its last, and what is written and said when it is over.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::everywhere;
use super::luggage::Luggage;
use super::notices::Herald;
use super::refusal::{Outcome, Refusal};
use super::remembered;
use super::retention;
use super::setup::Desk;
use super::standby::{self, Attended};
use super::vouched;
use super::workbench::{Bench, Owned};
use guard_engine::crew::SealInput;
use guard_engine::drive::{Acts, Arrival, drive};
use guard_engine::history::Progress;
use guard_engine::ledger::{Ledger, LedgerError};
use guard_journal::{Journal, JournalError, Run};
use guard_model::artifact::Displaced;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::fact::{Ending, Fact};
use guard_model::foreign::Material;
use guard_model::health::Reading;
use guard_model::name::ResourceName;
use guard_model::now::Now;
use guard_model::plan::{Action, Plan, Step};
use guard_probes::Starts;
use guard_report::bug;
use guard_report::ci;
use guard_report::incident::incident;
use guard_report::result::Outcome as Told;
use guard_system::disk;

/// What has become of a run, for machines.
const RESULT: &str = "result.json";

/// A run that is about to begin.
pub(super) struct Departure {
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
pub(super) fn depart(mut departure: Departure, run: &Run, bench: &Bench, desk: &Desk) -> Outcome {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::BACKUP_FAILED, error);
    let luggage = Luggage::of(bench);
    luggage.pack(run)?;
    everywhere::register(bench);
    let clean = |text: &String| bench.cx.redaction.clean(text);
    let seal = SealInput {
        description: departure.description.as_ref().map(clean),
        target: bench.target(),
        is_vouched: vouched::is_vouched(&departure, bench),
        environment: bench.settings.environment_name.clone(),
        settings: luggage.settings,
    };
    let backup = departure.plan.backup.clone();
    let mut cx = bench.context_of(run, &backup);
    let herald = Herald::new(run, &cx, &[], bench, desk)?;
    cx.voice = herald.voice();
    let mut crew = bench.crew(cx, departure.resources, departure.undoing, seal)?;
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
pub(super) fn finish(
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
        standby::dismiss(run, bench);
    }
    if let Ok(Arrival::Closed(ending)) = arrival {
        if !matches!(ending, Ending::Untouched(_) | Ending::Unprepared(_) | Ending::Captured) {
            // What a release that stays was like at its gate stays written down; what was put back is another release.
            let is_back = matches!(
                ending,
                Ending::RolledBack(_) | Ending::RestoredUnhealthy(_) | Ending::Stuck(_)
            );
            if is_back {
                crew.keep_left_anew(&crew.cx);
            } else {
                crew.keep_left(&crew.cx);
            }
        }
        if matches!(ending, Ending::Withheld(_)) {
            // The failed release stays, for people to look at.
            crew.take_page_down(&crew.cx);
        }
        let command = Some(&crew.command).filter(|command| !command.is_empty());
        let command = command.unwrap_or(&ledger.history().plan().command);
        remembered::remember(run, ledger.history(), ending, command, bench);
        retention::after(ledger.history(), ending, crew, bench);
        retention::shut(crew, bench);
    }
    // A backup that was adopted is the first half of a rollback.
    let is_last = crew.adopting.is_empty() || exit != ExitCode::DONE;
    if let Err(error) = write_reports(run, exit, is_last, bench, desk) {
        bench
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

/// Whether a run has said what became of it: a guard that is killed behind its last record has not.
///
/// # Errors
/// The run's directory cannot be read.
pub(super) fn is_told(run: &Run) -> Result<bool, Refusal> {
    disk::exists(&run.directory.join(RESULT)).map_err(|error| Refusal::of_error(ExitCode::CUT_OFF, &error))
}

/// `result.json` for every run, `incident.md` for one that failed, and what a CI system wants to know; the run has the last
/// word of the program, unless another one follows it.
///
/// # Errors
/// They cannot be written.
pub(super) fn write_reports(
    run: &Run,
    exit: ExitCode,
    is_last: bool,
    bench: &Bench,
    desk: &Desk,
) -> Result<(), Box<dyn std::error::Error>> {
    let records = run.read()?;
    let path = run.directory.join("incident.md");
    let is_bad = exit != ExitCode::DONE;
    let text = incident(&records, &readings(run)?, &bench.cx.redaction, &desk.style.program);
    if is_bad {
        disk::write_whole(&path, text.as_bytes())?;
        bench.cx.note(Level::Info, format!("report: {}", path.display()));
    }
    let told = Told::of(&records, is_bad.then_some(path.as_path()), &desk.style.program);
    let value = told.to_value(&bench.cx.redaction);
    let clean = bench.cx.redaction.clean(&serde_json::to_string_pretty(&value)?);
    disk::write_whole(&run.directory.join(RESULT), clean.as_bytes())?;
    if let Some(system) = &desk.style.ci {
        ci::publish(system, &told, &text)?;
    }
    if desk.style.json && is_last {
        desk.reporter
            .finish(Some(serde_json::from_str(&clean)?), std::time::Duration::from_secs(1));
    }
    Ok(())
}

/// The readings of a run's probes, as they were kept; a line that was cut off is passed over, and so is what guard asked for
/// itself.
fn readings(run: &Run) -> Result<Vec<Reading>, disk::DiskError> {
    let path: PathBuf = run.directory.join("probes.jsonl");
    let text = disk::read_text_optional(&path)?.unwrap_or_default();
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|reading: &Reading| !Starts::is_name(&reading.probe))
        .collect())
}

/// Whether a run of this ending has left the failed state for a person.
#[must_use]
pub(super) fn is_left(ending: Ending) -> bool {
    matches!(
        ending,
        Ending::Withheld(_) | Ending::NothingToUndo(_) | Ending::Untouched(_) | Ending::Unprepared(_)
    )
}
