//! What was written since a copy, counted by the writers of rows: one reading of a table instead of a comparison of all of it.
//!
//! Rows whose writer is older than the copy are kept: they are rows of the copy as it has them. The others are looked up in
//! the copy by their key. Rows that the copy has and the table has not are told by their number: all that there were, less
//! those that are kept and those that were found. Where any of that is not sure, nothing is said, and the tables are compared.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::account::Figures;
use super::compare::{Change, Depth, Pair};
use super::release::Release;
use super::rows::{Row, array};
use super::shape::Table;
use crate::error::{ResourceError, Result};
use crate::postgres::moment::{COLUMNS, Moment, Origin, SHOWN, Told, told};
use crate::postgres::session::Session;
use crate::postgres::sql::{IDENTIFIER, ident, literal};

/// How many rows are looked up at once: a question of some hundred kilobytes. A guess.
const BATCH: usize = 2000;
/// The share of a table's rows that are looked up, as a divisor: with more of them a comparison is faster. On 3.2 million rows
/// a look-up takes 7.5 µs and a comparison 2.2 µs a row.
const SHARE: u64 = 4;
/// So many are looked up in any case.
const FEW: u64 = 10_000;

/// What tells in one session which rows were written since a copy.
#[derive(Debug)]
pub(super) struct Since<'a> {
    moment: &'a Moment,
    /// How many transactions ago the copy was, as this session tells the age of rows.
    age: i64,
    /// By the table that people are shown.
    stores: BTreeMap<String, Vec<Store>>,
}

/// A relation that holds rows: a table, or a partition of one.
#[derive(Debug, Deserialize)]
struct Store {
    number: u32,
    table: String,
    /// Rows tell their writer.
    heap: bool,
    columns: String,
    /// Columns whose description was written since the copy.
    touched: Vec<String>,
    /// Columns that can be told in other words without a row being written: names of things that were renamed, values of a
    /// type that has changed, what is computed when it is read.
    fickle: Vec<String>,
}

/// Selects the stores of rows; `{age}`: how many transactions ago the copy was.
const STORES: &str = r"
WITH RECURSIVE used (root, oid) AS (
    SELECT DISTINCT a.atttypid, a.atttypid FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relkind = 'r' AND c.oid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped
    UNION SELECT used.root, x.oid FROM used JOIN pg_type t ON t.oid = used.oid, LATERAL (
      SELECT t.typelem AS oid WHERE t.typelem <> 0 UNION SELECT t.typbasetype WHERE t.typbasetype <> 0
      UNION SELECT a.atttypid FROM pg_attribute a WHERE t.typrelid <> 0 AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
      UNION SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid
      UNION SELECT r.rngtypid FROM pg_range r WHERE to_jsonb(r)->>'rngmultitypid' = t.oid::text) x
  ), fickle AS (
    SELECT DISTINCT used.root FROM used JOIN pg_type t ON t.oid = used.oid WHERE t.typname ~ '^reg' AND t.typnamespace = 'pg_catalog'::regnamespace
      OR (t.oid >= 16384 AND (age(t.xmin) BETWEEN 0 AND {age}
        OR EXISTS (SELECT FROM pg_enum e WHERE e.enumtypid = t.oid AND age(e.xmin) BETWEEN 0 AND {age})
        OR EXISTS (SELECT FROM pg_attribute a WHERE t.typrelid <> 0 AND a.attrelid = t.typrelid AND age(a.xmin) BETWEEN 0 AND {age})
        OR EXISTS (SELECT FROM pg_proc p WHERE p.oid = t.typoutput AND p.oid >= 16384 AND age(p.xmin) BETWEEN 0 AND {age})))
  )
SELECT jsonb_build_object('number', c.oid::bigint, 'table', {shown}, 'heap', c.relkind = 'r' AND m.amname = 'heap', 'columns', {columns},
  'touched', (SELECT coalesce(jsonb_agg(a.attname), '[]') FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    AND age(a.xmin) BETWEEN 0 AND {age}),
  'fickle', (SELECT coalesce(jsonb_agg(a.attname), '[]') FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    AND (a.atttypid IN (SELECT root FROM fickle) OR to_jsonb(a)->>'attgenerated' = 'v')))
FROM pg_class c LEFT JOIN pg_am m ON m.oid = c.relam
WHERE (c.relkind = 'r' OR (c.relkind = 'f' AND c.relispartition)) AND c.oid >= 16384 AND c.relpersistence <> 't';
";

