//! What keeps clients from writing into a database that was put back while code and images are still the failed release's: a
//! session that holds a read lock on all of its tables.
//!
//! The lock ends with its session, so a guard that is killed leaves nothing closed. Who writes meanwhile waits, and is ended
//! before the lock is let go: it began under the failed release.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use super::reach::{Reach, ident, literal};
use super::read_lock::{Gate, Keeper};
use super::tables::names;
use super::trouble::{explained, is_locked_out};
use crate::error::{ResourceError, Result};
use guard_system::context::Context;

/// How often the lock is tried for again that sessions got in the way of. A guess.
const TRIES: u32 = 4;
/// How long the session has to say that it holds the lock.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether the lock is to be let go.
const TICK: Duration = Duration::from_millis(20);
/// After so many looks the session is asked something, so that its end is noticed.
const HEARTBEAT: u32 = 100;
/// What the session answers once it holds the lock.
const HELD: &str = "held";

impl Gate {
    fn keeper(&self) -> MutexGuard<'_, Option<Keeper>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the lock is held.
    pub(super) fn is_shut(&self) -> bool {
        self.keeper().as_ref().is_some_and(Keeper::is_there)
    }

    /// Takes the lock, unless it is held.
    pub(super) fn shut(&self, reach: &Reach, live: &str, cx: &Context) -> Result<()> {
        let mut keeper = self.keeper();
        if keeper.as_ref().is_some_and(Keeper::is_there) {
            return Ok(());
        }
        let cx = &cx.unstoppable();
        let tables = names(reach, live, false, cx)?;
        if tables.is_empty() {
            return Ok(());
        }
        let mut tries = 1;
        loop {
            match hold(reach, live, &tables, cx) {
                Err(error) if is_locked_out(&error) && tries < TRIES => {
                    end(reach, live, "", cx)?;
                    cx.clock.sleep(Duration::from_millis(100));
                }
                other => {
                    *keeper = Some(other?);
                    return Ok(());
                }
            }
            tries += 1;
        }
    }

    /// Ends the sessions that wait for the lock, and lets it go. Returns whether it was held.
    pub(super) fn open(&self, reach: &Reach, cx: &Context) -> Result<bool> {
        let Some(keeper) = self.keeper().take().filter(Keeper::is_there) else {
            return Ok(false);
        };
        // One that has come in the moment between finds the old code's side of it.
        let ended = end(reach, &keeper.live, " AND STATE LIKE 'Waiting for%lock%'", cx);
        drop(keeper);
        ended.map(|()| true)
    }
}

/// Ends the sessions that use a database; `which` narrows that.
pub(super) fn end(reach: &Reach, live: &str, which: &str, cx: &Context) -> Result<()> {
    let script = format!(
        "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = {} AND ID <> CONNECTION_ID(){which};",
        literal(live)
    );
    for id in reach.rows::<u64>(&script, cx)? {
        // One that has ended by itself is fine, and one that stays makes the next try fail.
        let _told = reach.run(None, &format!("KILL {id};"), cx);
    }
    Ok(())
}

/// Opens a session that holds the lock, and returns once it does.
fn hold(reach: &Reach, live: &str, tables: &[String], cx: &Context) -> Result<Keeper> {
    let locks: Vec<String> = tables
        .iter()
        .map(|table| format!("{}.{} READ", ident(live), ident(table)))
        .collect();
    let script = format!(
        "{}SET SESSION lock_wait_timeout = 2;\nLOCK TABLES {};\nSELECT '{HELD}';\n",
        reach.prelude(),
        locks.join(", ")
    );
    let released = Arc::new(AtomicBool::new(false));
    let (said, heard) = channel();
    let (own, ended) = (reach.clone(), Arc::clone(&released));
    let there = cx.clone();
    let thread = std::thread::Builder::new().name("guard-gate".to_owned());
    let thread = thread.spawn(move || session(&own, &script, &ended, &said, &there));
    let thread = thread.map_err(|error| ResourceError::because("could not start a thread", error))?;
    let keeper = Keeper {
        live: live.to_owned(),
        released,
        thread: Some(thread),
    };
    match heard.recv_timeout(PATIENCE) {
        Ok(answer) => answer.map(|()| keeper),
        Err(_) => Err(ResourceError::new(
            "the server did not say whether its tables can be locked",
        )),
    }
}

/// The session itself: it stays until it is released.
fn session(reach: &Reach, script: &str, released: &AtomicBool, said: &Sender<Result<()>>, cx: &Context) {
    let mut text = String::new();
    let mut sink = |bytes: &[u8]| {
        text.push_str(&String::from_utf8_lossy(bytes));
        if text.lines().any(|line| line == HELD) {
            // Whoever asked may have lost patience.
            let _gone = said.send(Ok(()));
        }
        text.clear();
        Ok(())
    };
    let clock = Arc::clone(&cx.clock);
    let mut feed = |writer: &mut dyn Write| -> io::Result<()> {
        writer.write_all(script.as_bytes())?;
        writer.flush()?;
        let mut ticks: u32 = 0;
        while !released.load(Ordering::SeqCst) {
            ticks = ticks.wrapping_add(1);
            if ticks.is_multiple_of(HEARTBEAT) {
                writer.write_all(b"SELECT 1;\n")?;
                writer.flush()?;
            }
            clock.sleep(TICK);
        }
        Ok(())
    };
    let call = reach.client(None).arg("--unbuffered");
    if let Err(error) = cx.converse(&call, &mut sink, &mut feed) {
        let _gone = said.send(Err(explained(error, &reach.database)));
    }
}
