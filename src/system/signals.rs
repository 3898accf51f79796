//! Signals: the first and every further wish to stop is counted; a lost terminal is not a wish; in a CI system the end of
//! the parent is one; a pause is told.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use tokio::signal::unix::{SignalKind, signal};

use super::clock::Clock;
use super::stop::Stop;

/// A file would become larger than it may; the same number on every Linux but MIPS.
const SIGXFSZ: i32 = Signal::XFSZ.as_raw();
/// How exactly it is known since when guard was suspended.
const BEAT: Duration = Duration::from_secs(1);
/// By this the kernel tells that the parent, or the thread of it that started us, has ended. Nobody else sends it to guard.
const PARENT: Signal = Signal::USR1;

/// Counts SIGINT and SIGTERM in `stop` from now on; SIGHUP, SIGXFSZ and SIGPIPE change nothing. Must be called inside a runtime,
/// and lives as long as that.
///
/// # Errors
/// The kernel refuses a handler.
pub fn listen(stop: &Stop) -> std::io::Result<()> {
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let mut arriving = signal(kind)?;
        let stop = stop.clone();
        tokio::spawn(async move {
            while arriving.recv().await.is_some() {
                stop.ask();
            }
        });
    }
    // Handlers that do nothing: the default would end guard when its terminal is closed, or when a file reaches the limit
    // of its size, which a write then tells as an error.
    for kind in [SignalKind::hangup(), SignalKind::from_raw(SIGXFSZ)] {
        let mut arriving = signal(kind)?;
        tokio::spawn(async move { while arriving.recv().await.is_some() {} });
    }
    Ok(())
}

/// Tells each time that guard goes on after it was suspended (Ctrl-Z and `fg`), and for how long it was, to a second. Called
/// inside a runtime, like [`listen`].
///
/// # Errors
/// The kernel refuses a handler.
pub fn listen_to_continue(clock: Arc<dyn Clock>, tell: impl Fn(Duration) + Send + 'static) -> std::io::Result<()> {
    let mut arriving = signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
    tokio::spawn(async move {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut seen, mut before) = (clock.steady(), Duration::ZERO);
        loop {
            let is_signal = tokio::select! {
                biased;
                came = arriving.recv() => {
                    if came.is_none() { return }
                    true
                }
                _ = beat.tick() => false,
            };
            let now = clock.steady();
            let since = now.saturating_sub(seen);
            if is_signal {
                // The beat that was due meanwhile may have come first: then it was the one that saw the pause.
                let is_behind = since < BEAT && before > BEAT + BEAT / 2;
                tell(if is_behind { before } else { since });
            }
            (seen, before) = (now, since);
        }
    });
    Ok(())
}

/// Takes the end of the parent for a wish to stop as well: a CI system that cancels a job ends the step's shell, and gives
/// its children a few seconds. Called inside a runtime, like [`listen`].
///
/// # Errors
/// The kernel refuses a handler.
pub fn listen_to_parent(stop: &Stop) -> std::io::Result<()> {
    let parent = getppid();
    let mut arriving = signal(SignalKind::from_raw(PARENT.as_raw()))?;
    let stop = stop.clone();
    set_parent_process_death_signal(Some(PARENT))?;
    tokio::spawn(async move {
        let mut is_gone = has_ended(parent);
        while !is_gone && arriving.recv().await.is_some() {
            // The kernel tells it of each thread that has started a process: a runner may well end one of many.
            is_gone = has_ended(parent);
        }
        if is_gone {
            stop.ask();
        }
    });
    Ok(())
}

fn has_ended(parent: Option<Pid>) -> bool {
    getppid() != parent
}
