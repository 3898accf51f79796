//! Parsed TOML as a tree of values with their places, and one tree laid over another.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use guard_model::setting::{Item, Problem, Source, Value};

/// Tables and lists inside each other; deeper is refused.
pub(super) const DEPTH: usize = 32;

/// A table of a tree: keys with their places.
pub(super) type Table = BTreeMap<String, (Range<usize>, Item)>;

/// Parses a text. Every syntax error is told, not only the first.
pub(super) fn parse(source: &Source) -> Result<Item, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    let mut problems: Vec<Problem> = errors
        .into_iter()
        .map(|error| Problem {
            place: source.place(&error.span().unwrap_or_default()),
            message: error.message().to_owned(),
            hint: None,
            excerpt: None,
        })
        .collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    let at = table.span();
    let item = Item {
        value: Value::Table(table_of(table.into_inner(), source, 1, &mut problems)),
        at,
    };
    if problems.is_empty() { Ok(item) } else { Err(problems) }
}

fn table_of(table: DeTable<'_>, source: &Source, depth: usize, problems: &mut Vec<Problem>) -> Table {
    let mut entries = Table::new();
    for (key, value) in table {
        let at = key.span();
        if let Some(item) = item_of(value, source, depth, problems) {
            entries.insert(key.into_inner().into_owned(), (at, item));
        }
    }
    entries
}

fn item_of(value: Spanned<DeValue<'_>>, source: &Source, depth: usize, problems: &mut Vec<Problem>) -> Option<Item> {
    let at = value.span();
    let mut refuse = |message: String| {
        problems.push(Problem {
            place: source.place(&at),
            message,
            hint: None,
            excerpt: None,
        });
        None
    };
    if depth > DEPTH {
        return refuse(format!("nested deeper than {DEPTH} levels"));
    }
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Boolean(flag) => Value::Flag(flag),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Whole(number),
            Err(_) => return refuse(format!("{number} does not fit into 64 bits")),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Value::Real(number),
            Err(_) => return refuse(format!("{number} is not a number")),
        },
        DeValue::Datetime(_) => return refuse("no setting is a date or a time; put it in quotes".to_owned()),
        DeValue::Array(items) => Value::List(
            items
                .into_iter()
                .filter_map(|item| item_of(item, source, depth + 1, problems))
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(table_of(table, source, depth + 1, problems)),
    };
    Some(Item { value, at })
}

/// Lays one table over another: tables are merged key by key, everything else is replaced. Places stay with the values.
pub(super) fn lay_over(base: &mut Table, over: Table) {
    for (key, (at, item)) in over {
        match (base.get_mut(&key), item.value) {
            (
                Some((
                    _,
                    Item {
                        value: Value::Table(below),
                        ..
                    },
                )),
                Value::Table(above),
            ) => lay_over(below, above),
            (_, value) => {
                base.insert(key, (at, Item { value, at: item.at }));
            }
        }
    }
}
