//! The watcher: a second guard, out of the reach of what may kill the first, that goes on with its run if it is killed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::outcome::{Outcome, Refusal};
use crate::request::flags::Flags;
use crate::run_settings::{Place, RunSettings};
use crate::session::Session;
use crate::takeover::{Remaining, remaining, take_over};
use crate::watchdog::{self, COMMAND, WatchdogRecord};
use crate::{keys, locks};
use guard_config::Lock as Waiting;
use guard_journal::Run;
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
    let run_settings = RunSettings::read(&asked.run).ok().flatten();
    let program = run_settings.as_ref().map_or_else(
        || "guard".to_owned(),
        |run_settings| format!("guard -C {}", run_settings.directory.display()),
    );
    let session = match Session::of_watcher(environment, program) {
        Ok(session) => session,
        Err(exit) => return exit,
    };
    let exit = match run_settings {
        Some(run_settings) => bug::caught(|| watch(&asked, &run_settings, &session))
            .unwrap_or_else(|message| Err(Refusal::of_bug(&message, &session.style.program))),
        None => Err(Refusal::new(
            ExitCode::CUT_OFF,
            "the run has no request.json to be finished by",
        )),
    };
    let exit = exit.unwrap_or_else(|refusal| {
        session.reporter.account(&refusal.account);
        refusal.exit
    });
    session.close();
    exit
}

fn watch(asked: &Asked, run_settings: &RunSettings, session: &Session) -> Outcome {
    let run = &asked.run;
    let failed = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::CUT_OFF, error);
    let vigil = Vigil::over(asked.guard);
    let us = Identity::of_this_process().ok_or_else(|| Refusal::new(ExitCode::CUT_OFF, "/proc cannot be read"))?;
    let known = run.directory.join(watchdog::PROCESS);
    let standing = WatchdogRecord {
        process: us,
        boot: privilege::boot_id(),
    };
    let bytes = serde_json::to_vec(&standing).map_err(|error| failed(&error))?;
    disk::write_whole(&known, &bytes).map_err(|error| failed(&error))?;
    detached::ready(&us.pid.to_string(), NAME).map_err(|error| failed(&error))?;
    while !vigil.ends_within(LOOK, session.clock.as_ref()) {
        if session.stop.is_asked() {
            return Ok(ExitCode::DONE);
        }
    }
    // It tells who stands by, which nobody does any more; whoever reads it looks for the process as well.
    let _optional = std::fs::remove_file(&known);
    keys::mend_terminal(run);
    go_on(run, run_settings, session)
}

/// Goes on with a run whose guard is gone, unless it was over, a person wants it to rest, or somebody else was faster.
fn go_on(run: &Run, run_settings: &RunSettings, session: &Session) -> Outcome {
    let reporter: std::sync::Arc<_> = session.reporter.clone();
    let voice = Voice::new(reporter);
    let Some(state_dir) = run.directory.ancestors().nth(2) else {
        return Err(Refusal::new(ExitCode::CUT_OFF, "the run is in no state directory"));
    };
    let mut actor = privilege::actor(session.user().as_deref());
    actor.watcher = true;
    let begun = session.clock.steady();
    let doing = format!("the watcher of {}", run.id);
    let _lock = loop {
        if remaining(run)?.is_none() {
            return Ok(ExitCode::DONE);
        }
        let since = session.clock.now().format("%Y-%m-%d %H:%M:%S UTC").to_string();
        match Lock::take(&state_dir.join("lock"), &actor, &doing, &since) {
            Ok(lock) => break lock,
            Err(LockError::Held { owner }) if session.clock.steady().saturating_sub(begun) > PATIENCE => {
                voice.note(Level::Info, format!("the run is left to somebody else: {owner}"));
                return Ok(ExitCode::DONE);
            }
            Err(LockError::Held { .. }) => session.clock.sleep(TICK),
            Err(LockError::Disk(error)) => return Err(Refusal::of_error(ExitCode::CUT_OFF, &error)),
        }
    };
    // Between the look and the lock somebody may have finished it.
    let Some(left) = remaining(run)? else {
        return Ok(ExitCode::DONE);
    };
    let what = match left {
        Remaining::Steps(_) => "is not over: its watcher goes on",
        Remaining::Report => "is over without a word: its watcher writes the report",
    };
    voice.note(Level::Warn, format!("guard is gone, and {} {what}", run.id));
    let place = Place {
        directory: &run_settings.directory,
        state_dir,
        backup_dir: &run_settings.backup_dir,
    };
    let mut project = run_settings.project(&place, &Flags::new(), session)?;
    project.actor = actor;
    project.settings.lock = Waiting {
        wait: true,
        wait_timeout: PATIENCE,
    };
    let _targets = locks::targets(&project, &doing)?;
    take_over(run, left, &project, session)
}
