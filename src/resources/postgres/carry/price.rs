//! What going back costs in rows, table by table, as sentences.

use std::collections::BTreeSet;

use super::account::Figures;
use super::choice::Intent;
use super::compare::{Depth, Pair, READING, pairs};
use super::release::{Release, Window, windows};
use super::shape::{Shape, Table};
use super::since::{Since, age_of, number};
use super::wish::CarryOver;
use crate::error::{ResourceError, Result};
use crate::postgres::database::Postgres;
use crate::postgres::moment::Origin;
use crate::postgres::reach::Reach;
use crate::postgres::session::{Session, converse};
use crate::postgres::sql::ident;
use crate::sql::migration_records::belongs_to_migrations;
use guard_model::event::Level;
use guard_model::text::sanitised;
use guard_system::context::Context;

/// What going back from one database to the other displaces, table by table; both are only read. The names of tables that had to
/// be compared row by row are noted.
fn figures(
    reach: &Reach,
    (failed, restored): (&str, &str),
    (wish, windows): (&CarryOver, &[Window]),
    origin: &Origin<'_>,
    cx: &Context,
) -> Result<Vec<Figures>> {
    converse(reach, failed, cx, |left| {
        converse(reach, restored, cx, |right| {
            left.lines(READING)?;
            right.lines(READING)?;
            let (failed, restored) = (Shape::read(left)?, Shape::read(right)?);
            let release = Release::of(left, &failed, windows)?;
            let since = Since::of(left, origin)?;
            let (mut all, mut compared) = (Vec::new(), Vec::new());
            for pair in pairs(&failed, &restored) {
                let mut figures = Figures::of(&pair, &Intent::of(wish, &pair));
                let sides = (&mut *left, &mut *right);
                let told = match (&since, figures.came) {
                    (_, Some(_)) => Some(alone(&pair, &figures, sides)?),
                    (Ok(since), None) => since.count(&pair, &figures, sides, &release)?,
                    (Err(_), None) => None,
                };
                if let Some(told) = told {
                    figures = told;
                } else {
                    compared.push(pair.name().to_owned());
                    pair.compare(left, right, (Depth::Counts, &release), &mut |change, row| {
                        figures.take(change, row, &pair);
                        Ok(())
                    })?;
                }
                if !figures.is_quiet() {
                    all.push(figures);
                }
            }
            tell_compared(&reach.database, &compared, since.err(), cx);
            Ok(all)
        })
    })
}

/// Says which tables were read whole on both sides, and why: it takes ten times as long.
fn tell_compared(database: &str, compared: &[String], hindrance: Option<&str>, cx: &Context) {
    if compared.is_empty() {
        return;
    }
    let why = hindrance.unwrap_or("their rows do not tell what was written since the backup");
    let tables = sanitised(&compared.join(", "));
    cx.note(
        Level::Detail,
        format!("{database}: compared row by row, since {why}: {tables}"),
    );
}

/// The figures of a table that only one of the two databases has.
fn alone(pair: &Pair, figures: &Figures, (failed, restored): (&mut Session, &mut Session)) -> Result<Figures> {
    let mut figures = figures.clone();
    if let Some(table) = &pair.failed {
        figures.new = number(failed, &table.rows())?;
    } else if let Some(table) = &pair.restored {
        figures.gone = number(restored, &table.rows())?;
    }
    Ok(figures)
}

/// Whether the same can be told once the one database is displaced and the other is live: only what was written has to be looked
/// at then.
pub(crate) fn tells_later(
    reach: &Reach,
    (failed, restored): (&str, &str),
    origin: &Origin<'_>,
    cx: &Context,
) -> Result<bool> {
    converse(reach, failed, cx, |left| {
        converse(reach, restored, cx, |right| {
            left.lines(READING)?;
            right.lines(READING)?;
            let (failed, restored) = (Shape::read(left)?, Shape::read(right)?);
            let since = Since::of(left, origin)?;
            Ok(since.is_ok_and(|since| since.tells(&pairs(&failed, &restored))))
        })
    })
}

