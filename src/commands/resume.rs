//! `guard resume`: finishes a run that was cut off, as it was begun, whatever the settings say by now.

use std::time::Duration;

use super::everywhere;
use super::journey::{finish, is_told};
use super::keys;
use super::locks;
use super::luggage::{Luggage, Place};
use super::notices::Herald;
use super::refusal::{Outcome, Refusal};
use super::request::Resume;
use super::session::{self, state_of};
use super::setup::Desk;
use super::standby;
use super::workbench::{Bench, Owned};
use guard_engine::crew::{DEPLOY_LOG, SealInput};
use guard_engine::history::History;
use guard_engine::ledger::Ledger;
use guard_journal::{Journal, Run, Runs, State, strangeness};
use guard_model::artifact::Displaced;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::fact::Fact;
use guard_model::name::{ResourceName, RunKind};
use guard_model::setting::nearest_or_all;
use guard_system::disk;
use guard_system::leftovers::{await_acts, end_leftovers};

/// How long the lock on a database is asked for.
const MOMENT: Duration = Duration::from_secs(5);

/// Finishes what was cut off.
///
/// # Errors
/// Another run holds the lock, or the run cannot be understood or continued.
pub(super) fn resume(asked: &Resume, bench: Bench, desk: &Desk) -> Outcome {
    let lock = session::begin(&bench, "guard resume")?;
    let Some(run) = open_run(&bench.runs)? else {
        if let Some(run) = untold(&bench)? {
            return tell_run(&run, &as_begun(bench, &run, desk)?, desk);
        }
        drop(lock);
        // A release that gives the project another name has another state.
        if let Some(outcome) = everywhere::resume_of(&bench.settings.directory, &bench.wish.flags, desk) {
            return outcome;
        }
        refuse_lost_journal(&bench, desk)?;
        bench.cx.note(Level::Info, "nothing is unfinished");
        return Ok(ExitCode::DONE);
    };
    let bench = as_begun(bench, &run, desk)?;
    let skip = known(&asked.skip, &run)?;
    take_up(&run, Going::On(&skip), &bench, desk)
}

/// The resources of a run by these names.
///
/// # Errors
/// The run has none of that name.
fn known(names: &[String], run: &Run) -> Result<Vec<ResourceName>, Refusal> {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::CUT_OFF, error);
    let records = run.read().map_err(|error| refused(&error))?;
    let history = History::of(&records).map_err(|error| refused(&error))?;
    let there: Vec<&ResourceName> = history.plan().swapped().collect();
    let find = |name: &String| {
        let found = there.iter().find(|one| one.as_str() == name);
        found.map(|one| (*one).clone()).ok_or_else(|| {
            let all: Vec<&str> = there.iter().map(|one| one.as_str()).collect();
            let why = nearest_or_all(name, &all);
            Refusal::new(
                ExitCode::USAGE,
                format!("the run {} puts back nothing called {name:?}", run.id),
            )
            .because(why)
        })
    };
    names.iter().map(find).collect()
}

/// Whether the run went as far as its deploy command, and somebody has removed its journal since.
#[must_use]
pub(super) fn has_lost_journal(run: &Run) -> bool {
    matches!(run.state(), Ok(State::Empty)) && disk::exists(&run.directory.join(DEPLOY_LOG)).unwrap_or(false)
}

/// Says so where the newest run may be unfinished, and nobody can tell: the backup that it made is still the way back.
fn refuse_lost_journal(bench: &Bench, desk: &Desk) -> Result<(), Refusal> {
    let newest = bench
        .runs
        .newest()
        .map_err(|error| Refusal::of_error(ExitCode::UNFINISHED, &error))?;
    let Some(run) = newest.filter(has_lost_journal) else {
        return Ok(());
    };
    let refusal = Refusal::new(
        ExitCode::UNFINISHED,
        format!("the run {} began its deploy command, and its journal is gone", run.id),
    );
    let backup = run.id.timestamp();
    Err(refusal
        .because("how far it came is not known, so nobody can go on with it; its backup does not depend on the journal")
        .next(
            "to go back to the state before it",
            format!("{} rollback --backup-timestamp={backup}", desk.style.program),
        ))
}

/// The newest run, where it is over and was cut off before it had said so.
fn untold(bench: &Bench) -> Result<Option<Run>, Refusal> {
    let newest = bench
        .runs
        .newest()
        .map_err(|error| Refusal::of_error(ExitCode::CUT_OFF, &error))?;
    let Some(run) = newest else { return Ok(None) };
    Ok((matches!(state_of(&run)?, State::Closed(_)) && !is_told(&run)?).then_some(run))
}

/// Finishes this run with the bench of its beginning. Whoever calls holds the lock.
///
/// # Errors
/// The run cannot be understood or continued.
pub(super) fn finish_run(run: &Run, bench: &Bench, desk: &Desk) -> Outcome {
    take_up(run, Going::On(&[]), bench, desk)
}

/// Does what a run that is over has left behind its last record: clears up, and writes its reports. Whoever calls holds the
/// lock.
///
/// # Errors
/// The run cannot be understood.
pub(super) fn tell_run(run: &Run, bench: &Bench, desk: &Desk) -> Outcome {
    take_up(run, Going::Over, bench, desk)
}

/// Whether a run is gone on with.
#[derive(Clone, Copy)]
enum Going<'a> {
    /// It is; without these resources.
    On(&'a [ResourceName]),
    /// It is over, and only has to say so.
    Over,
}

