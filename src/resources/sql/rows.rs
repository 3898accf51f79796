//! What databases share: how rows are counted and compared, what the policy makes of a difference, and what going back costs.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};

use super::migration_records::{belongs_to_migrations, is_record};
use crate::error::Result;
use guard_model::artifact::Work;
use guard_model::fingerprint::Fingerprint;
use guard_model::policy::DataRestore;
use guard_model::text::{plural, sanitised};

/// The rows of one table at one moment; as a part of a fingerprint, `48210 rows, columns 91…, digest -7…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rows {
    /// How many.
    pub(crate) count: u64,
    /// A digest of the columns' names and types.
    pub(crate) columns: String,
    /// A digest of the rows, in no order.
    pub(crate) digest: String,
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rows, columns {}, digest {}",
            self.count, self.columns, self.digest
        )
    }
}

impl Rows {
    /// Counts the rows of another part of the same table in. Digests are sums, so they add up in any order.
    pub(crate) fn add(&mut self, part: &Self) {
        self.count += part.count;
        self.digest = match (self.digest.parse::<i128>(), part.digest.parse::<i128>()) {
            (Ok(one), Ok(other)) => one.wrapping_add(other).to_string(),
            _ => format!("{} {}", self.digest, part.digest),
        };
    }

    fn of_part(value: &str) -> Option<Self> {
        let (rows, rest) = value.split_once(" rows, columns ")?;
        let (columns, digest) = rest.split_once(", digest ")?;
        Some(Self {
            count: rows.parse().ok()?,
            columns: columns.to_owned(),
            digest: digest.to_owned(),
        })
    }

    /// Whether rows were surely written between the two; rows of other columns have another digest without any writing.
    fn were_written(&self, since: &Self) -> bool {
        self.count != since.count || (self.columns == since.columns && self.digest != since.digest)
    }
}

/// The tables in a fingerprint.
pub(crate) fn tables(print: &Fingerprint) -> BTreeMap<String, Rows> {
    let parts = print
        .parts()
        .filter_map(|(name, value)| Some((name.strip_prefix("table ")?, value)));
    parts
        .filter_map(|(name, value)| Some((name.to_owned(), Rows::of_part(value)?)))
        .collect()
}

/// Whether a part of a database's fingerprint tells of what the old code relies on, rather than of rows.
fn is_shape(part: &str, before: &Fingerprint, now: &Fingerprint) -> bool {
    let is_content = part.starts_with("table ") || part.starts_with("sequence ");
    // A table or sequence that came or went is a change of the schema, and so is a migration that ran without changing one:
    // the old code may look which was the last.
    let is_recorded = part.strip_prefix("table ").is_some_and(is_record);
    !is_content || is_recorded || before.part(part).is_none() || now.part(part).is_none()
}

/// Whether two fingerprints of a database differ in what the old code relies on. Of what is no database: no.
#[must_use]
pub fn is_other_schema(before: &Fingerprint, now: &Fingerprint) -> bool {
    let is_database = |print: &Fingerprint| print.parts().any(|(name, _)| name.starts_with("table "));
    (is_database(before) || is_database(now)) && now.differences(before).iter().any(|part| is_shape(part, before, now))
}

/// What the policy makes of the difference between a backup and the live database.
pub(crate) fn work(policy: DataRestore, before: &Fingerprint, now: &Fingerprint) -> Work {
    let differences = now.differences(before);
    if differences.is_empty() {
        return Work::Unchanged;
    }
    let shape_differs = differences.iter().any(|part| is_shape(part, before, now));
    let (then, live) = (tables(before), tables(now));
    // What a program of migrations notes is no writing of anybody's.
    let written = live
        .iter()
        .filter(|(name, _)| !belongs_to_migrations(name))
        .any(|(name, rows)| then.get(name).map_or(rows.count > 0, |then| rows.were_written(then)))
        || then
            .iter()
            .any(|(name, rows)| rows.count > 0 && !live.contains_key(name));
    let left = |why: &str| Work::Left(why.to_owned());
    let withheld = |why: &str| Work::Withheld(why.to_owned());
    match policy {
        DataRestore::Never if shape_differs => withheld(
            "the schema or its record of migrations has changed, and `data_restore = \"never\"` forbids to put it back; the old code may not live with it",
        ),
        DataRestore::Never => left("`data_restore = \"never\"`: data is left as it is"),
        DataRestore::Auto | DataRestore::IfNoWrites if !shape_differs => {
            left("rows were written but the schema is as before; `--data-restore always` puts them back as well")
        }
        DataRestore::IfNoWrites if written => {
            withheld("the schema has changed, and rows were written since the backup, which going back would discard")
        }
        DataRestore::Always | DataRestore::Auto | DataRestore::IfNoWrites => Work::Changed(differences),
    }
}

