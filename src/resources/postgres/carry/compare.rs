//! Two databases compared table by table, row by row of the same key, in memory that does not grow with the rows.
//!
//! Both sides are asked for digests of a thousand groups of rows first; only the rows of groups that differ travel, in
//! the order of their keys' digests, and are merged.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::release::Release;
use super::rows::{Row, unescaped};
use super::shape::{Column, Shape, Table};
use crate::error::{ResourceError, Result};
use crate::postgres::session::Session;
use crate::postgres::sql::ident;

/// How many groups the rows of a table fall into, less one: a mask.
const GROUPS: u32 = 1023;

/// One table as both databases have it; at least one does.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) failed: Option<Table>,
    pub(super) restored: Option<Table>,
}

/// How a row of one database stands to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Only the failed database has it.
    New,
    /// Both have a row of this key, and they differ; the row is the failed database's.
    Changed,
    /// Only the restored database has it.
    Gone,
}

/// What is asked of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// How many rows, and when they came to be.
    Counts,
    /// The rows themselves.
    Rows,
}

impl Pair {
    pub(super) fn name(&self) -> &str {
        let table = self.restored.as_ref().or(self.failed.as_ref());
        table.map(|table| table.name.as_str()).unwrap_or_default()
    }

    /// The columns that both have, as the failed table orders them.
    pub(super) fn common(&self) -> Vec<&Column> {
        let (Some(failed), Some(restored)) = (&self.failed, &self.restored) else {
            let one = self.failed.as_ref().or(self.restored.as_ref());
            return one.map(|table| table.columns.iter().collect()).unwrap_or_default();
        };
        let known: BTreeSet<&str> = restored.columns.iter().map(|column| column.name.as_str()).collect();
        let columns = failed.columns.iter();
        columns.filter(|column| known.contains(column.name.as_str())).collect()
    }

    /// The columns of the restored table of which the failed one knows nothing, but for computed ones.
    pub(super) fn unknown(&self) -> Vec<&Column> {
        let (Some(failed), Some(restored)) = (&self.failed, &self.restored) else {
            return Vec::new();
        };
        let columns = restored.columns.iter().filter(|column| !column.generated);
        columns.filter(|column| failed.column(&column.name).is_none()).collect()
    }

    /// The columns of the restored table's key, where both have them.
    pub(super) fn key(&self) -> Option<Vec<String>> {
        let table = self.restored.as_ref().or(self.failed.as_ref())?;
        let common = self.common();
        let known = |key: &&Vec<String>| key.iter().all(|name| common.iter().any(|column| &column.name == name));
        let filled = || {
            // What is unique only because nothing is missing has to be so on both sides.
            let other = self.failed.as_ref().unwrap_or(table);
            table.filled.iter().find(|names| known(names) && other.fills(names))
        };
        match &table.key {
            Some(key) => Some(key).filter(known).cloned(),
            None => filled().cloned(),
        }
    }

    /// The columns that a row of `Change::Gone` has: those of the key, else all that both have.
    pub(super) fn gone_columns(&self) -> Vec<String> {
        let all = || self.common().iter().map(|column| column.name.clone()).collect();
        self.key().unwrap_or_else(all)
    }

    pub(super) fn words(&self) -> Words {
        let list = |names: &mut dyn Iterator<Item = &str>| {
            let names: Vec<String> = names.map(|name| format!("{}::text", ident(name))).collect();
            format!("ROW({})::text", names.join(", "))
        };
        let common = self.common();
        let row = list(&mut common.iter().map(|column| column.name.as_str()));
        let key = self.key().map(|key| list(&mut key.iter().map(String::as_str)));
        let key = key.unwrap_or_else(|| row.clone());
        let place = format!("pg_catalog.hashtextextended({key}, 0)");
        let digest = format!("pg_catalog.hashtextextended({row}, 0)");
        Words { place, key, digest }
    }

    /// Compares, and hands each difference to `found`. `failed` and `restored` are sessions with the two databases.
    pub(super) fn compare(
        &self,
        failed: &mut Session,
        restored: &mut Session,
        (depth, release): (Depth, &Release),
        found: &mut dyn FnMut(Change, &Row) -> Result<()>,
    ) -> Result<()> {
        let words = self.words();
        let mut groups = None;
        if let (Some(left), Some(right)) = (&self.failed, &self.restored) {
            failed.begin(&words.groups(left))?;
            restored.begin(&words.groups(right))?;
            let (left, right) = (digests(failed)?, digests(restored)?);
            let all: BTreeSet<&u32> = left.keys().chain(right.keys()).collect();
            let differing: Vec<u32> = all
                .into_iter()
                .filter(|group| left.get(*group) != right.get(*group))
                .copied()
                .collect();
            if differing.is_empty() {
                return Ok(());
            }
            groups = Some(differing);
        }
        let whole = |table: &Table| -> Vec<String> {
            match depth {
                Depth::Rows => table
                    .columns
                    .iter()
                    .map(|column| format!("{}::text", ident(&column.name)))
                    .collect(),
                Depth::Counts => table.birth().iter().map(|column| moment(&column.name)).collect(),
            }
        };
        let key = |_: &Table| {
            self.gone_columns()
                .iter()
                .map(|name| format!("{}::text", ident(name)))
                .collect()
        };
        let own = self
            .failed
            .as_ref()
            .map_or_else(String::new, |table| release.sql(table));
        let groups = groups.as_deref();
        let mut left = Side::open(failed, self.failed.as_ref(), &words, (groups, &own), &whole)?;
        let mut right = Side::open(restored, self.restored.as_ref(), &words, (groups, "false"), &key)?;
        let (mut one, mut other) = (left.next()?, right.next()?);
        loop {
            let order = match (&one, &other) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.order(other),
            };
            match (order, &one, &other) {
                (Ordering::Less, Some(row), _) => found(Change::New, row)?,
                (Ordering::Greater, _, Some(row)) => found(Change::Gone, row)?,
                (Ordering::Equal, Some(row), Some(known)) if row.digest() != known.digest() => {
                    found(Change::Changed, row)?;
                }
                _ => {}
            }
            if order != Ordering::Greater {
                one = left.next()?;
            }
            if order != Ordering::Less {
                other = right.next()?;
            }
        }
    }
}

