//! The watch over a dump: one that brings no byte for too long is ended, since a connection can be dead without a word.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::trouble::explained;
use crate::model::text::duration;
use crate::resources::{ResourceError, Result};
use crate::system::call::Call;
use crate::system::context::Context;
use crate::system::stop::Stop;

/// How often is looked.
const TICK: Duration = Duration::from_millis(100);

/// Runs a program and hands on what it writes, as long as it goes on writing.
pub(super) fn pull(
    call: &Call,
    database: &str,
    limit: Duration,
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
            let mut asked = 0;
            while !over.load(Ordering::SeqCst) {
                while asked < cx.stop.times() {
                    own.stop.ask();
                    asked += 1;
                }
                let silent = millis(cx).saturating_sub(last.load(Ordering::SeqCst));
                if u128::from(silent) > limit.as_millis() && !stalled.swap(true, Ordering::SeqCst) {
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
                "{} brought no byte for {} (database {database:?})",
                call.program(),
                duration(limit)
            );
            Err(ResourceError::because(what, error)
                .with_hint("look at the network and the server; `stall` is how long a dump may be silent"))
        }
        Err(error) => Err(explained(error, database)),
    }
}

fn millis(cx: &Context) -> u64 {
    u64::try_from(cx.clock.steady().as_millis()).unwrap_or(u64::MAX)
}
