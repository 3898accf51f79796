//! The hidden words by which the demo's project is deployed, started, stopped and checked: this program in place of scripts.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use super::project::{Answer, Place};
use super::site::{ask, serve};
use guard_model::exit::ExitCode;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::request::DemoPart;
use guard_run::session::Session;
use guard_system::{detached, disk};

/// How this program is called for a part.
const WORD: &str = "demo-part";
/// How long the service may take to listen.
const START: Duration = Duration::from_secs(20);
/// How often the port of a service that stops is asked, and how often at most.
const PAUSE: Duration = Duration::from_millis(20);
const TIMES: u32 = 500;

/// Does a part in the current directory, or in the one that is named behind it.
///
/// # Errors
/// It failed, or there is no such part.
pub(crate) fn part(asked: &DemoPart, session: &Session) -> Outcome {
    let words: Vec<&str> = asked.words.iter().map(String::as_str).collect();
    let here = std::env::current_dir().map_err(|error| Refusal::of_error(ExitCode::REFUSED, &error))?;
    let place = Place::of(&here);
    let done = match words.as_slice() {
        ["deploy", version] => deploy(&place, version, session),
        ["start"] => start(&place, session),
        ["stop"] => stop(&place, session),
        ["check"] => check(&place, session),
        ["away", directory] => detached::step_away(&[WORD, "serve", directory].map(str::to_owned)).map_err(Into::into),
        ["serve", directory] => session
            .runtime
            .block_on(serve(&Place::of(Path::new(directory)), &session.stop)),
        _ => return Err(Refusal::new(ExitCode::USAGE, format!("the demo has no part {words:?}"))),
    };
    match done {
        Ok(()) => Ok(ExitCode::DONE),
        Err(error) => Err(Refusal::new(ExitCode::REFUSED, error.to_string())),
    }
}

/// Deploys a release the way a small operator does: new files, stop, migrate, start.
fn deploy(place: &Place, version: &str, session: &Session) -> Answer<()> {
    let mut out = std::io::stdout();
    writeln!(out, "deploying {version}")?;
    // Under guard: say which version must answer.
    if let Some(events) = session.environment.path("GUARD_EVENTS") {
        writeln!(disk::open_append(&events)?, "phase=migrate")?;
    }
    stop(place, session)?;
    for name in place.take(version)? {
        writeln!(out, "migrated: {name}")?;
    }
    start(place, session)?;
    writeln!(out, "deployed {version}")?;
    Ok(())
}

fn start(place: &Place, session: &Session) -> Answer<()> {
    stop(place, session)?;
    let log = disk::open_append(&place.log())?;
    let directory = place.directory.display().to_string();
    detached::start(&[WORD.to_owned(), "away".to_owned(), directory], log, START)?;
    Ok(())
}

/// Asks the service to stop, and returns when nobody listens any more. Nothing to do where nobody does.
pub(super) fn stop(place: &Place, session: &Session) -> Answer<()> {
    let port = place.port()?;
    for _ in 0..TIMES {
        match session
            .runtime
            .block_on(tokio::net::TcpStream::connect(("127.0.0.1", port)))
        {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => return Ok(()),
            _ => {
                // One that is on its way out may not answer; the port tells.
                let _answer = session.runtime.block_on(ask(port, "POST", "/stop"));
                session.clock.sleep(PAUSE);
            }
        }
    }
    Err("the service does not stop".into())
}

/// The verify command: the front page answers. Like many smoke tests it asks once, right away.
fn check(place: &Place, session: &Session) -> Answer<()> {
    let said = session.runtime.block_on(ask(place.port()?, "GET", "/"))?;
    writeln!(std::io::stdout(), "{said}")?;
    Ok(())
}
