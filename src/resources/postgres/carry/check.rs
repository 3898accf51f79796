//! What `guard check` says of `carry_over`: a table that could never be carried is refused while there is time.

use super::choice::is_named;
use super::compare::Pair;
use super::shape::{Shape, Table};
use super::wish::CarryOver;
use crate::error::Result;
use crate::postgres::database::Postgres;
use crate::postgres::reach::Reach;
use crate::postgres::session::converse;
use crate::survey::Survey;
use guard_model::setting::nearest;
use guard_model::text::sanitised;
use guard_system::context::Context;

/// Why a table's new rows could never be carried.
fn bar(table: &Table) -> Option<(String, String)> {
    let name = sanitised(&table.name);
    if table.records_migrations() {
        let what = format!(
            "`carry_over` names {name}, in which a program of migrations notes what ran: its rows belong to the schema"
        );
        return Some((what, format!("take {name} out of `carry_over`")));
    }
    let alone = Pair {
        failed: Some(table.clone()),
        restored: Some(table.clone()),
    };
    if alone.key().is_none() {
        let what = format!(
            "`carry_over` names {name}, which has no key: no primary key, and no unique index whose columns are never null"
        );
        return Some((
            what,
            format!("give {name} a primary key, or take it out of `carry_over`"),
        ));
    }
    None
}

pub(crate) fn survey(of: &Postgres, reach: &Reach, cx: &Context, survey: &mut Survey) -> Result<()> {
    if !of.carry_over.is_wanted() {
        return Ok(());
    }
    let shape = converse(reach, &reach.database, cx, Shape::read)?;
    let CarryOver::Tables(names) = &of.carry_over else {
        let barred = shape
            .tables
            .values()
            .filter(|table| !table.records_migrations() && bar(table).is_some());
        let names: Vec<String> = barred.map(|table| sanitised(&table.name)).collect();
        if !names.is_empty() {
            survey.fact(format!(
                "without a key, so that new rows are exported and not carried over: {}",
                names.join(", ")
            ));
        }
        return Ok(());
    };
    for name in names {
        let Some(table) = shape.tables.values().find(|table| table.is_called(name)) else {
            let (what, advice) = unknown(name, &shape, &reach.database);
            survey.refuse(what, advice);
            continue;
        };
        if let Some((what, advice)) = bar(table) {
            survey.refuse(what, advice);
        }
    }
    ask_neighbours(&of.carry_over, &shape, survey);
    Ok(())
}

fn unknown(name: &str, shape: &Shape, database: &str) -> (String, String) {
    if let Some(whole) = shape
        .tables
        .values()
        .find(|table| table.parts.iter().any(|part| part == name))
    {
        let what = format!(
            "`carry_over` names {name:?}, which is a partition of {}",
            sanitised(&whole.name)
        );
        return (what, format!("name {} instead", sanitised(&whole.name)));
    }
    let advice = nearest(name, shape.tables.keys().map(String::as_str));
    let what = format!("`carry_over` names {name:?}, and there is no such table in {database}");
    (
        what,
        advice.unwrap_or_else(|| "correct the name, or take it out".to_owned()),
    )
}

/// Names what belongs to a named table and is not named itself: both go together, or neither does.
fn ask_neighbours(wish: &CarryOver, shape: &Shape, survey: &mut Survey) {
    let named = |name: &String| shape.tables.get(name).is_some_and(|table| is_named(wish, table));
    for reference in &shape.references {
        let (from, to) = (sanitised(&reference.from), sanitised(&reference.to));
        if named(&reference.to) && !named(&reference.from) {
            survey.warn(
                format!("{from} refers to {to} and is not in `carry_over`: new rows of {to} come back without what they have there"),
                format!("add {from} to `carry_over`"),
            );
        } else if named(&reference.from) && !named(&reference.to) {
            survey.warn(
                format!("{from} refers to {to}, which is not in `carry_over`: a row of {from} that belongs to a new row of {to} stays out"),
                format!("add {to} to `carry_over`"),
            );
        }
    }
}
