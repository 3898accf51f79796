//! All the states that this user has on this machine, and how what is unfinished in them is finished: `guard resume --all`.

use std::path::{Path, PathBuf};

use super::flags::Flags;
use super::luggage::{Luggage, Place};
use super::refusal::{Outcome, Refusal};
use super::request::Everywhere;
use super::resume::{finish_run, open_run};
use super::session;
use super::setup::Desk;
use super::workbench::Bench;
use guard_config::state_root;
use guard_journal::{Run, Runs, State};
use guard_model::event::{Level, Voice};
use guard_model::exit::ExitCode;
use guard_report::result::word;
use guard_system::disk::{self, DiskError};

/// Below the directory of all states: one file for each state that is elsewhere, holding its path. No project can have
/// this name, since names begin with a letter or digit.
const REGISTER: &str = ".elsewhere";

/// Which code of several tells most urgently that a person is needed, the most urgent first. The others say that production
/// is well.
const URGENCY: [ExitCode; 12] = [
    ExitCode::STUCK,
    ExitCode::CUT_OFF,
    ExitCode::BUG,
    ExitCode::UNREADY,
    ExitCode::WITHHELD,
    ExitCode::RESTORED_UNHEALTHY,
    ExitCode::INCONCLUSIVE,
    ExitCode::UNFINISHED,
    ExitCode::NEWER,
    ExitCode::REFUSED,
    ExitCode::USAGE,
    ExitCode::LOCKED,
];

/// An unfinished run, and where it was found.
struct Found {
    state: PathBuf,
    run: Run,
    luggage: Luggage,
}

/// Remembers the state of a run that begins, where it is not below the directory of all states, so that
/// `guard resume --all` finds it.
pub(super) fn register(bench: &Bench) {
    let Some(root) = state_root(&bench.wish) else { return };
    if let Err(error) = remember(&root, &bench.state) {
        bench.cx.note(
            Level::Warn,
            format!("`guard resume --all` will not find this run, since its state cannot be registered: {error}"),
        );
    }
}

fn remember(root: &Path, state: &Path) -> Result<(), DiskError> {
    if state
        .parent()
        .is_some_and(|parent| std::fs::canonicalize(root).is_ok_and(|root| root == parent))
    {
        return Ok(());
    }
    let register = root.join(REGISTER);
    disk::create_private_dir(&register)?;
    let path = state.as_os_str().as_encoded_bytes();
    let entry = register.join(disk::sha256_hex(path));
    if disk::exists(&entry)? {
        Ok(())
    } else {
        disk::write_whole(&entry, path)
    }
}

/// The states there are: those below the directory of all, and those elsewhere that are still there.
fn states(root: &Path) -> Result<Vec<PathBuf>, DiskError> {
    let mut states = disk::list(root)?;
    for entry in disk::list(&root.join(REGISTER))? {
        let path = disk::read_text_optional(&entry)?.map(PathBuf::from).unwrap_or_default();
        states.extend(Some(path).filter(|path| path.is_absolute()));
    }
    // One that is not there may be on a disk that is not mounted yet, so it stays registered.
    states.retain(|state| state.join("runs").is_dir());
    states.sort();
    states.dedup();
    Ok(states)
}

/// What is unfinished in a state; its settings hold commands, so it must be ours alone.
fn look(state: &Path) -> Result<Option<Found>, Refusal> {
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
    fn finish(&self, now: &Flags, doing: &str, desk: &Desk) -> Outcome {
        let place = Place {
            directory: &self.luggage.directory,
            state_dir: &self.state,
            backup_dir: &self.luggage.backup_dir,
        };
        let bench = self.luggage.bench(&place, now, desk)?;
        let _lock = session::begin(&bench, doing)?;
        // Whoever held the lock may have finished it.
        match open_run(&bench.runs)? {
            Some(run) if run.id == self.run.id => finish_run(&self.run, &bench, desk),
            _ => Ok(ExitCode::DONE),
        }
    }
}