/// A moment in a form that can be compared as text.
pub(super) fn moment(column: &str) -> String {
    format!("pg_catalog.to_char({}, 'YYYY-MM-DD HH24:MI:SS')", ident(column))
}

/// The expressions of one comparison.
pub(super) struct Words {
    place: String,
    /// The key as one text.
    pub(super) key: String,
    /// A digest of the row.
    pub(super) digest: String,
}

impl Words {
    fn groups(&self, table: &Table) -> String {
        format!(
            "SELECT ({} & {GROUPS}) || ' ' || count(*) || ' ' || sum({}) FROM {} GROUP BY {} & {GROUPS};",
            self.place,
            self.digest,
            table.source(),
            self.place
        )
    }

    /// Selects rows as [`Row`] has them, in no order; `own`: whether a row is the release's own.
    pub(super) fn unordered(&self, table: &Table, (which, own): (&str, &str), columns: &[String]) -> String {
        let columns: Vec<String> = columns.iter().map(|column| format!(", {column}")).collect();
        format!(
            "COPY (SELECT {}, {}, {}, {own}{} FROM {} WHERE {which}) TO STDOUT;",
            self.place,
            self.key,
            self.digest,
            columns.concat(),
            table.source()
        )
    }

    /// `own`: whether a row is the release's own.
    fn rows(&self, table: &Table, (groups, own): (Option<&[u32]>, &str), columns: &[String]) -> String {
        let filter = groups.map_or_else(String::new, |groups| {
            let groups: Vec<String> = groups.iter().map(u32::to_string).collect();
            format!(
                " WHERE {} & {GROUPS} = ANY ('{{{}}}'::bigint[])",
                self.place,
                groups.join(",")
            )
        });
        let columns: Vec<String> = columns.iter().map(|column| format!(", {column}")).collect();
        format!(
            "COPY (SELECT {} AS guard_place, {} COLLATE \"C\" AS guard_key, {}, {own}{} FROM {}{filter} ORDER BY 1, 2) TO STDOUT;",
            self.place,
            self.key,
            self.digest,
            columns.concat(),
            table.source()
        )
    }
}

fn digests(session: &mut Session) -> Result<BTreeMap<u32, String>> {
    let mut digests = BTreeMap::new();
    while let Some(line) = session.line()? {
        let text = String::from_utf8_lossy(line).into_owned();
        if let Some((group, digest)) = text.split_once(' ') {
            digests.insert(group.parse().unwrap_or(u32::MAX), digest.to_owned());
        }
    }
    Ok(digests)
}

/// The rows of one of the two databases, in order.
struct Side<'a> {
    session: Option<&'a mut Session>,
}

impl<'a> Side<'a> {
    fn open(
        session: &'a mut Session,
        table: Option<&Table>,
        words: &Words,
        asked: (Option<&[u32]>, &str),
        columns: &dyn Fn(&Table) -> Vec<String>,
    ) -> Result<Self> {
        let Some(table) = table else {
            return Ok(Self { session: None });
        };
        session.begin(&words.rows(table, asked, &columns(table)))?;
        Ok(Self { session: Some(session) })
    }

    fn next(&mut self) -> Result<Option<Row>> {
        let Some(session) = &mut self.session else {
            return Ok(None);
        };
        let Some(line) = session.line()? else {
            self.session = None;
            return Ok(None);
        };
        let unread = || ResourceError::new("the server gave a row in an unknown form");
        Row::of_line(line.to_vec()).ok_or_else(unread).map(Some)
    }
}

impl Row {
    /// The order in which both servers give their rows.
    fn order(&self, other: &Self) -> Ordering {
        let places = self.place.cmp(&other.place);
        if places != Ordering::Equal || self.key() == other.key() {
            return places;
        }
        unescaped(self.key()).cmp(&unescaped(other.key()))
    }
}

/// What a session that compares begins with: one moment, and nothing written.
pub(crate) const READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;";

/// The tables of two databases side by side.
pub(crate) fn pairs(failed: &Shape, restored: &Shape) -> Vec<Pair> {
    let mut pairs: BTreeMap<&String, Pair> = BTreeMap::new();
    for (name, table) in &failed.tables {
        let restored = restored.tables.get(name).cloned();
        pairs.insert(
            name,
            Pair {
                failed: Some(table.clone()),
                restored,
            },
        );
    }
    for (name, table) in &restored.tables {
        pairs.entry(name).or_insert_with(|| Pair {
            failed: None,
            restored: Some(table.clone()),
        });
    }
    pairs.into_values().collect()
}
