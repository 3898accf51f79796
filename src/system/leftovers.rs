//! Processes that a run left behind when guard was killed: found by the run's name in their environment, and ended.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, getpgid, kill_process, test_kill_process};

use serde::{Deserialize, Serialize};

use super::call::{ACT, ASIDE};
use super::context::Context;
use super::{docker, privilege};
use guard_model::fact::Actor;
use guard_model::text::sanitised;

/// How long they have between SIGTERM and SIGKILL. As much as `docker stop` gives.
const GRACE: Duration = Duration::from_secs(10);
/// How often is looked whether they have ended.
const TICK: Duration = Duration::from_millis(50);

/// Waits until the programs that a killed guard had begun for the run in this directory have ended, also those in containers: their
/// pipes are broken, and what they do is short. Those that have not ended after a while are ended, and those of an act aside at once. Returns
/// how many were there.
#[must_use]
pub fn await_acts(run: &Path, driver: &Actor, cx: &Context) -> usize {
    if driver.host != privilege::host_name() || driver.boot != privilege::boot_id() {
        return 0;
    }
    let marks = [(ACT.to_owned(), run.display().to_string())];
    let found = find(&marks, None);
    let inside = docker::await_programs(run, GRACE, cx);
    // A long load would be waited for in vain: what comes of it is not believed.
    for pid in find(&[(ASIDE.to_owned(), run.display().to_string())], None) {
        let _gone = kill_process(pid, Signal::TERM);
    }
    for signal in [None, Some(Signal::TERM), Some(Signal::KILL)] {
        let left = find(&marks, None);
        for pid in &left {
            let _gone = signal.map(|signal| kill_process(*pid, signal));
        }
        let deadline = cx.clock.steady() + GRACE;
        while cx.clock.steady() < deadline && !find(&marks, None).is_empty() {
            cx.clock.sleep(TICK);
        }
    }
    found.len() + inside
}

/// Ends what is left of a run's own commands, so that a deploy command that outlived guard does not work against the way
/// back. Only processes that carry these variables, the run's name and its backup's directory, and are still in its driver's
/// process group count: a daemon that the command has started properly is in a group of its own and is the new release, not
/// a leftover. The name alone is not enough: a run of another project may have begun in the same second.
///
/// Returns how many were ended.
#[must_use]
pub fn end_leftovers(marks: &[(String, String)], driver: &Actor, cx: &Context) -> usize {
    if driver.host != privilege::host_name() || driver.boot != privilege::boot_id() {
        return 0;
    }
    let found = find(marks, Some(driver.group));
    for pid in &found {
        // A process that is gone by now is what is wanted.
        let _gone = kill_process(*pid, Signal::TERM);
    }
    let begun = cx.clock.steady();
    while found.iter().any(|pid| test_kill_process(*pid).is_ok()) && cx.clock.steady().saturating_sub(begun) < GRACE {
        cx.clock.sleep(TICK);
    }
    for pid in find(marks, Some(driver.group)) {
        let _gone = kill_process(pid, Signal::KILL);
    }
    found.len()
}

/// The processes that carry all of these variables, each by its name and number: `sleep (pid 4711)`.
#[must_use]
pub fn running(marks: &[(String, String)]) -> Vec<String> {
    let named = |pid: Pid| {
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        Some(format!("{} (pid {pid})", sanitised(comm.trim())))
    };
    find(marks, None).into_iter().filter_map(named).collect()
}

/// A process that a command has left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    pid: i32,
    /// When it began, in the kernel's own ticks: a number is given again.
    began: u64,
    name: String,
}

impl Left {
    /// Its name and number: `sleep (pid 4711)`.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{} (pid {})", self.name, self.pid)
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it is still there.
    #[must_use]
    pub fn is_there(&self) -> bool {
        stat(self.pid).is_some_and(|(began, state)| began == self.began && !matches!(state, 'Z' | 'X'))
    }

    /// Whether it is held.
    #[must_use]
    pub fn is_held(&self) -> bool {
        stat(self.pid).is_some_and(|(began, state)| began == self.began && state == 'T')
    }

    /// The process of this number as it is now; `None` where there is none.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        let (began, state) = stat(pid)?;
        let name = sanitised(comm.trim());
        (state != 'Z').then_some(Self { pid, began, name })
    }

    /// Whether its program has one of these names.
    #[must_use]
    pub fn is_called(&self, names: &[&str]) -> bool {
        names.contains(&self.name.as_str())
    }

    /// Holds it where it is: it does nothing until it is let go. Says whether it could be.
    #[expect(clippy::must_use_candidate, reason = "one that has ended need not be held")]
    pub fn hold(&self) -> bool {
        self.send(Signal::STOP)
    }

    /// Lets it go on.
    pub fn let_go(&self) {
        self.send(Signal::CONT);
    }

    fn send(&self, signal: Signal) -> bool {
        // One that has ended meanwhile needs nothing.
        let pid = Pid::from_raw(self.pid).filter(|_| self.is_there());
        pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
    }
}

/// When a process began, and its state.
fn stat(pid: i32) -> Option<(u64, char)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    let rest = text.rsplit_once(')')?.1;
    let mut words = rest.split_whitespace();
    let state = words.next()?.chars().next()?;
    Some((words.nth(18)?.parse().ok()?, state))
}

/// The processes that carry all of these variables.
#[must_use]
pub fn left(marks: &[(String, String)]) -> Vec<Left> {
    let seen = |pid: Pid| Left::of(pid.as_raw_nonzero().get());
    find(marks, None).into_iter().filter_map(seen).collect()
}

fn find(marks: &[(String, String)], group: Option<u32>) -> Vec<Pid> {
    let marks: Vec<String> = marks.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Some(pid) = Pid::from_raw(pid).filter(|_| u32::try_from(pid) != Ok(std::process::id())) else {
            continue;
        };
        // A process of another user cannot be read, and is not the command's.
        let Ok(environment) = std::fs::read(process.path().join("environ")) else {
            continue;
        };
        let carries = |mark: &String| {
            environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == mark.as_bytes())
        };
        let is_of_run = !marks.is_empty() && marks.iter().all(carries);
        let is_in_group = group.is_none_or(|group| {
            getpgid(Some(pid)).is_ok_and(|its| u32::try_from(its.as_raw_nonzero().get()) == Ok(group))
        });
        if is_of_run && is_in_group {
            found.push(pid);
        }
    }
    found
}
