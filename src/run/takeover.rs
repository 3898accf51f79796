//! The one road of whoever goes on with a run that somebody else has begun: its watchdog, `guard resume`, `guard resume --all`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::assembly::Owned;
use crate::lifecycle::finish;
use crate::notices::NoticeSender;
use crate::outcome::{Outcome, Refusal};
use crate::project::Project;
use crate::registry::states;
use crate::request::flags::Flags;
use crate::results::is_told;
use crate::run_settings::{Place, RunSettings};
use crate::session::Session;
use crate::unfinished::open_run;
use crate::{kept, keys, locks, preconditions, step_runner, watchdog};
use guard_config::state_root;
use guard_engine::history::History;
use guard_engine::ledger::Ledger;
use guard_engine::steps::SealInput;
use guard_journal::{Journal, Run, Runs, State, strangeness};
use guard_model::artifact::Displaced;
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::fact::Fact;
use guard_model::name::{ResourceName, RunKind};
use guard_system::disk::{self, DiskError};
use guard_system::leftovers::{await_acts, end_leftovers};

/// How long the lock on a database is asked for.
const MOMENT: Duration = Duration::from_secs(5);

/// What is left to do of a run.
#[derive(Clone, Copy)]
pub enum Remaining<'a> {
    /// The rest of it, without these resources.
    Steps(&'a [ResourceName]),
    /// It is over: what comes behind its last record, which is to clear up and to write its reports.
    Report,
}

/// What a guard that is gone has left of a run; `None`: nothing, or a person wants it to rest.
///
/// # Errors
/// The journal cannot be read.
pub fn remaining(run: &Run) -> Result<Option<Remaining<'static>>, Refusal> {
    let state = run
        .state()
        .map_err(|error| Refusal::of_error(ExitCode::CUT_OFF, &error))?;
    Ok(match state {
        State::Open if !watchdog::is_paused(run) => Some(Remaining::Steps(&[])),
        State::Closed(_) if !is_told(run)? => Some(Remaining::Report),
        _ => None,
    })
}

/// Does what is left of a run, with the project of its beginning. Whoever calls holds the lock.
///
/// # Errors
/// The run cannot be understood or continued.
pub fn take_over(run: &Run, remaining: Remaining<'_>, project: &Project, session: &Session) -> Outcome {
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::CUT_OFF, error);
    let (journal, records) = Journal::open(&run.directory).map_err(|error| refused(&error))?;
    if let Some(why) = strangeness(&run.id, &records, &project.actor) {
        return Err(Refusal::new(
            ExitCode::NEWER,
            format!("the run {} does not belong here: {why}", run.id),
        ));
    }
    session.reporter.recall(&records);
    let history = History::of(&records).map_err(|error| refused(&error))?;
    let found = match remaining {
        Remaining::Steps(_) => found(&history),
        Remaining::Report => format!("found {run}: it was over, and had not said so yet", run = run.id),
    };
    project.cx.note(Level::Info, found);
    end_leftover_processes(run, &history, project);
    watchdog::resume(run);
    keys::mend_terminal(run);
    preconditions::recover_resources(run, project)?;
    let undoing = undoing(&history, &project.runs)?;
    let mut cx = project.context_of(run, &history.plan().backup);
    let sender = NoticeSender::new(run, &cx, &records, project, &session.style.program)?;
    cx.voice = sender.voice();
    let seal = SealInput {
        target: project.target(),
        // A copy that was cut off is not taken up again.
        is_vouched: false,
        environment: project.settings.environment_name.clone(),
        settings: project.settings.source.text.clone(),
        description: history.reason().map(str::to_owned),
    };
    let resources: Vec<Owned> = project.resources()?;
    // The session of the guard that was killed may take a moment to end.
    let _held = locks::resources(project, &resources, MOMENT)?;
    let runner = step_runner::of(project, cx, resources, undoing, seal)?;
    let ledger = Ledger::reopen(Box::new(journal), &records, sender.voice(), project.cx.clock.clone());
    let mut ledger = ledger.map_err(|error| refused(&error))?;
    if let Remaining::Steps(skip) = remaining {
        let actor = project.actor.clone();
        let resources = skip.to_vec();
        let left_out = (!resources.is_empty()).then_some(Fact::LeftOut { resources });
        let rollback_timeout = project.settings.policy.rollback_timeout;
        let limited =
            (rollback_timeout != history.plan().policy.rollback_timeout).then_some(Fact::Limited { rollback_timeout });
        for fact in std::iter::once(Fact::Reopened { actor }).chain(left_out).chain(limited) {
            ledger.append(&fact).map_err(|error| refused(&error))?;
        }
    }
    finish(&mut ledger, &runner, run, &sender, project, session)
}

