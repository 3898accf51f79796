//! Which process is meant: the kernel gives a number again once its process has ended, so the beginning belongs to it.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use super::clock::Clock;

/// How often a process is looked at where the kernel cannot tell its end.
const TICK: Duration = Duration::from_millis(20);
/// The place of a process's beginning among the fields of `/proc/PID/stat` that follow its name.
const BEGINNING: usize = 19;

/// A process of this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its number.
    pub pid: u32,
    /// When it began, in the kernel's ticks since the boot.
    pub began: u64,
}

impl Identity {
    /// The process that has this number now; `None` where there is none, or where it has ended and is only not yet reaped.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may hold spaces and parentheses itself: the fields begin after the last one.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        if matches!(fields.first(), Some(&("Z" | "X"))) {
            return None;
        }
        let began = fields.get(BEGINNING)?.parse().ok()?;
        Some(Self { pid, began })
    }

    /// This process.
    #[must_use]
    pub fn of_this_process() -> Option<Self> {
        Self::of(std::process::id())
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// A wait for the end of a process that need not be a child.
pub struct Vigil {
    process: Identity,
    descriptor: Option<OwnedFd>,
}

impl Vigil {
    /// Begins to wait for this process.
    #[must_use]
    pub fn over(process: Identity) -> Self {
        let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
        let descriptor = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        // Looked at after the descriptor was opened: it is then known whose it is.
        let descriptor = descriptor.filter(|_| process.is_alive());
        Self { process, descriptor }
    }

    /// Waits for the end, at most this long; says whether it has come.
    #[must_use]
    pub fn ends_within(&self, span: Duration, clock: &dyn Clock) -> bool {
        let Some(descriptor) = &self.descriptor else {
            if self.process.is_alive() {
                clock.sleep(span.min(TICK));
            }
            return !self.process.is_alive();
        };
        let Ok(limit) = Timespec::try_from(span) else {
            return !self.process.is_alive();
        };
        let mut watched = [PollFd::new(descriptor, PollFlags::IN)];
        // A signal ends the wait early, and the caller asks again.
        poll(&mut watched, Some(&limit)).is_ok_and(|ready| ready > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::MachineClock;

    #[test]
    fn fault_d5_a_number_that_was_given_again_is_another_process() {
        let us = Identity::of_this_process().unwrap();
        let before = Identity {
            began: us.began - 1,
            ..us
        };
        assert!(us.is_alive() && !before.is_alive());
        let clock = MachineClock::start();
        assert!(Vigil::over(before).ends_within(Duration::from_mins(1), clock.as_ref()));
        assert!(!Vigil::over(us).ends_within(Duration::from_millis(1), clock.as_ref()));
    }
}