/// What going back would cost as the policy has it; `price` is asked where the rows go.
pub(crate) fn outlook(
    data: DataRestore,
    before: &Fingerprint,
    now: &Fingerprint,
    price: impl FnOnce() -> Result<Vec<String>>,
) -> Result<Vec<String>> {
    match work(data, before, now) {
        Work::Unchanged => Ok(Vec::new()),
        Work::Changed(_) => price(),
        Work::Left(why) | Work::Withheld(why) | Work::Gone(why) => Ok(staying(before, now, &why)),
    }
}

/// What stays where rows are left alone, table by table, each a sentence; `why` they are.
pub(crate) fn staying(before: &Fingerprint, now: &Fingerprint, why: &str) -> Vec<String> {
    let (then, live) = (tables(before), tables(now));
    let mut sentences = Vec::new();
    for (name, rows) in &live {
        let shown = sanitised(name);
        sentences.push(match then.get(name) {
            None if rows.count > 0 => format!("keeps the new table {shown} with {}", plural(rows.count, "row")),
            Some(then) if rows.count > then.count => {
                let rows = plural(rows.count - then.count, "row");
                format!("keeps {rows} in {shown} that were written since the backup")
            }
            Some(then) if rows.count < then.count => {
                let rows = plural(then.count - rows.count, "row");
                format!("{rows} of {shown} that were deleted since the backup stay deleted, as the rest is kept")
            }
            Some(then) if rows.were_written(then) => format!("keeps the changes to rows in {shown}"),
            _ => continue,
        });
    }
    if !sentences.is_empty() {
        sentences.push(format!("leaves the database alone: {why}"));
    }
    sentences
}

/// What going back costs, table by table, each a sentence.
pub(crate) fn price(
    before: &Fingerprint,
    now: &Fingerprint,
    taken_at: DateTime<Utc>,
    today: DateTime<Utc>,
) -> Vec<String> {
    price_with(before, now, (taken_at, today), &|_| false)
}

/// The same, where new rows of some tables are taken along.
pub(crate) fn price_with(
    before: &Fingerprint,
    now: &Fingerprint,
    (taken_at, today): (DateTime<Utc>, DateTime<Utc>),
    goes_along: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let form = if taken_at.date_naive() == today.date_naive() {
        "%H:%M:%S"
    } else {
        "%Y-%m-%d %H:%M:%S"
    };
    let since = taken_at.format(form).to_string();
    let (then, live) = (tables(before), tables(now));
    let mut sentences = Vec::new();
    // What a program of migrations notes is nobody's loss: it is as the schema is.
    let is_told = |(name, _): &(&String, &Rows)| !belongs_to_migrations(name);
    for (name, rows) in live.iter().filter(is_told) {
        let shown = sanitised(name);
        let sentence = match then.get(name) {
            None => format!("drops the new table {shown} with {}", plural(rows.count, "row")),
            Some(then) if rows.count > then.count && goes_along(name) => {
                let rows = plural(rows.count - then.count, "row");
                format!("takes {rows} of {shown} along that were written since {since}, where they fit")
            }
            Some(then) if rows.count > then.count => {
                format!(
                    "discards {} in {shown} since {since}",
                    plural(rows.count - then.count, "row")
                )
            }
            Some(then) if rows.count < then.count => {
                format!("brings back {} in {shown}", plural(then.count - rows.count, "row"))
            }
            Some(then) if rows.were_written(then) => {
                format!("undoes changes to rows in {shown} since {since}")
            }
            Some(then) if rows.columns != then.columns => {
                format!("gives {shown} its columns of {since} back, and may undo changes to its rows")
            }
            Some(_) => continue,
        };
        sentences.push(sentence);
    }
    for (name, rows) in then.iter().filter(|(name, _)| !live.contains_key(*name)) {
        let shown = sanitised(name);
        sentences.push(format!(
            "brings back the table {shown} with {}",
            plural(rows.count, "row")
        ));
    }
    sentences
}

/// What was written since a state was put back, and goes with an undo, table by table, each a sentence.
pub(crate) fn written_since(put_back: &Fingerprint, now: &Fingerprint) -> Vec<String> {
    let (then, live) = (tables(put_back), tables(now));
    let mut sentences = Vec::new();
    for (name, rows) in live.iter().filter(|(name, _)| !belongs_to_migrations(name)) {
        let shown = sanitised(name);
        sentences.push(match then.get(name) {
            None => format!(
                "drops the table {shown}, new since the rollback, with {}",
                plural(rows.count, "row")
            ),
            Some(then) if rows.count > then.count => {
                let rows = plural(rows.count - then.count, "row");
                format!("discards {rows} in {shown} since the rollback")
            }
            Some(then) if rows.count < then.count => {
                let rows = plural(then.count - rows.count, "row");
                format!("undoes the deletion of {rows} in {shown} since the rollback")
            }
            Some(then) if rows.were_written(then) => format!("undoes changes to rows in {shown} since the rollback"),
            Some(_) => continue,
        });
    }
    for name in then.keys().filter(|name| !live.contains_key(*name)) {
        let shown = sanitised(name);
        sentences.push(format!("undoes that the table {shown} was dropped since the rollback"));
    }
    sentences
}

