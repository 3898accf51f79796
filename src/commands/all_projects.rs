//! All the states that this user has on this machine, and how what is unfinished in them is finished: `guard resume --all`.

use std::path::PathBuf;

use guard_config::state_root;
use guard_journal::State;
use guard_model::event::{Level, Voice};
use guard_model::exit::ExitCode;
use guard_report::result::word;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::registry::{here, states};
use guard_run::request::GlobalArgs;
use guard_run::request::flags::Flags;
use guard_run::session::Session;
use guard_run::takeover::{self, Found};
use guard_system::disk::DiskError;

/// Which code of several tells most urgently that a person is needed, the most urgent first. The others say that production
/// is well.
pub(super) const URGENCY: [ExitCode; 13] = [
    ExitCode::STUCK,
    ExitCode::CUT_OFF,
    ExitCode::BUG,
    ExitCode::UNREADY,
    ExitCode::WITHHELD,
    ExitCode::RESTORED_UNHEALTHY,
    ExitCode::DIFFERS,
    ExitCode::INCONCLUSIVE,
    ExitCode::UNFINISHED,
    ExitCode::NEWER,
    ExitCode::REFUSED,
    ExitCode::USAGE,
    ExitCode::LOCKED,
];

/// Finishes every unfinished run of this user on this machine, one after the other.
///
/// # Errors
/// The states cannot be listed.
pub(super) fn resume_all(now: &Flags, global: &GlobalArgs, session: &Session) -> Outcome {
    let refused = |error: &DiskError| Refusal::of_error(ExitCode::REFUSED, error);
    let reporter: std::sync::Arc<_> = session.reporter.clone();
    let voice = Voice::new(reporter);
    let start = here(global).unwrap_or_else(|| PathBuf::from("/"));
    let root = state_root(&session.wish_from(&start)).ok_or_else(|| {
        Refusal::new(
            ExitCode::USAGE,
            "neither HOME nor XDG_STATE_HOME is set, so there is no place to look at",
        )
    })?;
    let mut worst = ExitCode::DONE;
    let mut count = 0;
    for state in states(&root).map_err(|error| refused(&error))? {
        if session.stop.is_asked() {
            voice.note(Level::Warn, "stopped between two runs, as was asked");
            return Ok(worse(worst, ExitCode::UNFINISHED));
        }
        let (exit, line) = match takeover::look(&state) {
            Ok(None) => continue,
            Ok(Some(found)) => one(&found, now, global, session),
            Err(refusal) => {
                session.reporter.account(&refusal.account);
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

/// Finishes one run in a session of its own, since each has its own story, and says in one line what became of it.
fn one(found: &Found, now: &Flags, global: &GlobalArgs, outer: &Session) -> (ExitCode, String) {
    let global = GlobalArgs {
        directory: Some(found.run_settings.directory.clone()),
        ..global.clone()
    };
    let outcome = Session::open(&global, outer.environment.clone()).map(|session| {
        let outcome = found.finish(now, "guard resume --all", &session);
        if let Err(refusal) = &outcome {
            session.reporter.account(&refusal.account);
        }
        session.close();
        outcome.unwrap_or_else(|refusal| refusal.exit)
    });
    let exit = outcome.unwrap_or_else(|exit| exit);
    let ended = match found.run.state() {
        Ok(State::Closed(ending)) => format!("{}; production is {}", word(ending), ending.production()),
        _ => "not finished".to_owned(),
    };
    let line = format!(
        "{}: {}: {ended} (exit code {})",
        found.run_settings.directory.display(),
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