/// The directory that somebody is in, or names; `None` where it is not there.
#[must_use]
pub(super) fn here(everywhere: &Everywhere) -> Option<PathBuf> {
    let start = std::env::current_dir().ok()?;
    let named = everywhere.directory.as_ref().map(|path| start.join(path));
    std::fs::canonicalize(named.unwrap_or(start)).ok()
}

/// Finishes the run that was begun in this directory, whatever its settings say by now and wherever its state is; `None`
/// where there is none.
pub(super) fn resume_of(directory: &Path, now: &Flags, desk: &Desk) -> Option<Outcome> {
    let root = state_root(&desk.wish_from(directory))?;
    let mut all = states(&root)
        .ok()?
        .into_iter()
        .filter_map(|state| look(&state).ok().flatten());
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let found = all.find(|found| real(&found.luggage.directory) == real(directory))?;
    Some(found.finish(now, "guard resume", desk))
}

/// Finishes every unfinished run of this user on this machine, one after the other.
///
/// # Errors
/// The states cannot be listed.
pub(super) fn resume_all(now: &Flags, everywhere: &Everywhere, desk: &Desk) -> Outcome {
    let refused = |error: &DiskError| Refusal::of_error(ExitCode::REFUSED, error);
    let reporter: std::sync::Arc<_> = desk.reporter.clone();
    let voice = Voice::new(reporter);
    let start = here(everywhere).unwrap_or_else(|| PathBuf::from("/"));
    let root = state_root(&desk.wish_from(&start)).ok_or_else(|| {
        Refusal::new(
            ExitCode::USAGE,
            "neither HOME nor XDG_STATE_HOME is set, so there is no place to look at",
        )
    })?;
    let mut worst = ExitCode::DONE;
    let mut count = 0;
    for state in states(&root).map_err(|error| refused(&error))? {
        if desk.stop.is_asked() {
            voice.note(Level::Warn, "stopped between two runs, as was asked");
            return Ok(worse(worst, ExitCode::UNFINISHED));
        }
        let (exit, line) = match look(&state) {
            Ok(None) => continue,
            Ok(Some(found)) => one(&found, now, everywhere, desk),
            Err(refusal) => {
                desk.reporter.account(&refusal.account);
                (refusal.exit, format!("{}: cannot be finished", state.display()))
            }
        };
        count += 1;
        voice.note(
            if exit == ExitCode::DONE {
                Level::Info
            } else {
                Level::Warn
            },
            line,
        );
        worst = worse(worst, exit);
    }
    if count == 0 {
        voice.note(Level::Info, format!("nothing is unfinished below {}", root.display()));
    }
    Ok(worst)
}

/// Finishes one run at a desk of its own, since each has its own story, and says in one line what became of it.
fn one(found: &Found, now: &Flags, everywhere: &Everywhere, outer: &Desk) -> (ExitCode, String) {
    let everywhere = Everywhere {
        directory: Some(found.luggage.directory.clone()),
        ..everywhere.clone()
    };
    let outcome = Desk::open(&everywhere, outer.environment.clone()).map(|desk| {
        let outcome = found.finish(now, "guard resume --all", &desk);
        if let Err(refusal) = &outcome {
            desk.reporter.account(&refusal.account);
        }
        desk.close();
        outcome.unwrap_or_else(|refusal| refusal.exit)
    });
    let exit = outcome.unwrap_or_else(|exit| exit);
    let ended = match found.run.state() {
        Ok(State::Closed(ending)) => format!("{}; production is {}", word(ending), ending.production()),
        _ => "not finished".to_owned(),
    };
    let line = format!(
        "{}: {}: {ended} (exit code {})",
        found.luggage.directory.display(),
        found.run.id,
        exit.number()
    );
    (exit, line)
}

/// The more urgent of two codes; 0 where production is well after both.
fn worse(one: ExitCode, other: ExitCode) -> ExitCode {
    let place = |code: ExitCode| URGENCY.iter().position(|urgent| *urgent == code);
    match (place(one), place(other)) {
        (None, None) => ExitCode::DONE,
        (Some(first), Some(second)) if first <= second => one,
        (Some(_), None) => one,
        _ => other,
    }
}
