//! The one road of whoever goes on with a run that somebody else has begun: its watchdog, `guard resume`, `guard resume --all`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::assembly::Owned;
use crate::lifecycle::finish;
use crate::notices::Herald;
use crate::outcome::{Outcome, Refusal};
use crate::project::Bench;
use crate::registry::states;
use crate::request::flags::Flags;
use crate::run_settings::{Luggage, Place};
use crate::session::Desk;
use crate::unfinished::open_run;
use crate::{crew, kept, keys, locks, preconditions, watchdog};
use guard_config::state_root;
use guard_engine::crew::SealInput;
use guard_engine::history::History;
use guard_engine::ledger::Ledger;
use guard_journal::{Journal, Run, Runs, strangeness};
use guard_model::artifact::Displaced;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::fact::Fact;
use guard_model::name::{ResourceName, RunKind};
use guard_system::disk::{self, DiskError};
use guard_system::leftovers::{await_acts, end_leftovers};

/// How long the lock on a database is asked for.
const MOMENT: Duration = Duration::from_secs(5);

/// Finishes this run with the bench of its beginning. Whoever calls holds the lock.
///
/// # Errors
/// The run cannot be understood or continued.
pub fn finish_run(run: &Run, bench: &Bench, desk: &Desk) -> Outcome {
    take_up(run, Going::On(&[]), bench, desk)
}

/// Does what a run that is over has left behind its last record: clears up, and writes its reports. Whoever calls holds the
/// lock.
///
/// # Errors
/// The run cannot be understood.
pub fn tell_run(run: &Run, bench: &Bench, desk: &Desk) -> Outcome {
    take_up(run, Going::Over, bench, desk)
}

/// Whether a run is gone on with.
#[derive(Clone, Copy)]
pub enum Going<'a> {
    /// It is; without these resources.
    On(&'a [ResourceName]),
    /// It is over, and only has to say so.
    Over,
}

/// Goes on with a run, or tells of it where it is over. Whoever calls holds the lock.
///
/// # Errors
/// The run cannot be understood or continued.
pub fn take_up(run: &Run, going: Going<'_>, bench: &Bench, desk: &Desk) -> Outcome {
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
    watchdog::welcome(run);
    keys::mend_terminal(run);
    preconditions::settle_resources(run, bench)?;
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
    let crew = crew::of(bench, cx, resources, undoing, seal)?;
    let ledger = Ledger::reopen(Box::new(journal), &records, herald.voice(), bench.cx.clock.clone());
    let mut ledger = ledger.map_err(|error| refused(&error))?;
    if let Going::On(skip) = going {
        let actor = bench.actor.clone();
        let resources = skip.to_vec();
        let left_out = (!resources.is_empty()).then_some(Fact::LeftOut { resources });
        for fact in std::iter::once(Fact::Reopened { actor }).chain(left_out) {
            ledger.append(&fact).map_err(|error| refused(&error))?;
        }
    }
    finish(&mut ledger, &crew, run, &herald, bench, desk)
}

/// Ends what a killed guard has left running: two actors on one target would be the end of every promise.
pub fn silence(run: &Run, history: &History, bench: &Bench) {
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
pub fn as_begun(bench: Bench, run: &Run, desk: &Desk) -> Result<Bench, Refusal> {
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
    kept::displaced_before(Some(history.run()), bench).map(|(_, displaced)| displaced)
}

/// An unfinished run, and where it was found.
pub struct Found {
    state: PathBuf,
    /// The run.
    pub run: Run,
    /// What it was begun with.
    pub luggage: Luggage,
}

/// What is unfinished in a state; its settings hold commands, so it must be ours alone.
///
/// # Errors
/// The state can be read by others, or its run cannot be understood.
pub fn look(state: &Path) -> Result<Option<Found>, Refusal> {
    let refused = |error: &DiskError| Refusal::of_error(ExitCode::UNFINISHED, error);
    if let Some(why) = disk::exposure(state).map_err(|error| refused(&error))? {
        return Err(Refusal::new(ExitCode::UNFINISHED, why));
    }
    let Some(run) = open_run(&Runs::below(state))? else {
        return Ok(None);
    };
    let missing = || Refusal::new(ExitCode::UNFINISHED, format!("the run {} has no request.json", run.id));
    let luggage = Luggage::unpack(&run)?.ok_or_else(missing)?;
    Ok(Some(Found {
        state: state.to_owned(),
        run,
        luggage,
    }))
}

impl Found {
    /// Finishes it, `now` being the flags of whoever goes on.
    ///
    /// # Errors
    /// Its settings cannot be read here, or the run cannot be continued.
    pub fn finish(&self, now: &Flags, doing: &str, desk: &Desk) -> Outcome {
        let place = Place {
            directory: &self.luggage.directory,
            state_dir: &self.state,
            backup_dir: &self.luggage.backup_dir,
        };
        let bench = self.luggage.bench(&place, now, desk)?;
        let _lock = locks::begin(&bench, doing)?;
        // Whoever held the lock may have finished it.
        match open_run(&bench.runs)? {
            Some(run) if run.id == self.run.id => finish_run(&self.run, &bench, desk),
            _ => Ok(ExitCode::DONE),
        }
    }
}

/// Finishes the run that was begun in this directory, whatever its settings say by now and wherever its state is; `None`
/// where there is none.
#[must_use]
pub fn resume_of(directory: &Path, now: &Flags, desk: &Desk) -> Option<Outcome> {
    let root = state_root(&desk.wish_from(directory))?;
    let mut all = states(&root)
        .ok()?
        .into_iter()
        .filter_map(|state| look(&state).ok().flatten());
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let found = all.find(|found| real(&found.luggage.directory) == real(directory))?;
    Some(found.finish(now, "guard resume", desk))
}
