//! The watcher: a second guard, out of the reach of what may kill the first, that goes on with its run if it is killed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::outcome::{Outcome, Refusal};
use crate::request::flags::Flags;
use crate::results::is_told;
use crate::run_settings::{Luggage, Place};
use crate::session::Desk;
use crate::watchdog::{self, COMMAND, Standing};
use crate::{keys, locks, takeover};
use guard_config::Lock as Waiting;
use guard_journal::{Run, State};
use guard_model::event::{Level, Voice};
use guard_model::exit::ExitCode;
use guard_model::name::RunId;
use guard_report::bug;
use guard_system::environment::Environment;
use guard_system::identity::{Identity, Vigil};
use guard_system::lock::{Lock, LockError};
use guard_system::{detached, disk, privilege};

/// The last word of the second of the two processes that a watcher takes to get away from its parent.
const AWAY: &str = "away";
/// The name of its process.
const NAME: &str = "guard-watcher";
/// How often it looks whether somebody wants it to end.
const LOOK: Duration = Duration::from_millis(500);
/// How often a lock that somebody else has taken is asked for again.
const TICK: Duration = Duration::from_millis(20);
/// How long it waits for that lock: a guard that only finds out that a run is unfinished holds it for less.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a watcher was told.
pub struct Asked {
    run: Run,
    guard: Identity,
    is_away: bool,
    words: Vec<String>,
}

impl Asked {
    /// What these arguments, the program's name first, ask of a watcher; `None` where they are none of its.
    #[must_use]
    pub fn of(arguments: &[OsString]) -> Option<Self> {
        let words: Vec<String> = arguments
            .iter()
            .skip(1)
            .map(|word| word.to_str().map(str::to_owned))
            .collect::<Option<_>>()?;
        let (command, rest) = words.split_first()?;
        let [directory, pid, began, away @ ..] = rest else {
            return None;
        };
        let directory = PathBuf::from(directory);
        let id: RunId = directory.file_name()?.to_str()?.parse().ok()?;
        (command == COMMAND).then_some(Self {
            run: Run { id, directory },
            guard: Identity {
                pid: pid.parse().ok()?,
                began: began.parse().ok()?,
            },
            is_away: away == [AWAY],
            words: words.clone(),
        })
    }
}

/// Watches, and goes on with the run where it has to.
#[must_use]
pub fn run(mut asked: Asked, environment: Environment) -> ExitCode {
    if !asked.is_away {
        asked.words.push(AWAY.to_owned());
        return detached::step_away(&asked.words).map_or(ExitCode::BUG, |()| ExitCode::DONE);
    }
    let luggage = Luggage::unpack(&asked.run).ok().flatten();
    let program = luggage.as_ref().map_or_else(
        || "guard".to_owned(),
        |luggage| format!("guard -C {}", luggage.directory.display()),
    );
    let desk = match Desk::of_watcher(environment, program) {
        Ok(desk) => desk,
        Err(exit) => return exit,
    };
    let exit = match luggage {
        Some(luggage) => bug::caught(|| watch(&asked, &luggage, &desk))
            .unwrap_or_else(|message| Err(Refusal::of_bug(&message, &desk.style.program))),
        None => Err(Refusal::new(
            ExitCode::CUT_OFF,
            "the run has no request.json to be finished by",
        )),
    };
    let exit = exit.unwrap_or_else(|refusal| {
        desk.reporter.account(&refusal.account);
        refusal.exit
    });
    desk.close();
    exit
}

fn watch(asked: &Asked, luggage: &Luggage, desk: &Desk) -> Outcome {
    let run = &asked.run;
    let failed = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::CUT_OFF, error);
    let vigil = Vigil::over(asked.guard);
    let us = Identity::of_this_process().ok_or_else(|| Refusal::new(ExitCode::CUT_OFF, "/proc cannot be read"))?;
    let known = run.directory.join(watchdog::PROCESS);
    let standing = Standing {
        process: us,
        boot: privilege::boot_id(),
    };
    let bytes = serde_json::to_vec(&standing).map_err(|error| failed(&error))?;
    disk::write_whole(&known, &bytes).map_err(|error| failed(&error))?;
    detached::ready(&us.pid.to_string(), NAME).map_err(|error| failed(&error))?;
    while !vigil.ends_within(LOOK, desk.clock.as_ref()) {
        if desk.stop.is_asked() {
            return Ok(ExitCode::DONE);
        }
    }
    // It tells who stands by, which nobody does any more; whoever reads it looks for the process as well.
    let _optional = std::fs::remove_file(&known);
    keys::mend_terminal(run);
    go_on(run, luggage, desk)
}

/// Goes on with a run whose guard is gone, unless it was over, a person wants it to rest, or somebody else was faster.
fn go_on(run: &Run, luggage: &Luggage, desk: &Desk) -> Outcome {
    let reporter: std::sync::Arc<_> = desk.reporter.clone();
    let voice = Voice::new(reporter);
    let Some(state_dir) = run.directory.ancestors().nth(2) else {
        return Err(Refusal::new(ExitCode::CUT_OFF, "the run is in no state directory"));
    };
    let mut actor = privilege::actor(desk.user().as_deref());
    actor.watcher = true;
    let begun = desk.clock.steady();
    let doing = format!("the watcher of {}", run.id);
    let _lock = loop {
        if left_by(run)?.is_none() {
            return Ok(ExitCode::DONE);
        }
        let since = desk.clock.now().format("%Y-%m-%d %H:%M:%S UTC").to_string();
        match Lock::take(&state_dir.join("lock"), &actor, &doing, &since) {
            Ok(lock) => break lock,
            Err(LockError::Held { owner }) if desk.clock.steady().saturating_sub(begun) > PATIENCE => {
                voice.note(Level::Info, format!("the run is left to somebody else: {owner}"));
                return Ok(ExitCode::DONE);
            }
            Err(LockError::Held { .. }) => desk.clock.sleep(TICK),
            Err(LockError::Disk(error)) => return Err(Refusal::of_error(ExitCode::CUT_OFF, &error)),
        }
    };
    // Between the look and the lock somebody may have finished it.
    let Some(left) = left_by(run)? else {
        return Ok(ExitCode::DONE);
    };
    let what = match left {
        Left::Run => "is not over: its watcher goes on",
        Left::Word => "is over without a word: its watcher writes the report",
    };
    voice.note(Level::Warn, format!("guard is gone, and {} {what}", run.id));
    let place = Place {
        directory: &luggage.directory,
        state_dir,
        backup_dir: &luggage.backup_dir,
    };
    let mut bench = luggage.bench(&place, &Flags::new(), desk)?;
    bench.actor = actor;
    bench.settings.lock = Waiting {
        wait: true,
        wait_timeout: PATIENCE,
    };
    let _targets = locks::targets(&bench, &doing)?;
    match left {
        Left::Run => takeover::finish_run(run, &bench, desk),
        Left::Word => takeover::tell_run(run, &bench, desk),
    }
}

/// What a guard that is gone has left undone.
#[derive(Clone, Copy)]
enum Left {
    /// The run.
    Run,
    /// Only what comes behind its last record.
    Word,
}

fn left_by(run: &Run) -> Result<Option<Left>, Refusal> {
    let state = run
        .state()
        .map_err(|error| Refusal::of_error(ExitCode::CUT_OFF, &error))?;
    Ok(match state {
        State::Open if !watchdog::is_dismissed(run) => Some(Left::Run),
        State::Closed(_) if !is_told(run)? => Some(Left::Word),
        _ => None,
    })
}
