//! What is in a server: its keys counted and digested, by database; those that expire apart, by when.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::reach::Reach;
use crate::error::{ResourceError, Result};
use guard_model::fingerprint::Fingerprint;
use guard_model::text::{count, plural};
use guard_system::context::Context;

/// The script that looks at some keys.
const LOOK: &str = include_str!("look.lua");

/// The ends of the spans, in minutes after the copy, by which keys that expire are told apart. Those of a span are compared for as
/// long as none of them can have expired.
const SPANS: [i64; 14] = [0, 1, 5, 15, 60, 180, 360, 720, 1440, 2880, 5760, 11520, 23040, 46080];

/// Some keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Keys {
    pub(super) count: u64,
    /// The sum of their digests, so that their order does not matter.
    pub(super) digest: u64,
}

impl Keys {
    fn add(&mut self, digest: u64) {
        self.count += 1;
        self.digest = self.digest.wrapping_add(digest);
    }
}

/// One database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Database {
    /// Keys that stay.
    pub(super) lasting: Keys,
    /// Keys that expire, by the span in which they do.
    pub(super) expiring: BTreeMap<usize, Keys>,
}

impl Database {
    pub(super) fn count(&self) -> u64 {
        self.lasting.count + self.expiring.values().map(|keys| keys.count).sum::<u64>()
    }
}

/// Everything that a look finds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// The moment from which spans are counted, in milliseconds since 1970.
    pub(super) since: i64,
    /// The databases that hold keys.
    pub(super) databases: BTreeMap<u32, Database>,
}

impl Seen {
    /// The keys that stay, as a fingerprint.
    pub(super) fn print(&self) -> Fingerprint {
        let databases = self.databases.iter().filter(|(_, database)| database.lasting.count > 0);
        databases.fold(Fingerprint::default(), |print, (number, database)| {
            let Keys { count, digest } = database.lasting;
            print.with(
                format!("database {number}"),
                format!("{count} keys, digest {digest:016x}"),
            )
        })
    }

    /// The databases in which what is there now is not what was there then; keys that can have expired by `now` do not count.
    pub(super) fn differences(&self, then: &Self, now: i64) -> Vec<String> {
        let passed = (now - then.since).div_euclid(60_000);
        // A span whose beginning lies ahead by a minute holds no key that has expired.
        let counts = |span: &usize| {
            span.checked_sub(1)
                .and_then(|before| SPANS.get(before))
                .is_some_and(|begin| *begin > passed)
        };
        let numbers: std::collections::BTreeSet<u32> =
            self.databases.keys().chain(then.databases.keys()).copied().collect();
        let none = Database::default();
        let differs = |number: &u32| {
            let one = self.databases.get(number).unwrap_or(&none);
            let other = then.databases.get(number).unwrap_or(&none);
            let spans: std::collections::BTreeSet<usize> =
                one.expiring.keys().chain(other.expiring.keys()).copied().collect();
            one.lasting != other.lasting
                || spans
                    .iter()
                    .filter(|span| counts(span))
                    .any(|span| one.expiring.get(span) != other.expiring.get(span))
        };
        numbers
            .into_iter()
            .filter(differs)
            .map(|number| format!("database {number}"))
            .collect()
    }

    /// `2 databases, 500 keys, 20 of them expire`.
    pub(super) fn summary(&self) -> String {
        let all: u64 = self.databases.values().map(Database::count).sum();
        let lasting: u64 = self.databases.values().map(|database| database.lasting.count).sum();
        let databases = self.databases.len() as u64;
        let expire = if all > lasting {
            format!(", {} of them expire", count(all - lasting))
        } else {
            String::new()
        };
        format!("{}, {}{expire}", plural(databases, "database"), plural(all, "key"))
    }

    /// What going back to `then` costs, each a sentence.
    pub(super) fn price(&self, then: &Self) -> Vec<String> {
        self.told(then, then.since, &|change, number| match change {
            Change::More(keys) => format!("discards {} of database {number}", plural(keys, "key")),
            Change::Fewer(keys) => format!("brings back {} of database {number}", plural(keys, "key")),
            Change::Others => format!("undoes changes to keys of database {number}"),
        })
    }

    /// What was written since `then` was put back, and goes with an undo, each a sentence; keys that can have expired by
    /// `now` have not been deleted by anybody.
    pub(super) fn written_since(&self, then: &Self, now: i64) -> Vec<String> {
        self.told(then, now, &|change, number| match change {
            Change::More(keys) => format!(
                "discards {} of database {number} since the rollback",
                plural(keys, "key")
            ),
            Change::Fewer(keys) => {
                let keys = plural(keys, "key");
                format!("undoes that {keys} of database {number} went since the rollback")
            }
            Change::Others => format!("undoes changes to keys of database {number} since the rollback"),
        })
    }

