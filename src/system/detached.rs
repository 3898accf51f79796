//! This very program, started again out of the reach of the terminal, the job and the parent that it was started under.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;

use super::call::ACT;
use super::control_group::{self, Reach};
use super::outside::{CALLED_AS, VISIT};

/// The running program itself, whatever has become of its file: it may have been replaced or deleted since.
const OURSELVES: &str = "/proc/self/exe";
/// By these CI systems find the processes of a job, and end them with it. Jenkins wants all of its marks together, so that
/// `BUILD_ID`, by which compose files may name images, can stay.
const MARKS: [&str; 5] = [
    "RUNNER_TRACKING_ID",
    "JENKINS_NODE_COOKIE",
    "JENKINS_SERVER_COOKIE",
    "HUDSON_COOKIE",
    "HUDSON_SERVER_COOKIE",
];
/// By these guard finds the processes of a run.
const OURS: [&str; 6] = ["GUARD_RUN_ID", "GUARD_STAGE", "GUARD_EVENTS", ACT, VISIT, CALLED_AS];
/// The longest word of readiness.
const WORD: usize = 64;

#[expect(clippy::disallowed_methods, reason = "the door for starting guard itself")]
fn ourselves(words: &[String]) -> Command {
    let mut command = Command::new(OURSELVES);
    command.args(words).stdin(Stdio::null()).current_dir("/");
    for name in MARKS.iter().chain(&OURS) {
        command.env_remove(name);
    }
    command
}

/// Starts this program with these words, and returns the word by which it said that it is ready. What it writes from then
/// on goes to the log. It passes through [`step_away`] first, so that its parent is init: who kills a tree of processes
/// does not find it.
///
/// # Errors
/// It could not be started, or did not say that it is ready in this time.
pub fn start(words: &[String], log: File, patience: Duration) -> io::Result<String> {
    let (mut reader, writer) = io::pipe()?;
    let mut command = ourselves(words);
    let mut first = command.stdout(writer).stderr(log).spawn()?;
    // It holds our end of the pipe; without this its silence would never end.
    drop(command);
    let status = first.wait()?;
    if !status.success() {
        return Err(io::Error::other(format!("it ended with {status}")));
    }
    let limit = Timespec::try_from(patience).map_err(io::Error::other)?;
    // A signal, as that of a child that has ended, is no answer.
    let answered = retry_on_intr(|| poll(&mut [PollFd::new(&reader, PollFlags::IN)], Some(&limit)))?;
    if answered == 0 {
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "it did not say that it is ready",
        ));
    }
    let mut word = [0; WORD];
    let length = loop {
        match reader.read(&mut word) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    let word = String::from_utf8_lossy(word.get(..length).unwrap_or_default())
        .trim()
        .to_owned();
    if word.is_empty() {
        return Err(io::Error::other("it ended before it was ready"));
    }
    Ok(word)
}

/// The way between: a session of its own, and from there the program once more, which then has no living parent. Where systemd
/// would end it together with this process, it gets a scope of its own; where nobody gives one, it goes without.
///
/// # Errors
/// It could not be started.
pub fn step_away(words: &[String]) -> io::Result<()> {
    rustix::process::setsid()?;
    if let Reach::Scope { manager, .. } = control_group::reach() {
        let without: Vec<&str> = MARKS.into_iter().chain(OURS).collect();
        if control_group::start_in_scope(manager, words, &without) {
            return Ok(());
        }
    }
    let mut command = ourselves(words);
    // Both go on: the pipe for the word of readiness, and the log.
    drop(command.spawn()?);
    Ok(())
}

/// Says that this process is ready, lets go of the pipe, and writes to the log from then on. That whoever started it is
/// gone by now is no error: it may have been killed in this very moment, and then there is somebody to stand in for.
///
/// # Errors
/// The pipe cannot be written or let go.
pub fn ready(word: &str, name: &str) -> io::Result<()> {
    // Its name among processes is that of the link otherwise. Nothing hangs on it.
    let _cosmetic = CString::new(name).map(|name| rustix::thread::set_name(&name));
    let told = writeln!(io::stdout(), "{word}");
    rustix::stdio::dup2_stdout(io::stderr().as_fd())?;
    told.or_else(|error| {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Ok(())
        } else {
            Err(error)
        }
    })
}
