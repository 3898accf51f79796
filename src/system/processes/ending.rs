//! How a program comes to its end: by itself, or by guard, which leaves none behind that it has started.

use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::outcome::CallError;
use super::tree::tree;
use crate::call::Call;
use crate::context::Context;

/// How long a program has between SIGTERM and SIGKILL. As much as `docker stop` gives.
const GRACE: Duration = Duration::from_secs(10);
/// How often is looked whether it has ended.
const TICK: Duration = Duration::from_millis(50);
/// The shortest wait in between.
const LEAST: Duration = Duration::from_millis(1);

/// Ends a program when a panic passes by: nobody waits for it any more, and a deploy command that goes on would work
/// against the way back.
pub(super) struct Leash<'p> {
    cx: &'p Context,
    handle: &'p duct::Handle,
    call: &'p Call,
    ended: &'p AtomicBool,
}

impl Drop for Leash<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.cx.end(self.handle, self.call);
            // Else those who read what it writes would wait for whoever has inherited its pipes.
            self.ended.store(true, Ordering::SeqCst);
        }
    }
}

impl Context {
    /// Holds a program that was started; `ended` says to its readers that it is over.
    pub(super) fn leash<'p>(&'p self, handle: &'p duct::Handle, call: &'p Call, ended: &'p AtomicBool) -> Leash<'p> {
        Leash {
            cx: self,
            handle,
            call,
            ended,
        }
    }

    /// Waits for the end, and brings it about when it is time, or wished.
    pub(super) fn wait(
        &self,
        handle: &duct::Handle,
        call: &Call,
        shown: &str,
        broken: &AtomicBool,
    ) -> Result<ExitStatus, CallError> {
        let begun = self.clock.steady();
        loop {
            // A limit that ends between two looks is kept all the same.
            let left = call
                .timeout
                .map(|limit| limit.saturating_sub(self.clock.steady().saturating_sub(begun)));
            let waited = handle.wait_timeout(left.map_or(TICK, |left| left.clamp(LEAST, TICK)));
            match waited {
                Ok(Some(output)) => return Ok(output.status),
                Ok(None) => {}
                Err(source) => {
                    return Err(CallError::Start {
                        call: shown.to_owned(),
                        source,
                    });
                }
            }
            let late = call
                .timeout
                .filter(|limit| self.clock.steady().saturating_sub(begun) > *limit);
            let ending = if let Some(after) = late {
                CallError::TimedOut {
                    call: shown.to_owned(),
                    after,
                }
            } else if self.stop.is_asked() {
                CallError::Stopped { call: shown.to_owned() }
            } else if broken.load(Ordering::SeqCst) {
                // The sink or the feed failed; its error is told by `run`.
                CallError::Stopped { call: shown.to_owned() }
            } else {
                continue;
            };
            self.end(handle, call);
            return Err(ending);
        }
    }

    /// Ends a program and what it started: SIGTERM, a grace, SIGKILL.
    fn end(&self, handle: &duct::Handle, call: &Call) {
        use rustix::process::Signal;
        let roots = handle.pids();
        let send = |signal: Signal| {
            for pid in &roots {
                let Some(pid) = i32::try_from(*pid).ok().and_then(rustix::process::Pid::from_raw) else {
                    continue;
                };
                // A process that is gone by now is what is wanted.
                if call.shares_group {
                    for process in tree(pid) {
                        let _gone = rustix::process::kill_process(process, signal);
                    }
                } else {
                    let _gone = rustix::process::kill_process_group(pid, signal);
                }
            }
        };
        send(Signal::TERM);
        let begun = self.clock.steady();
        let grace = call.grace.unwrap_or(GRACE);
        while self.clock.steady().saturating_sub(begun) < grace && self.stop.times() < 2 {
            if matches!(handle.wait_timeout(TICK), Ok(Some(_)) | Err(_)) {
                return;
            }
        }
        send(Signal::KILL);
        let _reaped = handle.wait_timeout(GRACE);
    }
}