    fn told(&self, then: &Self, now: i64, sentence: &dyn Fn(Change, u32) -> String) -> Vec<String> {
        let numbers: std::collections::BTreeSet<u32> =
            self.databases.keys().chain(then.databases.keys()).copied().collect();
        let none = Database::default();
        let differs = self.differences(then, now);
        let change = |number: u32| {
            let now = self.databases.get(&number).unwrap_or(&none).count();
            let before = then.databases.get(&number).unwrap_or(&none).count();
            match now.cmp(&before) {
                std::cmp::Ordering::Greater => Change::More(now - before),
                std::cmp::Ordering::Less => Change::Fewer(before - now),
                std::cmp::Ordering::Equal => Change::Others,
            }
        };
        numbers
            .into_iter()
            .filter(|number| differs.contains(&format!("database {number}")))
            .map(|number| sentence(change(number), number))
            .collect()
    }
}

/// How the keys of a database are not what they were.
enum Change {
    /// There are so many more.
    More(u64),
    /// There are so many fewer.
    Fewer(u64),
    /// As many, and not the same.
    Others,
}

/// Looks at all keys of a server; `flags`: of another one than the reach's own, at a socket.
pub(super) fn observe(reach: &Reach, flags: Option<&[String]>, since: i64, cx: &Context) -> Result<Seen> {
    let ask = |database: u32, words: &[&str]| match flags {
        Some(flags) => reach.ask_at(flags, database, words, cx),
        None => reach.ask(database, words, cx),
    };
    let info = super::reach::Info::of(ask(0, &["INFO", "keyspace"])?);
    let mut seen = Seen {
        since,
        databases: BTreeMap::new(),
    };
    for number in info.databases() {
        let mut database = Database::default();
        // A scan may tell a key twice.
        let mut told = HashSet::new();
        let mut cursor = "0".to_owned();
        loop {
            let text = ask(number, &["EVAL", LOOK, "0", &cursor])?;
            let mut lines = text.lines();
            lines.next().unwrap_or("0").clone_into(&mut cursor);
            for line in lines.filter(|line| !line.is_empty()) {
                let (name, digest, at) = read(line).ok_or_else(|| {
                    ResourceError::new(format!("could not read what the server answered: {line:.60}"))
                })?;
                if !told.insert(name) {
                    continue;
                }
                if at == 0 {
                    database.lasting.add(digest);
                } else {
                    database.expiring.entry(span(at - since)).or_default().add(digest);
                }
            }
            if cursor == "0" {
                break;
            }
        }
        if database.count() > 0 {
            seen.databases.insert(number, database);
        }
    }
    Ok(seen)
}

/// The span in which a key expires that has so many milliseconds left.
fn span(left: i64) -> usize {
    let minutes = left.div_euclid(60_000);
    SPANS.iter().position(|end| minutes < *end).unwrap_or(SPANS.len())
}

fn read(line: &str) -> Option<(u64, u64, i64)> {
    let mut words = line.split(' ');
    let mut hex = || u64::from_str_radix(words.next()?, 16).ok();
    let (name, digest) = (hex()?, hex()?);
    Some((name, digest, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(lasting: u64, expiring: &[(i64, u64)]) -> Seen {
        let mut database = Database::default();
        database.lasting.add(lasting);
        for (minutes, digest) in expiring {
            database
                .expiring
                .entry(span(minutes * 60_000))
                .or_default()
                .add(*digest);
        }
        Seen {
            since: 0,
            databases: [(0, database)].into(),
        }
    }

    #[test]
    fn keys_that_can_have_expired_do_not_count_and_all_others_do() {
        let then = seen(1, &[(2, 5), (30, 6), (500_000, 7)]);
        assert!(then.differences(&then, 0).is_empty());
        let without_the_first = seen(1, &[(30, 6), (500_000, 7)]);
        assert!(
            without_the_first.differences(&then, 1).len() == 1,
            "it has a minute left"
        );
        assert!(
            without_the_first.differences(&then, 2 * 60_000).is_empty(),
            "it may be gone"
        );
        let without_the_last = seen(1, &[(2, 5), (30, 6)]);
        assert_eq!(without_the_last.differences(&then, 60 * 60_000), ["database 0"]);
        assert_eq!(seen(2, &[]).differences(&seen(1, &[]), 0), ["database 0"]);
    }
}