/// Ends what a killed guard has left running: two actors on one target would be the end of every promise.
pub fn end_leftover_processes(run: &Run, history: &History, project: &Project) {
    let acts = await_acts(&run.directory, history.actor(), &project.cx);
    if acts > 0 {
        project.cx.note(
            Level::Info,
            format!("waited for {acts} programs that the killed guard had begun"),
        );
    }
    let ended = end_leftovers(
        &project.marks(run, &history.plan().backup),
        history.actor(),
        &project.cx,
    );
    if ended > 0 {
        project.cx.note(
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

/// The project as it was when the run began; the present one for a run that took nothing with it.
///
/// # Errors
/// Its settings cannot be read here.
pub fn as_begun(project: Project, run: &Run, session: &Session) -> Result<Project, Refusal> {
    let Some(mut run_settings) = RunSettings::read(run)? else {
        return Ok(project);
    };
    correct(&mut run_settings, run, &project)?;
    let place = Place {
        directory: &project.settings.directory,
        state_dir: &project.settings.state_dir,
        backup_dir: &project.settings.backup_dir,
    };
    run_settings.project(&place, &project.wish.flags, session)
}

/// Takes up a correction of the settings for a run that walks back; ahead of that, it ends as it was begun.
fn correct(run_settings: &mut RunSettings, run: &Run, project: &Project) -> Result<(), Refusal> {
    let records = run.read().unwrap_or_default();
    let Some(last) = records.last() else { return Ok(()) };
    let walks_back =
        History::of(&records).is_ok_and(|history| history.turned().is_some() || history.plan().ahead.is_empty());
    if walks_back && run_settings.take_up_correction(run, last.at, project)? {
        let name = &project.settings.source.name;
        let what = format!(
            "{name} was changed since the run stopped: it says now where production is and how it is put back; what was \
             copied is as it was"
        );
        project.cx.note(Level::Warn, what);
    }
    Ok(())
}

/// For an undo that was cut off: what the run before it had displaced.
fn undoing(history: &History, runs: &Runs) -> Result<Vec<Displaced>, Refusal> {
    if history.plan().kind != RunKind::Undo {
        return Ok(Vec::new());
    }
    kept::displaced_before(Some(history.run()), runs).map(|(_, displaced)| displaced)
}

/// An unfinished run, and where it was found.
pub struct Found {
    state: PathBuf,
    /// The run.
    pub run: Run,
    /// What it was begun with.
    pub run_settings: RunSettings,
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
    let run_settings = RunSettings::read(&run)?.ok_or_else(missing)?;
    Ok(Some(Found {
        state: state.to_owned(),
        run,
        run_settings,
    }))
}

impl Found {
    /// Finishes it, `now` being the flags of whoever goes on.
    ///
    /// # Errors
    /// Its settings cannot be read here, or the run cannot be continued.
    pub fn finish(&self, now: &Flags, doing: &str, session: &Session) -> Outcome {
        let place = Place {
            directory: &self.run_settings.directory,
            state_dir: &self.state,
            backup_dir: &self.run_settings.backup_dir,
        };
        let project = self.run_settings.project(&place, now, session)?;
        let _lock = locks::begin(&project, doing)?;
        // Whoever held the lock may have finished it.
        match open_run(&project.runs)? {
            Some(run) if run.id == self.run.id => take_over(&self.run, Remaining::Steps(&[]), &project, session),
            _ => Ok(ExitCode::DONE),
        }
    }
}

/// Finishes the run that was begun in this directory, whatever its settings say by now and wherever its state is; `None`
/// where there is none.
#[must_use]
pub fn resume_of(directory: &Path, now: &Flags, session: &Session) -> Option<Outcome> {
    let root = state_root(&session.wish_from(directory))?;
    let mut all = states(&root)
        .ok()?
        .into_iter()
        .filter_map(|state| look(&state).ok().flatten());
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let found = all.find(|found| real(&found.run_settings.directory) == real(directory))?;
    Some(found.finish(now, "guard resume", session))
}
