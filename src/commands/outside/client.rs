//! `--host` from this side: the program is brought to the host, the command is begun there, and its words are heard, however
//! often the link is lost.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::asking::{Asking, asking, is_interactive};
use super::listener::{Listener, Over};
use super::seen::{Place, Seen};
use guard_model::event::{Level, Voice};
use guard_model::exit::ExitCode;
use guard_model::text;
use guard_report::bug;
use guard_run::outcome::{Outcome, Refusal};
use guard_run::request::{GlobalArgs, Request};
use guard_run::session::Session;
use guard_system::disk;
use guard_system::environment::Environment;
use guard_system::outside::{Bringing, Hello, Road, RoadError, Start, Target};
use guard_system::stop::Stop;

/// How long a lost link is tried again, unless somebody says another time.
const PATIENCE: Duration = Duration::from_mins(10);
/// Between two tries: twice as long each time, until this.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How often a wish to stop is looked for while nothing is heard.
const TICK: Duration = Duration::from_millis(100);

/// Does a command at a host, and returns its exit code.
#[must_use]
pub fn ask(words: &[OsString], request: &Request, global: &GlobalArgs, environment: Environment) -> ExitCode {
    let session = match bug::caught(|| Session::open(global, environment)) {
        Ok(Ok(session)) => session,
        Ok(Err(exit)) => {
            let line = "[ERROR] the kernel gives guard no thread or no signal handler; nothing was begun";
            let _lost = writeln!(std::io::stderr(), "{line}");
            return exit;
        }
        Err(_) => return ExitCode::BUG,
    };
    let outcome = bug::caught(|| answer(words, request, global, &session));
    let outcome = outcome.unwrap_or_else(|message| Err(Refusal::of_bug(&message, &session.style.program)));
    let exit = outcome.unwrap_or_else(|refusal| session.told(refusal));
    session.close();
    exit
}

fn answer(words: &[OsString], request: &Request, global: &GlobalArgs, session: &Session) -> Outcome {
    let Some(target) = global.host.clone() else {
        return Err(Refusal::new(ExitCode::USAGE, "no host is named"));
    };
    let refused = |error: &(dyn std::error::Error + 'static)| Refusal::of_error(ExitCode::REFUSED, error);
    let program = Bringing::of(global.host_program.as_deref()).map_err(|error| refused(&error))?;
    let asking = asking(words, request, global, &target, session)?;
    let directory = global.directory.as_deref().unwrap_or(Path::new(""));
    let place = Place::of(&target.to_string(), directory, &session.environment);
    let mut cx = session.context(Path::new("/"));
    // The wish to stop is for the host to hear.
    cx.stop = Stop::default();
    let ssh = global
        .ssh
        .clone()
        .map_or_else(|| vec!["ssh".to_owned()], |words| words.0);
    let road = Road::new(target, ssh, is_interactive(session), cx).map_err(|error| refused(&error))?;
    let asked = Asked {
        road,
        program,
        asking,
        place,
        limit: global.link_timeout.unwrap_or(PATIENCE),
        session,
    };
    if let Request::Attach(attach) = request
        && let Some(seen) = asked.place.read().filter(|seen| is_meant(attach.run.as_deref(), seen))
    {
        // Where this machine has left it: the very same words go on.
        let outcome = asked.hear(seen, None)?;
        if let Some(exit) = outcome {
            return Ok(exit);
        }
        asked.place.forget();
    }
    let seen = Seen {
        visit: new_name(),
        program: asked.program.digest.clone(),
        run: None,
        out: 0,
        err: 0,
    };
    let outcome = asked.hear(seen, Some(&asked.asking.start))?;
    outcome.ok_or_else(|| Refusal::new(ExitCode::BUG, "the host does not know what it has just begun"))
}

fn is_meant(run: Option<&str>, seen: &Seen) -> bool {
    run.is_none_or(|run| run == "latest" || seen.run.as_deref() == Some(run))
}

/// A name that nobody has had before.
fn new_name() -> String {
    disk::sha256_hex(&random())[..32].to_owned()
}

fn random() -> [u8; 32] {
    use std::hash::{BuildHasher, Hasher};
    let mut bytes = [0; 32];
    for (index, part) in bytes.chunks_mut(8).enumerate() {
        // Its keys are random, anew for each.
        let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
        hasher.write_usize(index);
        part.copy_from_slice(&hasher.finish().to_le_bytes());
    }
    bytes
}

struct Asked<'s> {
    road: Road,
    program: Bringing,
    asking: Asking,
    place: Place,
    limit: Duration,
    session: &'s Session,
}

