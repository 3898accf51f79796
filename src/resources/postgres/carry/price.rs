//! What going back costs in rows, table by table, as sentences.

use std::collections::BTreeSet;

use super::account::Figures;
use super::choice::Intent;
use super::compare::{Change, Depth, Pair, READING, pairs};
use super::release::{Release, Window, windows};
use super::shape::{Shape, Table};
use super::wish::CarryOver;
use crate::error::Result;
use crate::postgres::database::Postgres;
use crate::postgres::reach::Reach;
use crate::postgres::session::converse;
use crate::postgres::sql::ident;
use crate::sql::migration_records::belongs_to_migrations;
use guard_system::context::Context;

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
pub(crate) fn price(
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
pub(crate) fn remedy(price: &[String], cx: &Context) -> Option<String> {
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
pub(crate) fn going_along(of: &Postgres, reach: &Reach, cx: &Context) -> Result<BTreeSet<String>> {
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
pub(crate) fn undo_price(of: &Postgres, aside: &str, cx: &Context) -> Result<Vec<String>> {
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
