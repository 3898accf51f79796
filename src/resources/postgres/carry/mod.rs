//! What going back displaces: rows that only the failed database has are counted, carried over, or exported; none is lost
//! without a word, and none is invented.

mod account;
mod before;
mod choice;
mod compare;
mod export;
mod insert;
mod ledger;
mod order;
mod rows;
mod salvage;
mod shape;
mod work;

use std::collections::BTreeMap;

use super::reach::Reach;
use super::session::converse;
use crate::resources::Result;
use crate::system::context::Context;
use account::Figures;
pub(super) use before::{Carried, before_swap, carried_before};
pub(super) use choice::CarryOver;
use choice::Intent;
use compare::{Change, Depth, Pair};
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

    fn count(&mut self, change: Change) {
        match change {
            Change::New => self.new += 1,
            Change::Changed => self.changed += 1,
            Change::Gone => self.gone += 1,
        }
    }

    fn is_quiet(&self) -> bool {
        self.new + self.changed + self.gone == 0 && self.came.is_none() && self.lost_columns.is_empty()
    }
}

/// What going back from one database to the other displaces, table by table; both are only read.
fn figures(reach: &Reach, failed: &str, restored: &str, wish: &CarryOver, cx: &Context) -> Result<Vec<Figures>> {
    converse(reach, failed, cx, |left| {
        converse(reach, restored, cx, |right| {
            left.lines(READING)?;
            right.lines(READING)?;
            let (failed, restored) = (Shape::read(left)?, Shape::read(right)?);
            let mut all = Vec::new();
            for pair in pairs(&failed, &restored) {
                let mut figures = Figures::of(&pair, &Intent::of(wish, &pair));
                let birth = pair
                    .failed
                    .as_ref()
                    .and_then(Table::birth)
                    .map(|column| column.name.clone());
                pair.compare(left, right, Depth::Counts, &mut |change, row| {
                    figures.count(change);
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

/// The same as sentences: what going back costs. `wish`: what is to be carried over.
pub(super) fn price(
    reach: &Reach,
    (failed, restored): (&str, &str),
    wish: &CarryOver,
    taken_at: chrono::DateTime<chrono::Utc>,
    cx: &Context,
) -> Result<Vec<String>> {
    let now = cx.clock.now();
    let today = now.format("%Y-%m-%d").to_string();
    let since = taken_at.format("%Y-%m-%d %H:%M:%S").to_string();
    let since = since
        .strip_prefix(&today)
        .map_or(since.as_str(), str::trim_start)
        .to_owned();
    let all = figures(reach, failed, restored, wish, cx)?;
    Ok(all.iter().flat_map(|figures| figures.price(&since, &today)).collect())
}
