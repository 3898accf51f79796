//! `--host` from the host's side: a keeper begins the command, detached, and sees its end; whoever asks hears what it has said.

use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use guard_journal::{Run, State};
use guard_model::event::Level;
use guard_model::exit::ExitCode;
use guard_model::text;
use guard_report::printer::Streams;
use guard_run::follow::{From, follow};
use guard_run::outcome::{Outcome, Refusal};
use guard_run::request::{GlobalArgs, OutputForm, flags::Flags};
use guard_run::results::is_told;
use guard_run::run_settings::{Place, RunSettings};
use guard_run::session::Session;
use guard_system::clock::{Clock, MachineClock};
use guard_system::detached;
use guard_system::environment::Environment;
use guard_system::identity::Vigil;
use guard_system::outside::{End, Frame, Hello, MAGIC, Said, Visit};

/// The hidden command.
const COMMAND: &str = "__outside";
/// The last word of the second process that a keeper takes to get away from its parent.
const AWAY: &str = "away";
/// The name of its process.
const NAME: &str = "guard-visit";
/// How often new words are looked for.
const TICK: Duration = Duration::from_millis(25);
/// How often the host says that it is there.
const BEAT: Duration = Duration::from_secs(1);
/// The most of one stream that is sent at once.
const PIECE: u64 = 64 * 1024;
/// How long a keeper has to come, and how long it waits for its lock, which a look at it holds for a moment.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the hidden command was asked.
pub enum Asked {
    /// To be heard by whoever asked from outside.
    Serve,
    /// To begin a visit's command, and to see its end.
    Keep {
        /// The visit.
        visit: Visit,
        /// Whether it has got away from its parent.
        is_away: bool,
        /// Its own words.
        words: Vec<String>,
    },
    /// To hear the run of a visit whose command was killed.
    Follow,
}

impl Asked {
    /// What these arguments, the program's name first, ask; `None` where they are no such.
    #[must_use]
    pub fn of(arguments: &[OsString]) -> Option<Self> {
        let words: Vec<String> = arguments
            .iter()
            .skip(1)
            .map(|word| word.to_str().map(str::to_owned))
            .collect::<Option<_>>()?;
        let (command, rest) = words.split_first()?;
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        match (command == COMMAND, rest.as_slice()) {
            (true, ["serve"]) => Some(Self::Serve),
            (true, ["follow"]) => Some(Self::Follow),
            (true, ["keep", directory, away @ ..]) => Some(Self::Keep {
                visit: Visit {
                    directory: PathBuf::from(directory),
                },
                is_away: away == [AWAY],
                words: words.clone(),
            }),
            _ => None,
        }
    }
}

/// Does what the hidden command was asked.
#[must_use]
pub fn serve(asked: Asked, environment: Environment) -> ExitCode {
    match asked {
        Asked::Serve => hear(&environment),
        Asked::Keep {
            visit, is_away: true, ..
        } => keep(&visit),
        Asked::Keep { mut words, .. } => {
            words.push(AWAY.to_owned());
            detached::step_away(&words).map_or(ExitCode::BUG, |()| ExitCode::DONE)
        }
        Asked::Follow => follow_run(environment),
    }
}

/// Sees to it that somebody keeps the visit, and tells its words until it is over or nobody listens.
fn hear(environment: &Environment) -> ExitCode {
    let clock = MachineClock::start();
    let mut first = String::new();
    let read = std::io::stdin().lock().read_line(&mut first);
    let hello: Option<Hello> = read.ok().and_then(|_| serde_json::from_str(&first).ok());
    let Some(hello) = hello else {
        return ExitCode::USAGE;
    };
    let mut out = Streams::of_this_process().out;
    let mut send = |frame: &Frame| frame.write(&mut out).and_then(|()| out.flush());
    let begun = std::io::stdout().write_all(format!("{MAGIC}\n").as_bytes());
    if begun.is_err() {
        return ExitCode::LOST;
    }
    let last = match Visit::open(&hello.visit, hello.start.as_ref(), environment) {
        Ok(Some(visit)) => tell(&visit, &hello, clock.as_ref(), &mut send),
        Ok(None) => Ok(Frame::Unknown),
        Err(error) => Ok(Frame::Refused(text::chain(&error))),
    };
    // Nobody listens any more; the visit goes on.
    let told = last.and_then(|last| send(&last));
    told.map_or(ExitCode::LOST, |()| ExitCode::DONE)
}

