//! The lock on a database that guards on all hosts see: an advisory lock, held by a session for as long as a run lasts.

use std::cell::Cell;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::database::Postgres;
use super::reach::Reach;
use super::sql::literal;
use super::trouble::explained;
use crate::error::{ResourceError, Result};
use crate::held::{Held, Hold};
use guard_model::event::Level;
use guard_system::context::Context;
use guard_system::disk::sha256_hex;

/// Where the lock is. Advisory locks belong to a database: this one is on every server, and no swap touches it.
const DATABASE: &str = "postgres";
/// The first half of the lock's key, by which guard's locks are told from those of others: `guar`.
const FAMILY: i32 = 0x6775_6172;
/// How long the server has to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether the lock is to be let go.
const TICK: Duration = Duration::from_millis(20);
/// After so many looks the session is asked something, so that its end is noticed.
const HEARTBEAT: u32 = 100;
/// How long is waited before a lost lock is asked for again.
const PAUSE: Duration = Duration::from_millis(500);

/// A lock that is held by a session, and taken again where the session is lost.
struct Advisory {
    released: Arc<AtomicBool>,
    keeper: Option<JoinHandle<()>>,
}

impl Hold for Advisory {}

impl Drop for Advisory {
    fn drop(&mut self) {
        self.released.store(true, Ordering::SeqCst);
        // It ends within a tick and the time that psql takes to leave.
        let _ended = self.keeper.take().map(JoinHandle::join);
    }
}

/// What the server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Ours,
    Theirs(String),
}

/// The session that holds the lock, and what it needs to be opened again.
struct Keeper {
    of: Postgres,
    database: String,
    holder: String,
    released: Arc<AtomicBool>,
    cx: Context,
}

