//! A program in a running container, started through the engine's socket: what `docker exec` does, without a process of its own.
//!
//! Such a program outlives guard as one of `docker exec` does, and no process of this host tells of it. So its number is noted in
//! the run's directory before it is started: whoever takes the run over asks the engine whether it has ended.

use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::client::DockerError;
use super::road::{asked, read, socket, sound, until};
use super::socket::{Request, Silence, Socket};
use crate::call::{Call, Input};
use crate::context::Context;
use crate::disk;
use crate::processes::{CallError, Output};

/// How many bytes of standard error are kept for messages, as of any program.
const STDERR_KEPT: usize = 16 * 1024;
/// How many pieces of what it reads wait for it, and how long each is at most, in bytes. Guesses.
const PIECES: usize = 4;
const PIECE: usize = 64 * 1024;
/// What the client itself says before the words of an engine that refuses.
const REFUSED: &str = "Error response from daemon: ";
/// How the names of notes begin.
const NOTE: &str = "inside-";
/// How long an engine may take to tell whether a program has ended: it does nothing for that.
const LOOK: Duration = Duration::from_secs(10);
/// How often that is asked, first and at most.
const SOON: Duration = Duration::from_millis(1);
const OFTEN: Duration = Duration::from_millis(50);

/// Writes what a program reads.
type Feed<'a> = &'a mut (dyn FnMut(&mut dyn Write) -> io::Result<()> + Send);

/// A program that the engine knows of and has not started.
pub(crate) struct Exec {
    socket: Arc<Socket>,
    /// Its number, and the note of it; else why the engine refuses it.
    made: Result<(String, Note), String>,
}

/// What a call that runs a program in a container becomes through the engine's socket; `None` where it is any other call, or the
/// program `docker` has to be run.
pub(crate) fn exec_of(cx: &Context, call: &Call) -> Option<Result<Exec, CallError>> {
    let within = call.within.as_ref()?;
    let words = call.args.get(within.words_from..)?.iter();
    let words: Vec<&str> = words.map(|word| word.to_str()).collect::<Option<_>>()?;
    let variable = |name: &String| {
        let (_, value) = call.env.iter().find(|(known, _)| known == name.as_str())?;
        Some(format!("{name}={}", value.to_str()?))
    };
    let env: Vec<String> = within.variables.iter().map(variable).collect::<Option<_>>()?;
    let socket = socket(cx).filter(|socket| env.is_empty() || socket.takes_variables())?;
    let request = Request::post(&["containers", &within.container, "exec"]).body(json!({
        "Cmd": words, "Env": env, "AttachStdin": within.reads, "AttachStdout": true, "AttachStderr": true,
    }));
    let request = request.within(call.timeout);
    let made = match asked(cx, &request)?.and_then(|answer| read(&answer, &request)) {
        Ok(told) => match told.get("Id").and_then(Value::as_str) {
            // What cannot be noted is left to a process of its own, which needs no note.
            Some(id) => Ok((id.to_owned(), Note::made(id, &socket.path, cx).ok()?)),
            None => return None,
        },
        Err(DockerError::Call(error)) => return Some(Err(error)),
        Err(DockerError::Refused { message, .. }) => Err(message),
        Err(error) => Err(error.to_string()),
    };
    Some(Ok(Exec { socket, made }))
}