type Send<'s> = &'s mut dyn FnMut(&Frame) -> std::io::Result<()>;

/// Tells what the visit says from where it was heard last; returns the last word.
fn tell(visit: &Visit, hello: &Hello, clock: &dyn Clock, send: Send<'_>) -> std::io::Result<Frame> {
    let said = listen();
    let (mut out, mut err) = (hello.out, hello.err);
    let mut stops = hello.stops;
    let mut run = None;
    let mut beat: Option<Duration> = None;
    let gone = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    loop {
        loop {
            match said.try_recv() {
                Ok(Said::Answer(line)) => visit.answer(&line),
                Ok(Said::Stop(times)) => stops = stops.max(times),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err(gone()),
            }
        }
        if stops > 0 {
            visit.stop(stops);
        }
        // Asked before the words are read, so that none can come in between.
        let end = visit.end();
        let now = clock.steady();
        if beat.is_none_or(|beat| now.saturating_sub(beat) >= BEAT) {
            if end.is_none()
                && let Err(why) = see_to_keeper(visit)
            {
                // Nothing was begun where not even the keeper could be.
                return Ok(if visit.has_begun().unwrap_or(true) {
                    Frame::Lost(why)
                } else {
                    Frame::Refused(why)
                });
            }
            beat = Some(now);
            send(&Frame::Time(
                clock.now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            ))?;
        }
        if run.is_none() {
            run = visit.run();
            let id = run
                .as_ref()
                .and_then(|run| run.file_name()?.to_str().map(str::to_owned));
            id.map_or(Ok(()), |id| send(&Frame::Run(id)))?;
        }
        let (words, complaints) = (visit.said(true, out, PIECE)?, visit.said(false, err, PIECE)?);
        let is_quiet = words.is_empty() && complaints.is_empty();
        out += words.len() as u64;
        err += complaints.len() as u64;
        if !complaints.is_empty() {
            send(&Frame::Err(complaints))?;
        }
        if !words.is_empty() {
            send(&Frame::Out(words))?;
        }
        match end {
            Some(end) if is_quiet => return last_word(visit, end, send),
            _ if is_quiet => clock.sleep(TICK),
            _ => {}
        }
    }
}

fn last_word(visit: &Visit, end: End, send: Send<'_>) -> std::io::Result<Frame> {
    match visit.files() {
        Ok(files) => {
            for (name, bytes) in files {
                send(&Frame::File(name, bytes))?;
            }
        }
        Err(error) => {
            let line = format!(
                "[WARN] the outputs and reports for CI stayed at the host: {}\n",
                text::chain(&error)
            );
            send(&Frame::Err(line.into_bytes()))?;
        }
    }
    Ok(match end {
        End::Exit(code) => Frame::Exit(code),
        End::Signal(signal) => Frame::Lost(format!(
            "guard was ended there by signal {signal}, before it had begun a run"
        )),
        End::Unseen => Frame::Lost("guard was ended there together with whoever waited for it".to_owned()),
    })
}

/// What is said from outside. The channel is closed when nobody is there any more.
fn listen() -> Receiver<Said> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            // An empty line only asks whether somebody reads.
            if let Ok(said) = serde_json::from_str(&line)
                && sender.send(said).is_err()
            {
                return;
            }
        }
    });
    receiver
}

/// Starts a keeper where none is.
fn see_to_keeper(visit: &Visit) -> Result<(), String> {
    if visit.is_kept() || visit.end().is_some() {
        return Ok(());
    }
    let log = visit.log().map_err(|error| text::chain(&error))?;
    match detached::start(&visit.keeper(), log, PATIENCE) {
        Ok(_) => Ok(()),
        // Another one may have been faster.
        Err(_) if visit.is_kept() || visit.end().is_some() => Ok(()),
        Err(error) => Err(format!("nobody could be left there to wait for it: {error}")),
    }
}

