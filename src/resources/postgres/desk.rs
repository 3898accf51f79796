//! One session for all the scripts that look at a server and rename, make and drop databases: each would else begin a psql of its
//! own, which in a container takes many times as long as what the script does.
//!
//! What a script leaves in its session is discarded before the next one, so that each begins as in a session of its own.

use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::talk::{END, Item, TICK, talk};
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::docker::Engine;
use guard_system::processes::CallError;
use guard_system::stop::Stop;

/// How many pieces of output may wait to be read.
const WAITING: usize = 16;
/// A session that has been idle for so long is not asked again: what lies between may have forgotten the connection, and that is
/// noticed late. A guess.
const FRESH: Duration = Duration::from_secs(5);

/// Where scripts are handed in. Clones share its session, which ends with the last of them.
#[derive(Clone, Default)]
pub(crate) struct Desk(Arc<Mutex<Option<Line>>>);

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk")
    }
}

/// A session.
struct Line {
    asked: Option<Sender<Item>>,
    pieces: Receiver<Vec<u8>>,
    talker: Option<JoinHandle<Result<(), CallError>>>,
    /// Ends psql where nobody waits for it any more.
    stop: Stop,
    /// How it was opened: by which call, for which run, and whether beside its steps.
    by: Opened,
    /// Whether it has answered before.
    is_used: bool,
    /// When it last did; else when it was opened.
    since: Duration,
}

#[derive(PartialEq, Eq)]
struct Opened {
    call: Call,
    scratch: PathBuf,
    engine: Option<Arc<Engine>>,
    is_expendable: bool,
}

impl Desk {
    /// What this script prints. `None`: another thread is at the desk, and the script takes a session of its own.
    pub(super) fn ask(&self, call: &Call, script: &str, cx: &Context) -> Option<Result<String, CallError>> {
        let mut place = self.0.try_lock().ok()?;
        let told = loop {
            let line = at(&mut place, call, cx)?;
            let was_used = line.is_used;
            // Of a script whose session breaks nobody knows whether it was done. So it is given only to one that answers.
            match line.ask("DISCARD ALL;", cx) {
                Err(_) if was_used && !cx.stop.is_asked() => *place = None,
                Err(error) => break Err(error),
                Ok(_) => break line.ask(script, cx),
            }
        };
        if told.is_err() {
            *place = None;
        }
        Some(told)
    }

    /// Opens the session, so that it is there when a script comes; waits for nothing.
    pub(super) fn open(&self, call: &Call, cx: &Context) {
        if let Ok(mut place) = self.0.try_lock() {
            at(&mut place, call, cx);
        }
    }
}

/// The session that is open, where it is one of this call and can still be asked; else a new one. `None`: none can be had.
fn at<'p>(place: &'p mut Option<Line>, call: &Call, cx: &Context) -> Option<&'p mut Line> {
    let by = Opened {
        call: call.clone(),
        scratch: cx.scratch.clone(),
        engine: cx.engine.clone(),
        is_expendable: cx.is_expendable,
    };
    if place.as_ref().is_none_or(|line| line.by != by || line.is_old(cx)) {
        // The one before it has ended when the next one begins.
        drop(place.take());
        *place = Line::open(by, cx);
    }
    place.as_mut()
}

impl Line {
    fn open(by: Opened, cx: &Context) -> Option<Self> {
        let (asked, asking) = channel();
        let (found, pieces) = sync_channel(WAITING);
        // A later script may be one that no signal cuts off. Who asks looks at their own wish to stop.
        let own = cx.unstoppable();
        let (call, stop) = (by.call.clone(), own.stop.clone());
        let thread = std::thread::Builder::new().name("guard-desk".to_owned());
        let talker = thread.spawn(move || talk(&call, "", asking, &found, &own)).ok()?;
        Some(Self {
            asked: Some(asked),
            pieces,
            talker: Some(talker),
            stop,
            by,
            is_used: false,
            since: cx.clock.steady(),
        })
    }

    fn is_old(&self, cx: &Context) -> bool {
        cx.clock.steady().saturating_sub(self.since) >= FRESH
    }

    /// What a script prints.
    fn ask(&mut self, script: &str, cx: &Context) -> Result<String, CallError> {
        // One that has ended tells why below.
        let _sent = self
            .asked
            .as_ref()
            .map(|asked| asked.send(Item::Script(format!("{script}\n;\n\\echo {END}\n"))));
        let mut told = Vec::new();
        loop {
            match self.pieces.recv_timeout(TICK) {
                Ok(piece) => told.extend_from_slice(&piece),
                Err(RecvTimeoutError::Timeout) if cx.stop.is_asked() => {
                    self.stop.ask();
                    let call = self.by.call.shown(&cx.redaction);
                    return Err(CallError::Stopped { call });
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended(cx)),
            }
            let end = format!("{END}\n");
            let is_done = told
                .strip_suffix(end.as_bytes())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with(b"\n"));
            if is_done {
                told.truncate(told.len() - end.len());
                (self.is_used, self.since) = (true, cx.clock.steady());
                return Ok(String::from_utf8_lossy(&told).into_owned());
            }
        }
    }

    /// Why the session is over although nobody has ended it.
    fn ended(&mut self, cx: &Context) -> CallError {
        let ended = self.talker.take().map(JoinHandle::join);
        match ended {
            Some(Ok(Err(error))) => error,
            _ => CallError::Data {
                call: self.by.call.shown(&cx.redaction),
                source: std::io::Error::other("the session with the server has ended"),
            },
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.asked = None;
        // It ends within the time that psql takes to leave.
        let _ended = self.talker.take().map(JoinHandle::join);
    }
}
