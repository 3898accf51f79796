//! The keyboard: single keys from the terminal that guard runs in, without echo, and the terminal put back in every ending.
//!
//! Only three things of the terminal are changed: lines (`ICANON`), echo (`ECHO`), and the key that suspends, which is read
//! as a key so that the terminal can be put back before guard stands still. Ctrl-C stays a signal.

use std::fs::OpenOptions;
use std::io::{Error, stdin};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::process::{Signal, getpgrp, kill_current_process_group};
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, isatty, tcflush, tcgetattr, tcgetpgrp,
    tcsetattr,
};
use serde::{Deserialize, Serialize};

const SUSPEND: SpecialCodeIndex = SpecialCodeIndex::VSUSP;
/// What is turned off.
const TAKEN: LocalModes = LocalModes::ICANON.union(LocalModes::ECHO);

/// A terminal as it was: enough for another process to put it back, where this one was killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// The terminal's device.
    pub path: PathBuf,
    local: u32,
    suspend: u8,
}

/// What came of waiting for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressed {
    /// This key.
    Key(u8),
    /// None in time.
    Nothing,
    /// There is no terminal any more.
    Gone,
}

/// The keyboard of the terminal at standard input. Dropped, it puts the terminal back.
pub struct Keyboard {
    terminal: OwnedFd,
    before: Termios,
}

impl Keyboard {
    /// The keyboard, while guard has the foreground of the terminal; `None` where standard input is none or somebody else
    /// has it. Nothing is changed before the first [`Keyboard::press`].
    #[must_use]
    pub fn open() -> Option<Self> {
        let terminal = stdin().as_fd().try_clone_to_owned().ok()?;
        if !isatty(&terminal) || !is_in_foreground(&terminal) {
            return None;
        }
        let before = tcgetattr(&terminal).ok()?;
        Some(Self { terminal, before })
    }

    /// The terminal as it was.
    #[must_use]
    pub fn before(&self) -> Option<Before> {
        let path = std::fs::read_link("/proc/self/fd/0").ok()?;
        Some(Before {
            path,
            local: self.before.local_modes.bits(),
            suspend: self.before.special_codes[SUSPEND],
        })
    }

    /// Waits this long at most for a key. Keys that were typed before guard listened are thrown away.
    pub fn press(&mut self, patience: Duration) -> Pressed {
        if !is_in_foreground(&self.terminal) {
            // Whoever has the foreground now has set up the terminal for itself; reading from here would stop guard.
            rest(patience);
            return Pressed::Nothing;
        }
        if self.take().is_err() {
            return Pressed::Gone;
        }
        let mut waiting = [PollFd::new(&self.terminal, PollFlags::IN)];
        match poll(&mut waiting, Some(&timespec(patience))) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Pressed::Nothing,
            Ok(_) if is_in_foreground(&self.terminal) => {}
            Ok(_) => return Pressed::Nothing,
            Err(_) => return Pressed::Gone,
        }
        let mut key = [0];
        match rustix::io::read(&self.terminal, &mut key) {
            Ok(1) if key[0] == self.before.special_codes[SUSPEND] && key[0] != 0 => {
                self.suspend();
                Pressed::Nothing
            }
            Ok(1) => Pressed::Key(key[0]),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Pressed::Nothing,
            Ok(_) | Err(_) => Pressed::Gone,
        }
    }

    /// Turns lines and echo off, where they are on: at the beginning, and when a shell has brought guard back.
    fn take(&self) -> rustix::io::Result<()> {
        let mut now = tcgetattr(&self.terminal)?;
        if !now.local_modes.intersects(TAKEN) {
            return Ok(());
        }
        now.local_modes.remove(TAKEN);
        now.special_codes[SUSPEND] = 0;
        now.special_codes[SpecialCodeIndex::VMIN] = 1;
        now.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&self.terminal, OptionalActions::Now, &now)?;
        tcflush(&self.terminal, QueueSelector::IFlush)
    }

    /// What Ctrl-Z does, with the terminal put back before.
    fn suspend(&self) {
        self.put_back();
        // Everybody in the foreground, as the terminal itself would do it.
        let _stopped = kill_current_process_group(Signal::TSTP);
    }

    fn put_back(&self) {
        // In the background there is nothing to put back: the shell did it, and asking again would stop guard. Waiting for
        // the terminal to take all output, as other ways do, could take for ever.
        if is_in_foreground(&self.terminal) {
            let _late = tcflush(&self.terminal, QueueSelector::IFlush);
            let _gone = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
        }
    }
}

/// Whether standard input is a pipe.
#[must_use]
pub fn is_pipe() -> bool {
    rustix::fs::fstat(stdin()).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}

/// Waits this long at most until there is something to read at standard input, without reading it. From the background of a
/// terminal nothing can be read.
#[must_use]
pub fn has_typed(patience: Duration) -> bool {
    let input = stdin();
    if isatty(&input) && !is_in_foreground(&input) {
        rest(patience);
        return false;
    }
    let mut waiting = [PollFd::new(&input, PollFlags::IN)];
    poll(&mut waiting, Some(&timespec(patience))).is_ok_and(|ready| ready > 0)
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.put_back();
    }
}

impl Before {
    /// Puts a terminal back that a killed guard has left without echo; says whether there was anything to do. One that
    /// somebody else has changed since is left alone.
    ///
    /// # Errors
    /// The terminal is there and cannot be set.
    pub fn mend(&self) -> Result<bool, Error> {
        let Ok(terminal) = open(&self.path) else {
            return Ok(false);
        };
        let Ok(mut now) = tcgetattr(&terminal) else {
            return Ok(false);
        };
        let before = LocalModes::from_bits_retain(self.local);
        if now.local_modes != before.difference(TAKEN) || now.special_codes[SUSPEND] != 0 {
            return Ok(false);
        }
        now.local_modes = before;
        now.special_codes[SUSPEND] = self.suspend;
        tcsetattr(&terminal, OptionalActions::Now, &now)?;
        Ok(true)
    }
}

/// Opens a terminal without making it one's own.
fn open(path: &Path) -> std::io::Result<std::fs::File> {
    let flags = rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
}

fn is_in_foreground(terminal: impl AsFd) -> bool {
    tcgetpgrp(terminal.as_fd()).is_ok_and(|group| group == getpgrp())
}

fn rest(span: Duration) {
    let _interrupted = poll(&mut [], Some(&timespec(span)));
}

fn timespec(span: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(span.subsec_nanos()),
    }
}
