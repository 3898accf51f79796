//! Who hears a visit from here: words go to the streams that they were meant for, files to where the CI system looks for them.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::seen::{Place, Seen};
use guard_model::exit::ExitCode;
use guard_report::printer::Streams;
use guard_run::session::Session;
use guard_system::disk::{self, At as _};
use guard_system::keyboard;
use guard_system::outside::{Calls, Frame, Said};

/// How a visit is over, as far as it is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Over {
    /// With this code.
    Exit(ExitCode),
    /// Nobody knows how.
    Lost(String),
    /// The host did not begin it.
    Refused(String),
    /// The host does not know it.
    Unknown,
}

/// How a file of a visit is brought here.
#[derive(Debug, Clone)]
pub(super) struct Local {
    /// Where to.
    pub(super) path: PathBuf,
    /// Whether it is written behind what is there.
    pub(super) is_appended: bool,
}

struct State {
    streams: Streams,
    seen: Seen,
    over: Option<Over>,
    heard_at: Option<Duration>,
    said: VecDeque<Said>,
    stops: u32,
    wishes: u32,
    is_asking: bool,
    is_left: bool,
    failed_files: Vec<String>,
}

/// The listener.
pub(super) struct Listener<'s> {
    session: &'s Session,
    place: Place,
    files: BTreeMap<String, Local>,
    /// Whether somebody sits at this terminal, and the command is one that changes things: then Ctrl-C is a question.
    asks: bool,
    state: Mutex<State>,
}

const QUESTION: &str = "\nIt goes on at the host. s: stop it there, as Ctrl-C would; d: detach, and let it go on; else: go on listening [s/d] ";

impl<'s> Listener<'s> {
    pub(super) fn new(
        session: &'s Session,
        seen: Seen,
        place: Place,
        files: BTreeMap<String, Local>,
        asks: bool,
    ) -> Self {
        let state = State {
            streams: Streams::of_this_process(),
            seen,
            over: None,
            heard_at: None,
            said: VecDeque::new(),
            stops: 0,
            wishes: 0,
            is_asking: false,
            is_left: false,
            failed_files: Vec::new(),
        };
        Self {
            session,
            place,
            files,
            asks,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far was heard.
    pub(super) fn seen(&self) -> Seen {
        self.state().seen.clone()
    }

    /// How often somebody has asked to stop.
    pub(super) fn stops(&self) -> u32 {
        self.state().stops
    }

    /// How it is over.
    pub(super) fn over(&self) -> Option<Over> {
        self.state().over.clone()
    }

    /// When the host was heard last.
    pub(super) fn heard_at(&self) -> Option<Duration> {
        self.state().heard_at
    }

    /// The files that could not be written here.
    pub(super) fn failed_files(&self) -> Vec<String> {
        self.state().failed_files.clone()
    }

    /// Notes how far was heard, for another process.
    pub(super) fn keep(&self) {
        self.place.write(&self.state().seen);
    }

    /// Nothing is left to be heard.
    pub(super) fn forget(&self) {
        self.place.forget();
    }

    /// Looks whether somebody at this machine wants to stop, and asks what that is to mean where somebody can say.
    pub(super) fn hear_wishes(&self) {
        let times = self.session.stop.times();
        let mut state = self.state();
        while state.wishes < times {
            state.wishes += 1;
            if self.asks && !state.is_asking {
                state.is_asking = true;
                let _lost = state.streams.err.write_all(QUESTION.as_bytes());
                let _lost = state.streams.err.flush();
            } else {
                state.is_asking = false;
                stop(&mut state);
            }
        }
    }

    /// Reads what a person types, for as long as this process lives.
    pub(super) fn listen_to_terminal(&self, patience: Duration) {
        if !keyboard::has_typed(patience) {
            return;
        }
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line);
        if !matches!(read, Ok(count) if count > 0) {
            self.session.clock.sleep(patience);
            return;
        }
        let line = line.trim_end_matches(['\r', '\n']);
        let mut state = self.state();
        if !std::mem::take(&mut state.is_asking) {
            state.said.push_back(Said::Answer(line.to_owned()));
            return;
        }
        match line.trim().to_lowercase().as_str() {
            "s" | "stop" => stop(&mut state),
            "d" | "detach" => state.is_left = true,
            _ => {}
        }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> Result<(), disk::DiskError> {
        let Some(local) = self.files.get(name) else {
            return Ok(());
        };
        if !local.is_appended {
            return disk::write_whole(&local.path, bytes);
        }
        let mut file = disk::open_append(&local.path)?;
        file.write_all(bytes).at("write", &local.path)
    }
}

fn stop(state: &mut State) {
    state.stops += 1;
    let stops = state.stops;
    state.said.push_back(Said::Stop(stops));
}

impl Calls for Listener<'_> {
    fn said(&self) -> Option<Said> {
        self.hear_wishes();
        self.state().said.pop_front()
    }

    fn frame(&self, frame: Frame) {
        let now = self.session.clock.steady();
        let mut state = self.state();
        state.heard_at = Some(now);
        let has_words = matches!(frame, Frame::Out(_) | Frame::Err(_) | Frame::Run(_));
        match frame {
            // A reader that is gone changes nothing about the run.
            Frame::Out(bytes) => {
                let _lost = state
                    .streams
                    .out
                    .write_all(&bytes)
                    .and_then(|()| state.streams.out.flush());
                state.seen.out += bytes.len() as u64;
            }
            Frame::Err(bytes) => {
                let _lost = state
                    .streams
                    .err
                    .write_all(&bytes)
                    .and_then(|()| state.streams.err.flush());
                state.seen.err += bytes.len() as u64;
            }
            Frame::File(name, bytes) => {
                if let Err(error) = self.file(&name, &bytes) {
                    state.failed_files.push(guard_model::text::chain(&error));
                }
            }
            Frame::Run(id) => state.seen.run = Some(id),
            Frame::Time(_) => {}
            Frame::Exit(code) => {
                state.over = Some(ExitCode::of_number(code).map_or_else(
                    || Over::Lost(format!("guard ended there with {code}, which is no code of its own")),
                    Over::Exit,
                ));
            }
            Frame::Lost(why) => state.over = Some(Over::Lost(why)),
            Frame::Refused(why) => state.over = Some(Over::Refused(why)),
            Frame::Unknown => state.over = Some(Over::Unknown),
        }
        // Words may be told twice by the next one, and none is passed over.
        if has_words {
            self.place.write(&state.seen);
        }
    }

    fn is_over(&self) -> bool {
        self.state().over.is_some()
    }

    fn is_left(&self) -> bool {
        self.state().is_left
    }
}
