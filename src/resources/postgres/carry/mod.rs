//! What going back displaces: rows that only the failed database has are counted, carried over, or exported; none is lost
//! without a word, and none is invented.

mod account;
mod before;
mod check;
mod choice;
mod compare;
mod export;
mod insert;
mod ledger;
mod order;
mod release;
mod rows;
mod salvage;
mod shape;
mod work;

use std::collections::{BTreeMap, BTreeSet};

use super::Postgres;
use super::reach::Reach;
use super::session::converse;
use super::sql::ident;
use crate::Result;
use crate::records::belongs_to_migrations;
use account::Figures;
pub(super) use before::{Carried, before_swap, carried_before, numbers_go_on, numbers_go_on_from};
pub(super) use check::survey;
pub(super) use choice::CarryOver;
use choice::Intent;
use compare::{Change, Depth, Pair};
use guard_system::context::Context;
use release::{Release, Window, windows};
pub(super) use release::{mark, transactions};
use rows::Row;
pub(super) use salvage::salvage;
use shape::{Shape, Table};

/// What a session that compares begins with: one moment, and nothing written.
const READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;";

/// The tables of two databases side by side.
fn pairs(failed: &Shape, restored: &Shape) -> Vec<Pair> {
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

impl Figures {
    fn of(pair: &Pair, intent: &Intent) -> Self {
        let failed = pair.failed.iter().flat_map(|table| &table.columns);
        let common = pair.common();
        let lost = failed
            .filter(|column| !common.contains(column))
            .map(|column| column.name.clone());
        Self {
            table: pair.name().to_owned(),
            lost_columns: lost.collect(),
            came: match (&pair.failed, &pair.restored) {
                (Some(_), None) => Some(true),
                (None, Some(_)) => Some(false),
                _ => None,
            },
            empty_columns: pair.unknown().iter().map(|column| column.name.clone()).collect(),
            keyless: pair.key().is_none(),
            hindrance: intent.hindrance.clone(),
            carries: intent.carries,
            ..Self::default()
        }
    }

    fn count(&mut self, change: Change, row: &Row) {
        match change {
            Change::New => {
                self.new += 1;
                self.own += u64::from(self.carries && row.is_own);
            }
            Change::Changed => self.changed += 1,
            Change::Gone => self.gone += 1,
        }
    }

    fn is_quiet(&self) -> bool {
        self.new + self.changed + self.gone == 0 && self.came.is_none() && self.lost_columns.is_empty()
    }
}

/// What going back from one database to the other displaces, table by table; both are only read.
fn figures(
    reach: &Reach,
    (failed, restored): (&str, &str),
    (wish, windows): (&CarryOver, &[Window]),
    cx: &Context,
) -> Result<Vec<Figures>> {
    converse(reach, failed, cx, |left| {
        converse(reach, restored, cx, |right| {
            left.lines(READING)?;
            right.lines(READING)?;
            let (failed, restored) = (Shape::read(left)?, Shape::read(right)?);
            let release = Release::of(left, &failed, windows)?;
            let mut all = Vec::new();
            for pair in pairs(&failed, &restored) {
                let mut figures = Figures::of(&pair, &Intent::of(wish, &pair));
                let birth = pair
                    .failed
                    .as_ref()
                    .and_then(Table::birth)
                    .map(|column| column.name.clone());
                pair.compare(left, right, (Depth::Counts, &release), &mut |change, row| {
                    figures.count(change, row);
                    if let (Change::New, Some(column)) = (change, &birth) {
                        figures.note_birth(row.values().into_iter().next().flatten(), column);
                    }
                    Ok(())
                })?;
                if !figures.is_quiet() {
                    all.push(figures);
                }
            }
            Ok(all)
        })
    })
}

/// The same as sentences: what going back costs.
pub(super) fn price(
    of: &Postgres,
    reach: &Reach,
    databases: (&str, &str),
    taken_at: chrono::DateTime<chrono::Utc>,
    cx: &Context,
) -> Result<Vec<String>> {
    let today = cx.clock.now().format("%Y-%m-%d").to_string();
    let since = taken_at.format("%Y-%m-%d %H:%M:%S").to_string();
    let since = since
        .strip_prefix(&today)
        .map_or(since.as_str(), str::trim_start)
        .to_owned();
    let all = figures(
        reach,
        databases,
        (&of.carry_over, &windows(&of.carry_over, &of.name, cx)?),
        cx,
    )?;
    // What a program of migrations notes is nobody's loss: it is as the schema is.
    let told = all.iter().filter(|figures| !belongs_to_migrations(&figures.table));
    let mut price: Vec<String> = told.flat_map(|figures| figures.price(&since, &today)).collect();
    price.extend(remedy(&price, cx));
    Ok(price)
}

/// The way in which what is told as lost can be had again.
pub(super) fn remedy(price: &[String], cx: &Context) -> Option<String> {
    let is_lost = |sentence: &String| {
        ["discards ", "undoes ", "drops "]
            .iter()
            .any(|word| sentence.starts_with(word))
    };
    price.iter().any(is_lost).then(|| {
        let run = cx.run.as_ref().map_or_else(|| "latest".to_owned(), ToString::to_string);
        format!("what is not live then is in the database that is put aside: `guard salvage {run}` brings it back, `carry_over` does so in every rollback")
    })
}

/// The tables of which new rows are taken along, as far as the live database tells.
pub(super) fn going_along(of: &Postgres, reach: &Reach, cx: &Context) -> Result<BTreeSet<String>> {
    if !of.carry_over.is_wanted() {
        return Ok(BTreeSet::new());
    }
    let shape = converse(reach, &reach.database, cx, Shape::read)?;
    let goes = |table: &&Table| {
        let alone = Pair {
            failed: Some((*table).clone()),
            restored: Some((*table).clone()),
        };
        Intent::of(&of.carry_over, &alone).carries
    };
    Ok(shape
        .tables
        .values()
        .filter(goes)
        .flat_map(|table| table.parts.clone())
        .collect())
}

/// What going back to the database `aside` costs now: rows that the live one got since.
pub(super) fn undo_price(of: &Postgres, aside: &str, cx: &Context) -> Result<Vec<String>> {
    let reach = Reach::open(of, cx)?;
    let maintenance = reach.maintenance(cx)?;
    let names = reach.databases(maintenance, cx)?;
    if ![aside, reach.database.as_str()]
        .iter()
        .all(|name| names.iter().any(|known| known == name))
    {
        return Ok(Vec::new());
    }
    let door = |open: bool| {
        let script = format!("ALTER DATABASE {} ALLOW_CONNECTIONS {open};", ident(aside));
        reach.run(maintenance, &script, &cx.unstoppable()).map(|_| ())
    };
    door(true)?;
    let all = figures(&reach, (&reach.database, aside), (&CarryOver::None, &[]), cx);
    // It was closed before, and nobody should write to it.
    door(false)?;
    let today = cx.clock.now().format("%Y-%m-%d").to_string();
    Ok(all?
        .iter()
        .flat_map(|figures| figures.price("the rollback", &today))
        .collect())
}