/// `app: 12 tables, 48,210 rows`.
pub(crate) fn summary(name: &str, print: &Fingerprint) -> String {
    let tables = tables(print);
    let rows = tables.values().map(|rows| rows.count).sum();
    let count = tables.len() as u64;
    format!(
        "{}: {}, {}",
        sanitised(name),
        plural(count, "table"),
        plural(rows, "row")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(schema: &str, tables: &[(&str, u64, &str, &str)]) -> Fingerprint {
        let print = Fingerprint::default().with("schema", schema);
        tables.iter().fold(print, |print, (name, rows, columns, digest)| {
            let rows = Rows {
                count: *rows,
                columns: (*columns).to_owned(),
                digest: (*digest).to_owned(),
            };
            print.with(format!("table {name}"), rows.to_string())
        })
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn the_price_is_told_table_by_table() {
        let before = print(
            "1",
            &[
                ("a", 5, "x", "1"),
                ("b", 5, "x", "1"),
                ("c", 5, "x", "1"),
                ("d", 1, "x", "1"),
                ("f", 2, "x", "9"),
            ],
        );
        let now = print(
            "1",
            &[
                ("a", 8, "x", "2"),
                ("b", 4, "x", "3"),
                ("c", 5, "x", "4"),
                ("e", 7, "y", "1"),
                ("f", 2, "y", "8"),
            ],
        );
        let (then, today) = (at("2025-10-22T14:00:07Z"), at("2025-10-22T15:00:00Z"));
        let expected = [
            "discards 3 rows in a since 14:00:07",
            "brings back 1 row in b",
            "undoes changes to rows in c since 14:00:07",
            "drops the new table e with 7 rows",
            "gives f its columns of 14:00:07 back, and may undo changes to its rows",
            "brings back the table d with 1 row",
        ];
        assert_eq!(price(&before, &now, then, today), expected);
        let later = price(&before, &now, then, at("2025-10-23T00:00:00Z"));
        assert_eq!(later[0], "discards 3 rows in a since 2025-10-22 14:00:07");
        assert!(price(&before, &before, then, today).is_empty());
    }

    #[test]
    fn what_goes_with_an_undo_is_told_table_by_table() {
        let put_back = print(
            "1",
            &[
                ("a", 5, "x", "1"),
                ("b", 5, "x", "1"),
                ("c", 5, "x", "1"),
                ("d", 1, "x", "1"),
            ],
        );
        let now = print(
            "1",
            &[
                ("a", 8, "x", "2"),
                ("b", 4, "x", "3"),
                ("c", 5, "x", "4"),
                ("e", 7, "y", "1"),
            ],
        );
        let expected = [
            "discards 3 rows in a since the rollback",
            "undoes the deletion of 1 row in b since the rollback",
            "undoes changes to rows in c since the rollback",
            "drops the table e, new since the rollback, with 7 rows",
            "undoes that the table d was dropped since the rollback",
        ];
        assert_eq!(written_since(&put_back, &now), expected);
        assert!(written_since(&put_back, &put_back).is_empty());
    }

    #[test]
    fn the_policy_decides() {
        let before = print("1", &[("a", 5, "x", "1")]);
        let written = print("1", &[("a", 6, "x", "2")]);
        let shaped = print("2", &[("a", 5, "y", "7")]);
        let both = print("2", &[("a", 6, "y", "7")]);
        let dropped = print("1", &[]);
        let changed = |policy, now: &Fingerprint| work(policy, &before, now).is_needed();
        for policy in [
            DataRestore::Always,
            DataRestore::Auto,
            DataRestore::IfNoWrites,
            DataRestore::Never,
        ] {
            assert_eq!(work(policy, &before, &before), Work::Unchanged);
        }
        for now in [&written, &shaped, &both, &dropped] {
            assert!(changed(DataRestore::Always, now));
            assert!(!changed(DataRestore::Never, now));
        }
        assert!(!changed(DataRestore::Auto, &written));
        assert!(changed(DataRestore::Auto, &shaped) && changed(DataRestore::Auto, &both));
        assert!(
            changed(DataRestore::Auto, &dropped),
            "a table that vanished is a change of schema"
        );
        assert!(
            changed(DataRestore::IfNoWrites, &shaped),
            "other columns alone are no writing"
        );
        let migrated = print("1", &[("a", 5, "x", "1"), ("app.\"SequelizeMeta\"", 1, "x", "2")]);
        let recorded = print("1", &[("a", 5, "x", "1"), ("app.\"SequelizeMeta\"", 1, "x", "1")]);
        for policy in [DataRestore::Auto, DataRestore::IfNoWrites] {
            assert!(
                work(policy, &recorded, &migrated).is_needed(),
                "a migration that only changed its record"
            );
        }
        assert!(!changed(DataRestore::IfNoWrites, &both) && !changed(DataRestore::IfNoWrites, &written));
    }
}
