//! The watch over a dump: one that brings no byte for too long is ended, since a connection can be dead without a word.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::error::{ResourceError, Result};
use guard_model::text::duration;
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::processes::CallError;
use guard_system::stop::Stop;

/// How long a dump waits for a lock, unless `lock_wait` says otherwise.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(30);
/// How long a dump may be silent, unless `stall` says otherwise.
pub(crate) const STALL: Duration = Duration::from_mins(5);
/// How often is looked.
const TICK: Duration = Duration::from_millis(100);

/// What a program is held to.
pub(crate) struct Watch<'a> {
    /// The database, for people.
    pub(crate) database: &'a str,
    /// How long it may be silent.
    pub(crate) limit: Duration,
    /// The bytes that it has written elsewhere: another figure counts as a byte that it brings.
    pub(crate) grown: &'a (dyn Fn() -> u64 + Sync),
    /// Words its failures.
    pub(crate) explained: &'a (dyn Fn(CallError) -> ResourceError + Sync),
}

impl Watch<'_> {
    /// Runs a program and hands on what it writes, as long as it goes on writing.
    pub(crate) fn pull(
        &self,
        call: &Call,
        cx: &Context,
        sink: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> Result<()> {
        let own = Context {
            stop: Stop::default(),
            ..cx.clone()
        };
        let (over, stalled) = (AtomicBool::new(false), AtomicBool::new(false));
        let last = AtomicU64::new(millis(cx));
        let pulled = std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut asked, mut size, mut looks) = (0, 0, 0_u32);
                while !over.load(Ordering::SeqCst) {
                    while asked < cx.stop.times() {
                        own.stop.ask();
                        asked += 1;
                    }
                    // A directory of many files is not looked at more often than once a second.
                    if looks.is_multiple_of(10) {
                        let now = (self.grown)();
                        if std::mem::replace(&mut size, now) != now {
                            last.store(millis(cx), Ordering::SeqCst);
                        }
                    }
                    looks = looks.wrapping_add(1);
                    let silent = millis(cx).saturating_sub(last.load(Ordering::SeqCst));
                    if u128::from(silent) > self.limit.as_millis() && !stalled.swap(true, Ordering::SeqCst) {
                        own.stop.ask();
                    }
                    cx.clock.sleep(TICK);
                }
            });
            let pulled = own.pull(call, &mut |bytes: &[u8]| {
                last.store(millis(cx), Ordering::SeqCst);
                sink(bytes)
            });
            over.store(true, Ordering::SeqCst);
            pulled
        });
        match pulled {
            Ok(_) => Ok(()),
            Err(error) if stalled.load(Ordering::SeqCst) => {
                let what = format!(
                    "{} brought no byte for {} (database {:?})",
                    call.program(),
                    duration(self.limit),
                    self.database
                );
                Err(ResourceError::because(what, error)
                    .with_hint("look at the network and the server; `stall` is how long a dump may be silent"))
            }
            Err(error) => Err((self.explained)(error)),
        }
    }
}

fn millis(cx: &Context) -> u64 {
    u64::try_from(cx.clock.steady().as_millis()).unwrap_or(u64::MAX)
}
