//! The moment of a copy, as the server's transactions count time, and whether a server that is asked later still counts as it
//! did then.
//!
//! A version of a row is never written in place. Whoever writes one after a snapshot, or was in progress when it was taken, be
//! it in a subtransaction or a prepared one, has a number that is not below the oldest one in progress then. So a row whose
//! writer has a lower number was in the snapshot as it is now. That holds for as long as the server gives out no number twice,
//! the table is the same one, and its columns are the same ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The numbers in rows have 32 bits, and are compared by half of their circle. What is kept from it is for transactions that
/// begin while rows are read. A guess.
const FARTHEST: u64 = (1 << 31) - (1 << 24);

/// The moment of a copy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moment {
    /// The oldest transaction in progress, in 64 bits: `xmin` of the snapshot.
    pub(super) xmin: u64,
    /// The database's number.
    pub(super) database: u32,
    /// The timeline, as the server wrote it: `00000001`.
    pub(super) timeline: String,
    /// How far the log had come, in bytes; it was on the server's disk by then.
    pub(super) wal: u64,
    /// The tables of which the copy has every row, by number.
    #[serde(default)]
    pub(super) tables: BTreeMap<u32, Rows>,
}

/// The rows of one table or partition at that moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rows {
    /// The table that people are shown; of a partition, the one that is divided.
    pub(super) table: String,
    /// How many.
    pub(super) count: u64,
    /// A digest of its columns: numbers, names and types.
    pub(super) columns: String,
}

/// A copy, as its description has it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Origin<'a> {
    pub(super) moment: Option<&'a Moment>,
    /// The cluster's identifier and the server's version, `170006`.
    pub(super) server: (Option<&'a str>, u32),
}

/// What a session says of its own moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Told {
    pub(super) xmin: u64,
    /// The first transaction that had not begun yet, in 64 bits.
    pub(super) xmax: u64,
    /// How many transactions ago `xmin` of the copy was, as the server tells the age of rows in this session.
    #[serde(default)]
    pub(super) age: i64,
    pub(super) database: u32,
    /// `None`: the server is in recovery.
    pub(super) timeline: Option<String>,
    #[serde(default)]
    pub(super) wal: Option<u64>,
    pub(super) number: u32,
    pub(super) cluster: Option<String>,
}

/// Selects a [`Told`] as one JSON value behind [`IDENTIFIER`](super::sql::IDENTIFIER); `since`: `xmin` of a copy.
pub(super) fn told(since: u64) -> String {
    format!(
        "SELECT {NOW} || jsonb_build_object('number', current_setting('server_version_num')::int, 'cluster', :known::text, \
         'age', age('{}'::xid));",
        since % (1 << 32)
    )
}

/// A JSON value; within one transaction it is always the same.
pub(super) const NOW: &str = "jsonb_build_object('xmin', txid_snapshot_xmin(txid_current_snapshot()), \
    'xmax', txid_snapshot_xmax(txid_current_snapshot()), 'database', (SELECT oid::bigint FROM pg_database WHERE datname = current_database()), \
    'timeline', CASE WHEN NOT pg_is_in_recovery() THEN substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END, \
    'wal', CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_insert_lsn() - '0/0'::pg_lsn END)";

/// Whether the log is on the server's disk up to the position `:wal`, in bytes. Until it is, a crash could let the server give out the same
/// numbers again.
pub(super) const IS_FLUSHED: &str = "SELECT jsonb_build_object('is', 'flushed', 'so', NOT pg_is_in_recovery() AND pg_current_wal_flush_lsn() - '0/0'::pg_lsn >= :wal);";

/// A digest of the columns of a relation `c`: equal digests of one table are the same columns, each as it was. One that was
/// dropped leaves its number, so one of the same name that came after it has another.
pub(super) const COLUMNS: &str = "(SELECT hashtextextended(c.relnatts || coalesce(string_agg(a.attnum || ' ' || a.attname || ' ' || a.atttypid || ' ' || \
    a.atttypmod || ' ' || coalesce(to_jsonb(a)->>'attgenerated', ''), ',' ORDER BY a.attnum), ''), 0)::text \
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)";

/// The name that people are shown of a relation `c`, or of the one that it is a partition of.
pub(super) const SHOWN: &str = "(SELECT CASE rn.nspname WHEN 'public' THEN quote_ident(r.relname) ELSE format('%I.%I', rn.nspname, r.relname) END \
    FROM pg_class r JOIN pg_namespace rn ON rn.oid = r.relnamespace WHERE r.oid = coalesce(pg_partition_root(c.oid), c.oid))";

