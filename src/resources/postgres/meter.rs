//! How far a dump has come, by what the server itself says of its `COPY`s: `pg_dump` tells nothing, and what it compresses
//! says little about what is left.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;

use super::reach::Reach;
use super::session::converse;
use crate::error::Result;
use guard_system::context::Context;
use guard_system::stop::Stop;

/// How often the server is asked.
const PAUSE: Duration = Duration::from_secs(1);
/// How often is looked whether the dump has ended.
const TICK: Duration = Duration::from_millis(50);

/// The tables whose rows are dumped, as `pg_dump` takes them: by schema and name, byte by byte.
const TABLES: &str = "SELECT jsonb_build_object('oid', c.oid::bigint, 'bytes', pg_catalog.pg_table_size(c.oid)) \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
    ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\";";

/// What is read this very moment. The view is there from Postgres 14 on.
const RUNNING: &str = "SELECT jsonb_build_object('oid', relid::bigint, 'bytes', bytes_processed) \
    FROM pg_catalog.pg_stat_progress_copy \
    WHERE datname = pg_catalog.current_database() AND command = 'COPY TO' AND relid <> 0 AND bytes_processed IS NOT NULL;";

#[derive(Debug, Clone, Copy, Deserialize)]
struct Table {
    oid: u32,
    bytes: u64,
}

/// The tables of a database in the order of the dump, and which of them are done.
#[derive(Debug)]
struct Meter {
    tables: Vec<Table>,
    places: BTreeMap<u32, usize>,
    done: Vec<bool>,
    running: Vec<usize>,
}

impl Meter {
    fn new(tables: Vec<Table>) -> Self {
        Self {
            places: tables.iter().enumerate().map(|(at, table)| (table.oid, at)).collect(),
            done: vec![false; tables.len()],
            running: Vec::new(),
            tables,
        }
    }

    fn total(&self) -> u64 {
        self.tables.iter().map(|table| table.bytes).sum()
    }

    /// Takes what is read now, and returns what is done in all: whatever was read before and is no more has ended, and where
    /// one is read after the other, so has all that comes before it.
    fn take(&mut self, running: &[Table], in_turn: bool) -> u64 {
        let places: Vec<(usize, u64)> = running
            .iter()
            .filter_map(|table| Some((*self.places.get(&table.oid)?, table.bytes)))
            .collect();
        let ended = std::mem::take(&mut self.running);
        let before = places.iter().map(|(at, _)| *at).min().filter(|_| in_turn).unwrap_or(0);
        for at in ended.into_iter().chain(0..before) {
            if let Some(done) = self.done.get_mut(at) {
                *done = true;
            }
        }
        self.running = places.iter().map(|(at, _)| *at).collect();
        let size = |at: usize| self.tables.get(at).map_or(0, |table| table.bytes);
        let begun = |at: usize| places.iter().find(|(place, _)| *place == at).map(|(_, bytes)| *bytes);
        let parts = self.done.iter().enumerate().map(|(at, done)| match begun(at) {
            // Rows as text may be longer than the table that holds them.
            Some(bytes) => bytes.min(size(at)),
            None if *done => size(at),
            None => 0,
        });
        parts.sum()
    }
}

/// Runs a dump, and tells meanwhile how much of the tables it has read and how much they have in all; `in_turn`: it reads
/// one table after the other. `dump` is told whether somebody tells.
///
/// Where the server cannot say (before Postgres 14, or with no connection to spare) nobody does, and the dump is run all
/// the same.
pub(super) fn metered<T: Send>(
    reach: &Reach,
    what: &str,
    in_turn: bool,
    cx: &Context,
    dump: impl FnOnce(&AtomicBool) -> Result<T>,
) -> Result<T> {
    // The look has a wish to stop of its own: a server that has gone silent must not hold what is over.
    let own = &Context {
        stop: Stop::default(),
        ..cx.clone()
    };
    let (over, tells, total) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // A look that fails is no reason to fail a dump: it goes on with the bytes that come out of it.
            let _unknown = look(reach, what, in_turn, (&over, &tells, &total), own);
            tells.store(false, Ordering::SeqCst);
        });
        let dumped = dump(&tells);
        over.store(true, Ordering::SeqCst);
        own.stop.ask();
        let total = total.load(Ordering::SeqCst);
        if total > 0 {
            cx.progress(what, total, Some(total));
        }
        dumped
    })
}

fn look(
    reach: &Reach,
    what: &str,
    in_turn: bool,
    (over, tells, told): (&AtomicBool, &AtomicBool, &AtomicU64),
    cx: &Context,
) -> Result<()> {
    // A small database is dumped before there would be anything to tell.
    if wait(over, cx) {
        return Ok(());
    }
    converse(reach, &reach.database, cx, |session| {
        let mut meter = Meter::new(session.values(TABLES)?);
        let total = meter.total();
        told.store(total, Ordering::SeqCst);
        loop {
            let running: Vec<Table> = session.values(RUNNING)?;
            let done = meter.take(&running, in_turn);
            tells.store(true, Ordering::SeqCst);
            cx.progress(what, done, Some(total));
            if wait(over, cx) {
                return Ok(());
            }
        }
    })
}

/// Waits for the next look; whether the dump has ended meanwhile.
fn wait(over: &AtomicBool, cx: &Context) -> bool {
    let until = cx.clock.steady() + PAUSE;
    while cx.clock.steady() < until {
        if over.load(Ordering::SeqCst) || cx.stop.is_asked() {
            return true;
        }
        cx.clock.sleep(TICK);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(oid: u32, bytes: u64) -> Table {
        Table { oid, bytes }
    }

    #[test]
    fn what_is_read_in_turn_has_all_before_it_done() {
        let mut meter = Meter::new(vec![table(1, 100), table(2, 1000), table(3, 10), table(4, 500)]);
        assert_eq!(meter.total(), 1610);
        assert_eq!(meter.take(&[], true), 0, "nothing is read yet");
        assert_eq!(meter.take(&[table(2, 400)], true), 500);
        assert_eq!(
            meter.take(&[table(2, 3000)], true),
            1100,
            "text is longer than the table"
        );
        assert_eq!(meter.take(&[table(4, 20)], true), 1130);
        assert_eq!(meter.take(&[], true), 1610);
        assert_eq!(
            meter.take(&[table(9, 20)], true),
            1610,
            "a table that was made meanwhile"
        );
    }

    #[test]
    fn of_what_is_read_side_by_side_only_what_has_ended_is_done() {
        let mut meter = Meter::new(vec![table(1, 100), table(2, 1000), table(3, 10), table(4, 500)]);
        assert_eq!(meter.take(&[table(2, 400), table(4, 100)], false), 500);
        assert_eq!(meter.take(&[table(2, 500), table(3, 5)], false), 1005);
        assert_eq!(meter.take(&[table(1, 50)], false), 1560);
    }
}