impl Asked<'_> {
    fn note(&self, level: Level, text: String) {
        let reporter: std::sync::Arc<_> = self.session.reporter.clone();
        Voice::new(reporter).note(level, text);
    }

    fn target(&self) -> &Target {
        self.road.target()
    }

    /// Hears a visit to its end: its exit code; `None`: the host does not know it, and it was not to be begun.
    fn hear(&self, seen: Seen, start: Option<&Start>) -> Result<Option<ExitCode>, Refusal> {
        let files = self.asking.files.clone();
        let listener = Listener::new(self.session, seen, self.place.clone(), files, self.asking.asks);
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            if self.asking.start.answers {
                scope.spawn(|| {
                    while !is_done.load(Ordering::SeqCst) {
                        listener.listen_to_terminal(TICK);
                    }
                });
            }
            let heard = bug::caught(|| self.hear_all(&listener, start));
            is_done.store(true, Ordering::SeqCst);
            heard.unwrap_or_else(|message| Err(Refusal::of_bug(&message, &self.session.style.program)))
        })
    }

    fn hear_all(&self, listener: &Listener<'_>, start: Option<&Start>) -> Result<Option<ExitCode>, Refusal> {
        let is_begun_before = start.is_none();
        let mut has_asked = is_begun_before;
        let mut pause = Duration::from_millis(500);
        let mut is_lost = false;
        let begun = self.session.clock.steady();
        loop {
            let before = listener.heard_at();
            let tried = self.attempt(listener, start, &mut has_asked, &mut is_lost);
            if let Some(over) = listener.over() {
                return self.conclude(over, listener, is_begun_before);
            }
            let why = match tried {
                Ok(()) => None,
                Err(error) if !has_asked => return Err(self.not_begun(&error)),
                Err(error) if error.may_pass() => Some(text::chain(&error)),
                Err(error) => return Err(self.lost(&text::chain(&error))),
            };
            if is_left(listener) {
                return Err(self.left(listener));
            }
            let last = listener.heard_at();
            if last != before {
                pause = Duration::from_millis(500);
            }
            let gone = self.session.clock.steady().saturating_sub(last.unwrap_or(begun));
            let Some(left) = self.limit.checked_sub(gone) else {
                let what = format!(
                    "the link to {} stayed lost for {}",
                    self.target().host(),
                    text::duration(self.limit)
                );
                return Err(self.lost(&what));
            };
            if !is_lost || why.is_some() {
                let because = why.map(|why| format!(" ({why})")).unwrap_or_default();
                let note = format!(
                    "the link to {} is lost{because}; what was begun there goes on. Trying again in {}, for {} more",
                    self.target().host(),
                    text::duration(pause),
                    text::duration(left),
                );
                self.note(Level::Warn, note);
            }
            is_lost = true;
            self.rest(pause.min(left), listener);
            if is_left(listener) || listener.stops() > 1 {
                return Err(self.left(listener));
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn attempt(
        &self,
        listener: &Listener<'_>,
        start: Option<&Start>,
        has_asked: &mut bool,
        is_lost: &mut bool,
    ) -> Result<(), RoadError> {
        let road = &self.road;
        road.disconnect();
        road.connect()?;
        // A visit that was begun by another guard is heard by that one, which is there.
        let mut program = self.program.clone();
        if start.is_none() {
            program.digest.clone_from(&listener.seen().program);
        } else {
            road.bring(&program, &|note| self.note(Level::Info, note))?;
        }
        if *is_lost {
            self.note(Level::Info, format!("the link to {} is back", self.target().host()));
            *is_lost = false;
        }
        let seen = listener.seen();
        let hello = Hello {
            visit: seen.visit,
            start: start.cloned(),
            stops: listener.stops(),
            out: seen.out,
            err: seen.err,
        };
        listener.keep();
        let heard = road.visit(&program, &hello, listener);
        // A program that does not run there has begun nothing.
        *has_asked |= !matches!(heard, Err(RoadError::Unfit { .. }));
        heard
    }

    /// Waits, and hears meanwhile whether somebody wants to stop.
    fn rest(&self, span: Duration, listener: &Listener<'_>) {
        let begun = self.session.clock.steady();
        while self.session.clock.steady().saturating_sub(begun) < span {
            listener.hear_wishes();
            if is_left(listener) || listener.stops() > 1 {
                return;
            }
            self.session.clock.sleep(TICK);
        }
    }

    fn conclude(
        &self,
        over: Over,
        listener: &Listener<'_>,
        is_begun_before: bool,
    ) -> Result<Option<ExitCode>, Refusal> {
        for file in listener.failed_files() {
            self.note(Level::Warn, format!("the CI system is not told all: {file}"));
        }
        match over {
            Over::Exit(exit) => {
                listener.forget();
                Ok(Some(exit))
            }
            Over::Unknown if is_begun_before => Ok(None),
            Over::Unknown => Err(self.lost("the host has forgotten what was begun")),
            Over::Lost(why) => {
                listener.forget();
                Err(self.lost(&why))
            }
            Over::Refused(why) => {
                listener.forget();
                let what = format!("{} could not begin it", self.target().host());
                Err(Refusal::new(ExitCode::REFUSED, what)
                    .because(why)
                    .because("nothing was started"))
            }
        }
    }

    fn not_begun(&self, error: &RoadError) -> Refusal {
        let refusal = Refusal::of_error(ExitCode::REFUSED, error).because("nothing was started there");
        let advice = match error {
            RoadError::Unreached { .. } => {
                let words = self.target().to_string();
                return refusal.next("to see whether the host lets you in", format!("ssh {words} true"));
            }
            RoadError::Unfit { advice, .. } => advice.clone(),
            RoadError::Unkept { .. } => {
                "guard keeps its program below ~/.cache/guard there (or $XDG_CACHE_HOME): it has to be writable, and have room".to_owned()
            }
            RoadError::Disk(_) | RoadError::Call(_) => return refusal,
        };
        let again = match error {
            RoadError::Unfit { .. } => format!("{} --host-program FILE check", self.session.style.program),
            _ => format!("{} check", self.session.style.program),
        };
        refusal.because(advice).next("then, to see whether it goes", again)
    }

    fn lost(&self, why: &str) -> Refusal {
        let host = self.target().host();
        Refusal::new(
            ExitCode::LOST,
            format!("what has become of it at {host} is not known here"),
        )
        .because(why)
        .because("a lost link ends nothing: what was begun there goes on by itself")
        .next("to hear the rest", format!("{} attach", self.session.style.program))
    }

    fn left(&self, listener: &Listener<'_>) -> Refusal {
        listener.keep();
        let host = self.target().host();
        Refusal::new(ExitCode::LOST, format!("left; what was begun at {host} goes on"))
            .next("to hear the rest", format!("{} attach", self.session.style.program))
    }
}

fn is_left(listener: &Listener<'_>) -> bool {
    use guard_system::outside::Calls as _;
    listener.is_left()
}