impl Told {
    /// Whether the age of rows tells those that were written since a transaction of this number.
    pub(super) fn is_near(&self, number: u64) -> bool {
        // The server's age of the same number goes by what has begun when it is first asked for, so it is never less.
        let distance = self.xmax.checked_sub(number).filter(|distance| *distance < FARTHEST);
        distance.is_some_and(|distance| {
            u64::try_from(self.age).is_ok_and(|age| age >= distance && age < FARTHEST + (1 << 23))
        })
    }
}

impl Moment {
    /// Why rows do not tell by their writers what was written since: each a case in which the server may give out a number
    /// again, or the numbers are too far apart to be compared. `None`: they do.
    pub(super) fn hindrance(&self, now: &Told, then: (Option<&str>, u32)) -> Option<&'static str> {
        let (cluster, number) = then;
        if cluster.is_none() || now.cluster.as_deref() != cluster {
            return Some("the cluster is another one, or may not be known");
        }
        if now.number / 10_000 != number / 10_000 {
            return Some("the server has another version");
        }
        if now.database != self.database {
            return Some("the database is another one");
        }
        if now.timeline.as_deref() != Some(self.timeline.as_str()) {
            return Some("the server is on another timeline");
        }
        if now.wal.is_none_or(|wal| wal < self.wal) {
            return Some("the server's log is behind the copy");
        }
        if now.xmax < self.xmin {
            return Some("the server's transactions are behind the copy");
        }
        (!now.is_near(self.xmin)).then_some("too many transactions have begun since")
    }

    /// How many rows a table had, all its partitions together; `None`: not known.
    pub(super) fn rows_of(&self, table: &str) -> Option<u64> {
        let mut known = self.tables.values().filter(|rows| rows.table == table).peekable();
        known.peek()?;
        Some(known.map(|rows| rows.count).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment() -> Moment {
        Moment {
            xmin: 5_000_000_000,
            database: 5,
            timeline: "00000001".to_owned(),
            wal: 100,
            tables: BTreeMap::new(),
        }
    }

    fn now() -> Told {
        Told {
            xmin: 5_000_000_100,
            xmax: 5_000_000_100,
            age: 100,
            database: 5,
            timeline: Some("00000001".to_owned()),
            wal: Some(100),
            number: 170_006,
            cluster: Some("7".to_owned()),
        }
    }

    #[test]
    fn rows_tell_by_their_writers_only_where_no_number_can_come_again() {
        let then = (Some("7"), 170_001);
        assert_eq!(moment().hindrance(&now(), then), None);
        let far = |distance: u64| Told {
            xmax: moment().xmin + distance,
            age: i64::try_from(distance).unwrap(),
            ..now()
        };
        assert_eq!(moment().hindrance(&far(FARTHEST - 1), then), None);
        let strangers: [(&str, Told); 10] = [
            ("half of the circle", far(1 << 31)),
            ("near half of it", far(FARTHEST)),
            (
                "around the circle",
                Told {
                    age: 100,
                    ..far((1 << 32) + 100)
                },
            ),
            (
                "behind the copy",
                Told {
                    xmax: moment().xmin - 1,
                    ..now()
                },
            ),
            ("an age that is less", Told { age: 99, ..now() }),
            (
                "another timeline",
                Told {
                    timeline: Some("00000002".to_owned()),
                    ..now()
                },
            ),
            (
                "in recovery",
                Told {
                    timeline: None,
                    ..now()
                },
            ),
            ("the log behind", Told { wal: Some(99), ..now() }),
            ("another database", Told { database: 6, ..now() }),
            (
                "another version",
                Told {
                    number: 180_000,
                    ..now()
                },
            ),
        ];
        for (what, stranger) in strangers {
            assert!(moment().hindrance(&stranger, then).is_some(), "{what}");
        }
        assert!(moment().hindrance(&now(), (Some("8"), 170_001)).is_some());
        let unknown = Told { cluster: None, ..now() };
        assert!(moment().hindrance(&unknown, (None, 170_001)).is_some());
    }

    #[test]
    fn rows_of_partitions_are_those_of_their_table() {
        let rows = |table: &str, count| Rows {
            table: table.to_owned(),
            count,
            columns: String::new(),
        };
        let tables = BTreeMap::from([(1, rows("a", 2)), (2, rows("a", 3)), (3, rows("b", 0))]);
        let moment = Moment { tables, ..moment() };
        assert_eq!(moment.rows_of("a"), Some(5));
        assert_eq!(moment.rows_of("b"), Some(0));
        assert_eq!(moment.rows_of("c"), None);
    }
}