impl Exec {
    /// Starts it, feeds it and reads it until it has ended, as a program of this host is run.
    ///
    /// # Errors
    /// It took too long, the sink or the feed failed, or guard was asked to stop; it then goes on in the container without
    /// anything more to read.
    pub(crate) fn run(
        self,
        call: &Call,
        sink: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
        feed: Option<Feed<'_>>,
        cx: &Context,
    ) -> Result<Output, CallError> {
        let shown = || call.shown(&cx.redaction);
        let (id, _note) = match self.made {
            Ok(made) => made,
            Err(refusal) => return Ok(refused(&refusal, cx)),
        };
        let data = |source| CallError::Data { call: shown(), source };
        let begun = cx.clock.steady();
        let request = Request::post(&["exec", &id, "start"])
            .body(json!({ "Detach": false, "Tty": false }))
            .upgrading()
            .within(call.timeout);
        let mut errors = Vec::new();
        let mut take = |is_error: bool, bytes: &[u8]| {
            if !is_error || call.merges {
                return sink(bytes);
            }
            errors.extend_from_slice(bytes);
            let surplus = errors.len().saturating_sub(STDERR_KEPT);
            errors.drain(..surplus);
            Ok(())
        };
        let (talked, handed) = std::thread::scope(|scope| {
            let (give, given) = mpsc::channel(PIECES);
            let feeder = scope.spawn(move || hand_over(call, feed, give));
            let talked = self.socket.talk(until(cx), &request, given, &mut take);
            let handed = feeder.join();
            (
                talked,
                handed.unwrap_or_else(|_| Err(io::Error::other("a feed panicked"))),
            )
        });
        let answer = match talked {
            Ok(answer) if answer.status == 101 => None,
            Ok(answer) => Some(match sound(answer, &request, cx) {
                Err(DockerError::Refused { message, .. }) => message,
                _ => "it answers without a way to talk to the program".to_owned(),
            }),
            Err(Silence::Unheard) => Some(BROKEN.to_owned()),
            Err(Silence::Stopped) => return Err(CallError::Stopped { call: shown() }),
            Err(Silence::TimedOut(after)) => return Err(CallError::TimedOut { call: shown(), after }),
            Err(Silence::Refused(source)) => return Err(data(source)),
        };
        handed.map_err(data)?;
        if let Some(refusal) = answer {
            return Ok(refused(&refusal, cx));
        }
        let code = match code(&self.socket, &id, call.timeout.map(|limit| begun + limit), cx) {
            Ok(Some(code)) => code,
            Ok(None) => return Ok(refused(BROKEN, cx)),
            Err(Silence::TimedOut(_)) => {
                let after = call.timeout.unwrap_or_default();
                return Err(CallError::TimedOut { call: shown(), after });
            }
            Err(_) => return Err(CallError::Stopped { call: shown() }),
        };
        Ok(Output {
            status: status(code),
            stdout: Vec::new(),
            stderr: cx.redaction.clean(&String::from_utf8_lossy(&errors)),
        })
    }
}

/// What is said where the engine went away in the middle.
const BROKEN: &str = "the connection with the engine broke off";

/// As `docker` itself ends where the engine refuses.
fn refused(why: &str, cx: &Context) -> Output {
    Output {
        status: status(1),
        stdout: Vec::new(),
        stderr: cx.redaction.clean(&format!("{REFUSED}{why}\n")),
    }
}

/// An exit code as the kernel tells it.
fn status(code: i32) -> ExitStatus {
    ExitStatus::from_raw((code & 0xff) << 8)
}

/// Gives a program what it reads, piece by piece. One that ends before it has read all tells why by its own exit code.
fn hand_over(call: &Call, feed: Option<Feed<'_>>, give: mpsc::Sender<io::Result<Vec<u8>>>) -> io::Result<()> {
    let mut line = Line(give);
    let given = match (feed, &call.input) {
        (Some(feed), _) => feed(&mut line),
        (None, Input::Bytes(bytes)) => line.write_all(bytes),
        (None, Input::Nothing | Input::Inherited) => Ok(()),
    };
    match given {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            // Half of what it should read must not look like all of it for longer than can be helped.
            let _nobody = line.0.blocking_send(Err(io::Error::other("what it reads broke off")));
            Err(error)
        }
        Ok(()) => Ok(()),
    }
}