/// Begins the visit's command, waits for its end, and writes it down.
fn keep(visit: &Visit) -> ExitCode {
    let clock = MachineClock::start();
    let begun = clock.steady();
    let _lock = loop {
        match visit.keep() {
            Ok(lock) => break lock,
            Err(_) if clock.steady().saturating_sub(begun) < PATIENCE => clock.sleep(TICK),
            Err(_) => return ExitCode::LOCKED,
        }
    };
    if detached::ready(&std::process::id().to_string(), NAME).is_err() {
        return ExitCode::BUG;
    }
    if visit.end().is_some() {
        return ExitCode::DONE;
    }
    let mut end = match visit.has_begun() {
        Ok(false) => begin(visit),
        // Whoever kept it before is gone: how the command ends can only be seen by what it leaves.
        Ok(true) => {
            while let Some(process) = visit.process() {
                let _ended = Vigil::over(process).ends_within(BEAT, clock.as_ref());
            }
            End::Unseen
        }
        Err(_) => End::Unseen,
    };
    // It has said its last word by itself, and only nobody waited for it.
    if end == End::Unseen
        && let Some(run) = run_of(visit)
        && let (Ok(State::Closed(ending)), Ok(true)) = (run.state(), is_told(&run))
    {
        end = End::Exit(ending.exit_code().number());
    }
    // Its run is finished by its watcher, and heard from here as it would have been told.
    if !matches!(end, End::Exit(_)) && visit.run().is_some() {
        let followed = visit.follow().map(|mut child| child.wait());
        if let Ok(Ok(status)) = followed {
            end = End::of(status);
        }
    }
    visit.ended(end).map_or(ExitCode::BUG, |()| ExitCode::DONE)
}

fn begin(visit: &Visit) -> End {
    match visit.begin().map(|mut child| child.wait()) {
        Ok(Ok(status)) => End::of(status),
        Ok(Err(_)) => End::Unseen,
        Err(error) => {
            let line = format!("[ERROR] {}; nothing was begun\n", text::chain(&error));
            let told = guard_system::disk::open_append(&visit.directory.join("err"));
            let _lost = told.map(|mut file| file.write_all(line.as_bytes()));
            End::Exit(ExitCode::REFUSED.number())
        }
    }
}

/// Hears the run that a killed guard had begun.
fn follow_run(environment: Environment) -> ExitCode {
    let is_json = environment.text("GUARD_OUTPUT") == Some("json");
    let run = Visit::of(&environment).as_ref().and_then(run_of);
    let run_settings = run.as_ref().and_then(|run| RunSettings::read(run).ok().flatten());
    let global = GlobalArgs {
        directory: run_settings.as_ref().map(|settings| settings.directory.clone()),
        output: is_json.then_some(OutputForm::Json),
        quiet: environment.text("GUARD_QUIET").is_some_and(|quiet| quiet == "yes"),
        ..GlobalArgs::default()
    };
    let session = match Session::open(&global, environment) {
        Ok(session) => session,
        Err(exit) => return exit,
    };
    let outcome = match (run, run_settings) {
        (Some(run), Some(run_settings)) => follow_in(&run, &run_settings, &session),
        _ => Err(Refusal::new(
            ExitCode::LOST,
            "guard was killed before it had begun a run",
        )),
    };
    let exit = outcome.unwrap_or_else(|refusal| session.told(refusal));
    session.close();
    exit
}

/// The run that a visit's command has begun or taken over.
fn run_of(visit: &Visit) -> Option<Run> {
    let directory = visit.run()?;
    let id = directory.file_name()?.to_str()?.parse().ok()?;
    Some(Run { id, directory })
}

fn follow_in(run: &Run, run_settings: &RunSettings, session: &Session) -> Outcome {
    let state_dir = run.directory.ancestors().nth(2).unwrap_or(&run.directory);
    let place = Place {
        directory: &run_settings.directory,
        state_dir,
        backup_dir: &run_settings.backup_dir,
    };
    let project = run_settings.project(&place, &Flags::new(), session)?;
    let note = format!("guard was killed there; the run {} is heard from its journal", run.id);
    project.cx.note(Level::Warn, note);
    follow(run, From::Kill, &project, session)
}