/// Takes the lock, or says who has it.
pub(super) fn hold(of: &Postgres, holder: &str, cx: &Context) -> Result<Held> {
    let reach = Reach::open(of, cx)?;
    // A session that stays in `template1` would keep everybody from making databases, and one in the database itself would
    // not survive the swap: where there is no third, there is no such lock.
    let place = match reach.maintenance(cx) {
        // Who restores in place may be allowed into no other database.
        Err(_) if of.in_place => return Ok(Held::Nothing),
        other => other?,
    };
    if place != DATABASE {
        return Ok(Held::Nothing);
    }
    let released = Arc::new(AtomicBool::new(false));
    let keeper = Keeper {
        of: of.clone(),
        database: reach.database,
        holder: holder.to_owned(),
        released: Arc::clone(&released),
        cx: cx.clone(),
    };
    let (sender, answer) = channel();
    let thread = std::thread::Builder::new().name("guard-lock".to_owned());
    let thread = thread
        .spawn(move || keeper.keep(&sender))
        .map_err(|error| ResourceError::because("could not start a thread", error))?;
    let advisory = Advisory {
        released,
        keeper: Some(thread),
    };
    match answer.recv_timeout(PATIENCE) {
        Ok(Ok(Answer::Ours)) => Ok(Held::Ours(Box::new(advisory))),
        Ok(Ok(Answer::Theirs(owner))) => Ok(Held::Theirs(owner)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(ResourceError::new("the server did not say whether the lock is free")),
    }
}

impl Keeper {
    fn is_released(&self) -> bool {
        self.released.load(Ordering::SeqCst)
    }

    /// Holds the lock until it is released, through as many sessions as it takes.
    fn keep(&self, first: &Sender<Result<Answer>>) {
        let is_held = Cell::new(false);
        let result = self.session(&|answer| {
            is_held.set(answer == Answer::Ours);
            // Whoever asked may have lost patience.
            let _gone = first.send(Ok(answer));
        });
        if !is_held.get() {
            if let Err(error) = result {
                let _gone = first.send(Err(error));
            }
            return;
        }
        let lost = format!(
            "the lock on {} is lost with its session, as when the server restarts",
            self.database
        );
        let is_warned = Cell::new(false);
        while !self.is_released() {
            if is_held.replace(false) {
                self.cx.note(Level::Info, format!("{lost}; it is taken again"));
            }
            self.cx.clock.sleep(PAUSE);
            // A server that does not answer yet is asked again.
            let _later = self.session(&|answer| match answer {
                Answer::Ours => {
                    is_held.set(true);
                    is_warned.set(false);
                    let again = format!("the lock on {} is held again", self.database);
                    self.cx.note(Level::Info, again);
                }
                Answer::Theirs(owner) => {
                    if !is_warned.replace(true) {
                        let warning = format!("{lost}, and somebody else has it now: {owner}");
                        self.cx.note(Level::Warn, warning);
                    }
                }
            });
        }
    }

    /// One session: asks for the lock, tells the answer, and stays as long as the lock is held.
    fn session(&self, told: &dyn Fn(Answer)) -> Result<()> {
        let reach = Reach::open(&self.of, &self.cx)?;
        let (answers, answer) = channel();
        let mut text = String::new();
        let mut sink = |bytes: &[u8]| {
            text.push_str(&String::from_utf8_lossy(bytes));
            while let Some((line, rest)) = text
                .split_once('\n')
                .map(|(line, rest)| (line.to_owned(), rest.to_owned()))
            {
                let found = match line.split_once(' ') {
                    Some(("theirs", owner)) => Some(Answer::Theirs(owner.to_owned())),
                    _ => (line == "ours").then_some(Answer::Ours),
                };
                // The other end goes when the session does.
                let _gone = found.map(|found| answers.send(found));
                text = rest;
            }
            Ok(())
        };
        let released = Arc::clone(&self.released);
        let clock = Arc::clone(&self.cx.clock);
        let script = reach.script(&self.script());
        let (said, heard) = channel();
        let mut feed = move |writer: &mut dyn Write| -> io::Result<()> {
            writer.write_all(script.as_bytes())?;
            writer.flush()?;
            let mut ticks: u32 = 0;
            while !released.load(Ordering::SeqCst) {
                if let Ok(found) = answer.try_recv() {
                    let is_ours = found == Answer::Ours;
                    let _gone = said.send(found);
                    if !is_ours {
                        return Ok(());
                    }
                }
                ticks = ticks.wrapping_add(1);
                if ticks.is_multiple_of(HEARTBEAT) {
                    writer.write_all(b"SELECT 1;\n")?;
                    writer.flush()?;
                }
                clock.sleep(TICK);
            }
            Ok(())
        };
        let call = reach.psql(DATABASE);
        let result = std::thread::scope(|scope| {
            let cx = &self.cx;
            let session = scope.spawn(move || cx.converse(&call, &mut sink, &mut feed).map(|_| ()));
            // It ends with the session, which owns the other end.
            while let Ok(found) = heard.recv() {
                told(found);
            }
            session.join()
        });
        let result = result.unwrap_or(Ok(()));
        result.map_err(|error| explained(error, DATABASE))
    }

    fn script(&self) -> String {
        let key = i32::from_str_radix(sha256_hex(self.database.as_bytes()).get(..7).unwrap_or_default(), 16);
        let key = key.unwrap_or_default();
        let holder: String = self.holder.chars().filter(char::is_ascii).take(63).collect();
        format!(
            "SET application_name = {holder};\n\
             SELECT CASE WHEN count(*) > 0 THEN set_config('idle_session_timeout', '0', false) END \
             FROM pg_settings WHERE name = 'idle_session_timeout';\n\
             SELECT CASE WHEN pg_try_advisory_lock({FAMILY}, {key}) THEN 'ours' ELSE 'theirs ' || coalesce((\
             SELECT a.application_name || coalesce(' (from ' || host(a.client_addr) || ')', '') \
             FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
             WHERE l.locktype = 'advisory' AND l.granted AND l.classid = {FAMILY} AND l.objid = {key} AND l.objsubid = 2 \
             AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 1), 'somebody') END;\n",
            holder = literal(&holder)
        )
    }
}