/// The same figures from the displaced database and the copy that is live by now; `loaded`: the first transaction that did not
/// belong to its load. What was written to the copy since is not looked at.
fn figures_after(
    reach: &Reach,
    (displaced, live): (&str, &str),
    (origin, loaded): (&Origin<'_>, u64),
    cx: &Context,
) -> Result<Vec<Figures>> {
    converse(reach, displaced, cx, |left| {
        converse(reach, live, cx, |right| {
            left.lines(READING)?;
            right.lines(READING)?;
            let (failed, mut restored) = (Shape::read(left)?, Shape::read(right)?);
            let age = age_of(loaded, right)?;
            for table in restored.tables.values_mut() {
                table.older = Some(age);
            }
            let since = Since::of(left, origin)?.map_err(ResourceError::new)?;
            let mut all = Vec::new();
            for pair in pairs(&failed, &restored) {
                let figures = Figures::of(&pair, &Intent::of(&CarryOver::None, &pair));
                let sides = (&mut *left, &mut *right);
                let told = match (figures.came, since.then(pair.name())) {
                    (Some(true), None) => alone(&pair, &figures, sides)?,
                    // Somebody has made it since.
                    (Some(false), None) => continue,
                    (Some(false), Some(gone)) => Figures { gone, ..figures },
                    (Some(true), Some(_)) => {
                        let what = format!("the table {} is not in the copy any more", pair.name());
                        return Err(ResourceError::new(what));
                    }
                    (None, _) => since.count_after(&pair, &figures, sides, &Release::default())?,
                };
                if !told.is_quiet() {
                    all.push(told);
                }
            }
            Ok(all)
        })
    })
}

/// What going back has cost, told from the displaced database, which is closed to everybody else.
pub(crate) fn price_after(
    reach: &Reach,
    (displaced, live): (&str, &str),
    (taken_at, origin): (chrono::DateTime<chrono::Utc>, &Origin<'_>),
    loaded: u64,
    cx: &Context,
) -> Result<Vec<String>> {
    let maintenance = reach.maintenance(cx)?;
    if !reach.databases(maintenance, cx)?.iter().any(|name| name == displaced) {
        return Err(ResourceError::new(format!("the database {displaced} is gone")));
    }
    let all = ajar(reach, maintenance, displaced, cx, || {
        figures_after(reach, (displaced, live), (origin, loaded), cx)
    })?;
    let mut price = sentences(&all, taken_at, cx);
    price.extend(remedy(&price, cx));
    Ok(price)
}

/// Does something while a database that is closed can be entered, and closes it again.
fn ajar<T>(
    reach: &Reach,
    maintenance: &str,
    database: &str,
    cx: &Context,
    act: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let door = |open: bool| {
        let script = format!("ALTER DATABASE {} ALLOW_CONNECTIONS {open};", ident(database));
        reach.run(maintenance, &script, &cx.unstoppable()).map(|_| ())
    };
    door(true)?;
    let done = act();
    // It was closed before, and nobody should write to it.
    door(false)?;
    done
}

/// The same as sentences: what going back costs.
pub(crate) fn price(
    of: &Postgres,
    reach: &Reach,
    databases: (&str, &str),
    (taken_at, origin): (chrono::DateTime<chrono::Utc>, &Origin<'_>),
    cx: &Context,
) -> Result<Vec<String>> {
    let all = figures(
        reach,
        databases,
        (&of.carry_over, &windows(&of.carry_over, &of.name, cx)?),
        origin,
        cx,
    )?;
    let mut price = sentences(&all, taken_at, cx);
    price.extend(remedy(&price, cx));
    Ok(price)
}

fn sentences(all: &[Figures], taken_at: chrono::DateTime<chrono::Utc>, cx: &Context) -> Vec<String> {
    let today = cx.clock.now().format("%Y-%m-%d").to_string();
    let since = taken_at.format("%Y-%m-%d %H:%M:%S").to_string();
    let since = since
        .strip_prefix(&today)
        .map_or(since.as_str(), str::trim_start)
        .to_owned();
    // What a program of migrations notes is nobody's loss: it is as the schema is.
    let told = all.iter().filter(|figures| !belongs_to_migrations(&figures.table));
    told.flat_map(|figures| figures.price(&since, &today)).collect()
}

/// What was written to the live database since a copy, as far as it tells by itself, and the names of the relations that this is
/// all of: only those in `differing` are looked at, and none of `along`. In one reading, and without the copy.
pub(crate) fn written(
    reach: &Reach,
    (taken_at, origin): (chrono::DateTime<chrono::Utc>, &Origin<'_>),
    (differing, along): (&BTreeSet<String>, &BTreeSet<String>),
    cx: &Context,
) -> Result<(Vec<String>, BTreeSet<String>)> {
    converse(reach, &reach.database, cx, |session| {
        session.lines(READING)?;
        let shape = Shape::read(session)?;
        let Ok(since) = Since::of(session, origin)? else {
            return Ok((Vec::new(), BTreeSet::new()));
        };
        let (mut all, mut known) = (Vec::new(), BTreeSet::new());
        for table in shape.tables.values() {
            let has = |names: &BTreeSet<String>| table.parts.iter().any(|part| names.contains(part));
            if !has(differing) || has(along) {
                continue;
            }
            if let Some(figures) = since.count_alone(table, session)? {
                known.extend(table.parts.iter().cloned());
                all.push(figures);
            }
        }
        Ok((sentences(&all, taken_at, cx), known))
    })
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
    let all = ajar(&reach, maintenance, aside, cx, || {
        let nothing = (&CarryOver::None, &[][..]);
        figures(&reach, (&reach.database, aside), nothing, &Origin::default(), cx)
    })?;
    let today = cx.clock.now().format("%Y-%m-%d").to_string();
    Ok(all
        .iter()
        .flat_map(|figures| figures.price("the rollback", &today))
        .collect())
}