/// The way to what a program reads.
struct Line(mpsc::Sender<io::Result<Vec<u8>>>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = bytes.get(..PIECE).unwrap_or(bytes);
        let sent = self.0.blocking_send(Ok(piece.to_vec()));
        sent.map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The exit code of a program whose output is at its end; `None` where the engine does not tell it any more.
fn code(socket: &Socket, id: &str, end: Option<Duration>, cx: &Context) -> Result<Option<i32>, Silence> {
    let mut pause = SOON;
    loop {
        match looked_at(socket, id, cx) {
            Ok(Some(Seen { is_running: true, .. })) => {}
            Ok(Some(seen)) => return Ok(Some(seen.code)),
            Ok(None) | Err(Silence::Unheard | Silence::Refused(_)) => return Ok(None),
            Err(why) => return Err(why),
        }
        // It has closed its output, and goes on.
        if cx.stop.is_asked() {
            return Err(Silence::Stopped);
        }
        if end.is_some_and(|end| cx.clock.steady() >= end) {
            return Err(Silence::TimedOut(LOOK));
        }
        cx.clock.sleep(pause);
        pause = OFTEN.min(pause * 2);
    }
}

struct Seen {
    is_running: bool,
    code: i32,
}

/// What the engine says of a program; `None` where it knows of none.
fn looked_at(socket: &Socket, id: &str, cx: &Context) -> Result<Option<Seen>, Silence> {
    let request = Request::get(&["exec", id, "json"]).within(Some(LOOK));
    let answer = socket.ask(until(cx), &request)?;
    let Some(told) = sound(answer, &request, cx)
        .ok()
        .and_then(|answer| read(&answer, &request).ok())
    else {
        return Ok(None);
    };
    let code = told.get("ExitCode").and_then(Value::as_i64);
    Ok(Some(Seen {
        is_running: told.get("Running").and_then(Value::as_bool).unwrap_or_default(),
        // Without a code nothing was proven: that is not what ends well.
        code: code.and_then(|code| i32::try_from(code).ok()).unwrap_or(1),
    }))
}

/// That a program is at work in a container: a file in the run's directory, for as long as this is kept.
struct Note(Option<PathBuf>);

#[derive(Serialize, Deserialize)]
struct Noted {
    /// The engine's socket.
    socket: PathBuf,
    /// The number that the engine gave it.
    id: String,
    /// Whether it is aside of the run's steps, and nobody waits for its end.
    aside: bool,
}

impl Note {
    /// Notes it, where there is a run. It need not outlive the host, which takes the program along.
    fn made(id: &str, socket: &Path, cx: &Context) -> io::Result<Self> {
        if cx.run.is_none() {
            return Ok(Self(None));
        }
        let path = cx.scratch.join(format!("{NOTE}{}", id.get(..16).unwrap_or(id)));
        let noted = Noted {
            socket: socket.to_owned(),
            id: id.to_owned(),
            aside: cx.is_expendable,
        };
        let mut file = disk::create_private_file(&path).map_err(io::Error::other)?;
        let note = Self(Some(path));
        file.write_all(&serde_json::to_vec(&noted)?)?;
        Ok(note)
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // One that stays is asked after in vain, once.
            let _gone = std::fs::remove_file(path);
        }
    }
}

/// Waits until the programs that a killed guard had begun in containers for the run in this directory have ended, and no longer
/// than `limit`. Their connection is broken, and what they do is short. Returns how many were at work.
pub(crate) fn await_programs(run: &Path, limit: Duration, cx: &Context) -> usize {
    let mut open = Vec::new();
    for path in disk::list(run).unwrap_or_default() {
        let is_note = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(NOTE));
        if !is_note {
            continue;
        }
        let noted = disk::read_optional(&path).ok().flatten();
        // Half of a note: then the program was not started yet.
        if let Some(noted) = noted.and_then(|bytes| serde_json::from_slice::<Noted>(&bytes).ok())
            && !noted.aside
        {
            open.push(noted);
        }
        let _gone = std::fs::remove_file(&path);
    }
    // An engine that does not answer has no program that guard could be in the way of.
    let is_at_work = |noted: &Noted| {
        let engine = Socket::open(&noted.socket, until(cx)).ok();
        let seen = engine.and_then(|engine| looked_at(&engine, &noted.id, cx).ok().flatten());
        seen.is_some_and(|seen| seen.is_running)
    };
    open.retain(is_at_work);
    let count = open.len();
    let end = cx.clock.steady() + limit;
    while !open.is_empty() && cx.clock.steady() < end {
        cx.clock.sleep(OFTEN);
        open.retain(is_at_work);
    }
    count
}