fn take_up(run: &Run, going: Going<'_>, bench: &Bench, desk: &Desk) -> Outcome {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::CUT_OFF, error);
    let (journal, records) = Journal::open(&run.directory).map_err(|error| refused(&error))?;
    if let Some(why) = strangeness(&run.id, &records, &bench.actor) {
        return Err(Refusal::new(
            ExitCode::NEWER,
            format!("the run {} does not belong here: {why}", run.id),
        ));
    }
    desk.reporter.recall(&records);
    let history = History::of(&records).map_err(|error| refused(&error))?;
    let found = match going {
        Going::On(_) => found(&history),
        Going::Over => format!("found {run}: it was over, and had not said so yet", run = run.id),
    };
    bench.cx.note(Level::Info, found);
    silence(run, &history, bench);
    standby::welcome(run);
    keys::mend_terminal(run);
    session::settle_resources(run, bench)?;
    let undoing = undoing(&history, bench)?;
    let mut cx = bench.context_of(run, &history.plan().backup);
    let herald = Herald::new(run, &cx, &records, bench, desk)?;
    cx.voice = herald.voice();
    let seal = SealInput {
        target: bench.target(),
        // A copy that was cut off is not taken up again.
        is_vouched: false,
        environment: bench.settings.environment_name.clone(),
        settings: bench.settings.source.text.clone(),
        description: history.reason().map(str::to_owned),
    };
    let resources: Vec<Owned> = bench.resources()?;
    // The session of the guard that was killed may take a moment to end.
    let _held = locks::resources(bench, &resources, MOMENT)?;
    let crew = bench.crew(cx, resources, undoing, seal)?;
    let ledger = Ledger::reopen(Box::new(journal), &records, herald.voice(), bench.cx.clock.clone());
    let mut ledger = ledger.map_err(|error| refused(&error))?;
    if let Going::On(skip) = going {
        let actor = bench.actor.clone();
        let resources = skip.to_vec();
        let left_out = (!resources.is_empty()).then_some(Fact::LeftOut { resources });
        let rollback_timeout = bench.settings.policy.rollback_timeout;
        let limited =
            (rollback_timeout != history.plan().policy.rollback_timeout).then_some(Fact::Limited { rollback_timeout });
        for fact in std::iter::once(Fact::Reopened { actor }).chain(left_out).chain(limited) {
            ledger.append(&fact).map_err(|error| refused(&error))?;
        }
    }
    finish(&mut ledger, &crew, run, &herald, bench, desk)
}

/// Ends what a killed guard has left running: two actors on one target would be the end of every promise.
pub(super) fn silence(run: &Run, history: &History, bench: &Bench) {
    let acts = await_acts(&run.directory, history.actor(), &bench.cx);
    if acts > 0 {
        bench.cx.note(
            Level::Info,
            format!("waited for {acts} programs that the killed guard had begun"),
        );
    }
    let ended = end_leftovers(&bench.marks(run, &history.plan().backup), history.actor(), &bench.cx);
    if ended > 0 {
        bench.cx.note(
            Level::Warn,
            format!("ended {ended} processes of its commands that were still running"),
        );
    }
}

/// The run that has to be finished: the newest that is open, or else the one that is stuck, where nothing since has put that
/// right.
///
/// # Errors
/// The runs cannot be listed, or a journal cannot be read.
pub(super) fn open_run(runs: &Runs) -> Result<Option<Run>, Refusal> {
    let list = runs
        .list()
        .map_err(|error| Refusal::of_error(ExitCode::CUT_OFF, &error))?;
    for run in &list {
        if state_of(run)? == State::Open {
            return Ok(Some(run.clone()));
        }
    }
    Ok(session::stuck(&list)?.cloned())
}

/// What was found, and what will be done, in a sentence.
fn found(history: &History) -> String {
    let run = history.run();
    let so_far = match history.turned() {
        Some(_) => "it was walking back; going on with that",
        None if !history.has_deploy_begun() => {
            "the deploy command had not begun; production is untouched, and the run is closed"
        }
        None => match history.yielded(&guard_model::plan::Action::Deploy) {
            Some(_) => "the deploy command had ended well; looking at the release for the time that is left",
            None => "it was cut off inside the deploy command; that never runs twice, and unknown is not success",
        },
    };
    format!("found {run}: {so_far}")
}

/// The bench as it was when the run began; the present one for a run that took nothing with it.
///
/// # Errors
/// Its settings cannot be read here.
pub(super) fn as_begun(bench: Bench, run: &Run, desk: &Desk) -> Result<Bench, Refusal> {
    let Some(mut luggage) = Luggage::unpack(run)? else {
        return Ok(bench);
    };
    correct(&mut luggage, run, &bench)?;
    let place = Place {
        directory: &bench.settings.directory,
        state_dir: &bench.settings.state_dir,
        backup_dir: &bench.settings.backup_dir,
    };
    luggage.bench(&place, &bench.wish.flags, desk)
}

/// Takes up a correction of the settings for a run that walks back; ahead of that, it ends as it was begun.
fn correct(luggage: &mut Luggage, run: &Run, bench: &Bench) -> Result<(), Refusal> {
    let records = run.read().unwrap_or_default();
    let Some(last) = records.last() else { return Ok(()) };
    let walks_back =
        History::of(&records).is_ok_and(|history| history.turned().is_some() || history.plan().ahead.is_empty());
    if walks_back && luggage.take_up_correction(run, last.at, bench)? {
        let name = &bench.settings.source.name;
        let what = format!(
            "{name} was changed since the run stopped: it says now where production is and how it is put back; what was \
             copied is as it was"
        );
        bench.cx.note(Level::Warn, what);
    }
    Ok(())
}

/// For an undo that was cut off: what the run before it had displaced.
fn undoing(history: &History, bench: &Bench) -> Result<Vec<Displaced>, Refusal> {
    if history.plan().kind != RunKind::Undo {
        return Ok(Vec::new());
    }
    super::undo::displaced_before(Some(history.run()), bench).map(|(_, displaced)| displaced)
}