impl<'a> Since<'a> {
    /// Asks a session that has begun to read; else why the rows do not tell.
    pub(super) fn of(session: &mut Session, origin: &Origin<'a>) -> Result<std::result::Result<Self, &'static str>> {
        let Some(moment) = origin.moment else {
            return Ok(Err("the backup does not tell its moment"));
        };
        let now: Vec<Told> = session.values(&format!("{IDENTIFIER}{}", told(moment.xmin)))?;
        let now = now.into_iter().next();
        let now =
            now.ok_or_else(|| ResourceError::new("the server did not tell how far its transactions have come"))?;
        if let Some(hindrance) = moment.hindrance(&now, origin.server) {
            return Ok(Err(hindrance));
        }
        let script = STORES
            .replace("{age}", &now.age.to_string())
            .replace("{shown}", SHOWN)
            .replace("{columns}", COLUMNS);
        let mut stores: BTreeMap<String, Vec<Store>> = BTreeMap::new();
        for store in session.values::<Store>(&script)? {
            stores.entry(store.table.clone()).or_default().push(store);
        }
        Ok(Ok(Self {
            moment,
            age: now.age,
            stores,
        }))
    }

    /// Which rows of a table were not in the copy as they are now, or may not have been, as SQL, and how many rows the copy has;
    /// `None`: they do not tell.
    fn written(&self, pair: &Pair) -> Option<(String, u64)> {
        let (then, stores) = (self.moment.rows_of(pair.name())?, self.stores.get(pair.name())?);
        let common = pair.common();
        let is_common = |name: &String| common.iter().any(|column| &column.name == name);
        let mut strangers = Vec::new();
        for store in stores {
            let before = self
                .moment
                .tables
                .get(&store.number)
                .filter(|rows| rows.table == store.table);
            let Some(before) = before else {
                // It came since, whatever the age of its rows: each is looked up.
                strangers.push(store.number.to_string());
                continue;
            };
            let is_as_before = before.columns == store.columns || !store.touched.iter().any(is_common);
            if !store.heap || !is_as_before || store.fickle.iter().any(is_common) {
                return None;
            }
        }
        let written = format!("age(xmin) BETWEEN 0 AND {}", self.age);
        let written = if strangers.len() == stores.len() {
            "true".to_owned()
        } else if strangers.is_empty() {
            written
        } else {
            format!("(tableoid IN ({}) OR {written})", strangers.join(", "))
        };
        Some((written, then))
    }

    /// Whether every table that both databases have tells what was written to it.
    pub(super) fn tells(&self, pairs: &[Pair]) -> bool {
        let is_common = |pair: &&Pair| pair.failed.is_some() && pair.restored.is_some();
        pairs.iter().filter(is_common).all(|pair| self.written(pair).is_some())
    }

    /// How many rows the copy has of a table; `None`: it has no such table.
    pub(super) fn then(&self, table: &str) -> Option<u64> {
        self.moment.rows_of(table)
    }

    /// Counts by one side alone what was written to a table, and how many rows of the copy are not there as they were: which of the one
    /// are new versions of the other is not known. `None`: the table is not the same one, or does not tell.
    pub(super) fn count_alone(&self, table: &Table, session: &mut Session) -> Result<Option<Figures>> {
        let pair = Pair {
            failed: Some(table.clone()),
            restored: Some(table.clone()),
        };
        let stores = self.stores.get(&table.name).map_or(&[][..], Vec::as_slice);
        let is_there = |number: &u32| stores.iter().any(|store| store.number == *number);
        let mut then = self.moment.tables.iter().filter(|(_, rows)| rows.table == table.name);
        let told = self.written(&pair).filter(|_| then.all(|(number, _)| is_there(number)));
        let Some((written, then)) = told else { return Ok(None) };
        let new = number(
            session,
            &format!("SELECT count(*) FROM {} WHERE {written};", table.source()),
        )?;
        let kept = number(session, &table.rows())?.checked_sub(new);
        let gone = kept.and_then(|kept| then.checked_sub(kept));
        Ok(gone.map(|gone| Figures {
            table: table.name.clone(),
            new,
            gone,
            mixed: true,
            ..Figures::default()
        }))
    }

    /// The same as [`Self::count`] where the copy is live by now, and only those of its rows are read that were not written since
    /// ([`Table::older`]). Where some of them were, or were removed, what is new and what was changed cannot be told apart.
    pub(super) fn count_after(
        &self,
        pair: &Pair,
        figures: &Figures,
        (failed, restored): (&mut Session, &mut Session),
        release: &Release,
    ) -> Result<Figures> {
        let (Some(live), Some(copy), Some((written, then))) = (&pair.failed, &pair.restored, self.written(pair)) else {
            let what = format!(
                "the rows of {} do not tell what was written since the backup",
                pair.name()
            );
            return Err(ResourceError::new(what));
        };
        let all = number(failed, &live.rows())?;
        let new = number(
            failed,
            &format!("SELECT count(*) FROM {} WHERE {written};", live.source()),
        )?;
        if new > 0 && number(restored, &copy.rows())? == then {
            if let Some(told) = self.count(pair, figures, (&mut *failed, &mut *restored), release)? {
                return Ok(told);
            }
            let mut told = figures.clone();
            pair.compare(failed, restored, (Depth::Counts, release), &mut |change, row| {
                told.take(change, row, pair);
                Ok(())
            })?;
            return Ok(told);
        }
        let gone = all.checked_sub(new).and_then(|kept| then.checked_sub(kept));
        let gone = gone.ok_or_else(|| {
            let what = format!("{} has more rows of before the backup than the backup has", pair.name());
            ResourceError::new(what)
        })?;
        Ok(Figures {
            new,
            gone,
            mixed: true,
            ..figures.clone()
        })
    }

    /// Counts what going back from one table to the other displaces; `failed` and `restored` are sessions that have begun to
    /// read. `None`: it cannot be told without a comparison.
    pub(super) fn count(
        &self,
        pair: &Pair,
        figures: &Figures,
        (failed, restored): (&mut Session, &mut Session),
        release: &Release,
    ) -> Result<Option<Figures>> {
        let (Some(live), Some(copy), Some((written, then))) = (&pair.failed, &pair.restored, self.written(pair)) else {
            return Ok(None);
        };
        let all = number(failed, &live.rows())?;
        let keys = pair.key().filter(|key| finds(key, live, copy));
        let Some(keys) = keys else {
            // Without a key only that nothing was written can be told.
            let script = format!("SELECT count(*) FROM {} WHERE {written};", live.source());
            let kept = all - number(failed, &script)?;
            return Ok((kept == all && kept <= then).then(|| Figures {
                gone: then - kept,
                ..figures.clone()
            }));
        };
        let most = (then / SHARE).max(FEW);
        let words = pair.words();
        let columns: Vec<String> = live
            .birth()
            .iter()
            .map(|column| super::compare::moment(&column.name))
            .collect();
        let columns: Vec<String> = columns
            .into_iter()
            .chain(keys.iter().map(|name| format!("{}::text", ident(name))))
            .collect();
        let asked = format!("{written} LIMIT {}", most + 1);
        failed.begin(&words.unordered(live, (&asked, &release.sql(live)), &columns))?;
        let mut told = figures.clone();
        let (mut many, mut found, mut batch, mut is_sure) = (0, 0, Vec::new(), true);
        while let Some(line) = failed.line()? {
            many += 1;
            // Whatever comes, it has to be read to its end.
            is_sure &= many <= most && std::str::from_utf8(line).is_ok();
            if !is_sure {
                continue;
            }
            let unread = || ResourceError::new("the server gave a row in an unknown form");
            batch.push(Row::of_line(line.to_vec()).ok_or_else(unread)?);
            if batch.len() == BATCH {
                found += look_up(&mut batch, (pair, copy, &keys), restored, &mut told)?;
            }
        }
        if !is_sure {
            return Ok(None);
        }
        found += look_up(&mut batch, (pair, copy, &keys), restored, &mut told)?;
        let kept = all.checked_sub(many);
        let gone = kept.and_then(|kept| then.checked_sub(kept + found));
        Ok(gone.map(|gone| Figures { gone, ..told }))
    }
}

/// The number that a script selects.
pub(super) fn number(session: &mut Session, script: &str) -> Result<u64> {
    let lines: Vec<u64> = session.values(script)?;
    lines
        .into_iter()
        .next()
        .ok_or_else(|| ResourceError::new("the server counted nothing"))
}

/// Whether rows are found in the copy by these columns: they are unique on both sides, of the same types, and the server's own
/// operators compare them.
fn finds(key: &[String], live: &Table, copy: &Table) -> bool {
    let is_key = |table: &Table| table.key.as_deref() == Some(key) || table.filled.iter().any(|names| names == key);
    let is_plain = |name: &String| {
        let (Some(one), Some(other)) = (live.column(name), copy.column(name)) else {
            return false;
        };
        one.full == other.full && !other.kind.contains(['.', '[', '('])
    };
    is_key(live) && is_key(copy) && key.iter().all(is_plain)
}

/// Looks rows up in the copy, and counts those that it has not and those that differ. Returns how many it has.
fn look_up(
    batch: &mut Vec<Row>,
    (pair, copy, keys): (&Pair, &Table, &[String]),
    restored: &mut Session,
    told: &mut Figures,
) -> Result<u64> {
    let batch = std::mem::take(batch);
    if batch.is_empty() {
        return Ok(0);
    }
    let born = usize::from(pair.failed.as_ref().and_then(Table::birth).is_some());
    let values: Vec<Vec<Option<String>>> = batch.iter().map(Row::values).collect();
    let mut arrays = Vec::new();
    let mut joins = Vec::new();
    for (place, name) in keys.iter().enumerate() {
        let column: Vec<Option<&str>> = values
            .iter()
            .map(|values| values.get(born + place).and_then(Option::as_deref))
            .collect();
        let kind = copy.column(name).map_or("text", |column| column.kind.as_str());
        arrays.push(format!("{}::{kind}[]", literal(&array(&column))));
        joins.push(format!("guard_copy.{} = guard_k{place}", ident(name)));
    }
    let fields = |field: fn(&Row) -> Option<String>| -> Vec<Option<String>> { batch.iter().map(field).collect() };
    let texts = fields(|row| super::rows::unescaped(row.key()));
    let digests = fields(|row| Some(String::from_utf8_lossy(row.digest()).into_owned()));
    for (values, kind) in [(&texts, "text"), (&digests, "bigint")] {
        let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
        arrays.push(format!("{}::{kind}[]", literal(&array(&values))));
    }
    let names: Vec<String> = (0..keys.len()).map(|place| format!("guard_k{place}")).collect();
    let words = pair.words();
    let script = format!(
        "SELECT guard_n || CASE WHEN {} = guard_d THEN ' same' ELSE ' differs' END FROM unnest({}) WITH ORDINALITY \
         AS guard_asked ({}, guard_t, guard_d, guard_n) JOIN {} ON {} WHERE {} COLLATE \"C\" = guard_t COLLATE \"C\";",
        words.digest,
        arrays.join(", "),
        names.join(", "),
        copy.source_as("guard_copy"),
        joins.join(" AND "),
        words.key
    );
    let mut is_there = vec![false; batch.len()];
    let mut found = 0;
    for line in restored.lines(&script)? {
        let (place, verdict) = line.split_once(' ').unwrap_or_default();
        let place: usize = place.parse().unwrap_or_default();
        let unread = || ResourceError::new("the server found a row in an unknown place");
        let there = place
            .checked_sub(1)
            .and_then(|place| is_there.get_mut(place))
            .ok_or_else(unread)?;
        found += u64::from(!std::mem::replace(there, true));
        if verdict == "differs" {
            told.changed += 1;
        }
    }
    for (row, _) in batch.iter().zip(&is_there).filter(|(_, is_there)| !**is_there) {
        told.take(Change::New, row, pair);
    }
    Ok(found)
}

impl Figures {
    /// Counts a row, and of a new one when it came to be.
    pub(super) fn take(&mut self, change: Change, row: &Row, pair: &Pair) {
        self.count(change, row);
        let birth = pair
            .failed
            .as_ref()
            .and_then(Table::birth)
            .filter(|_| change == Change::New);
        if let Some(column) = birth {
            self.note_birth(row.values().into_iter().next().flatten(), &column.name);
        }
    }
}

/// How old, as a session that has begun to read tells it, the first transaction is that wrote to the copy since it was loaded.
pub(super) fn age_of(loaded: u64, session: &mut Session) -> Result<i64> {
    let now: Vec<Told> = session.values(&format!("{IDENTIFIER}{}", told(loaded)))?;
    let age = now
        .into_iter()
        .next()
        .filter(|now| now.is_near(loaded))
        .map(|now| now.age);
    age.ok_or_else(|| ResourceError::new("the rows of the copy do not tell any more which of them were written since"))
}
