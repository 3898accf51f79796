//! The account of what a restore displaces: each row of the failed database is carried over, exported, or said to be kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::choice::Intent;
use super::compare::{Change, Pair};
use super::rows::Row;
use guard_model::fingerprint::Fingerprint;
use guard_model::text::{count, plural, sanitised};

/// What is said of the release's own rows.
const OWN: &str = "a migration wrote, or somebody while the deploy command ran";

/// What became of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Figures {
    pub(super) table: String,
    /// Rows that only the failed database has.
    pub(super) new: u64,
    /// Rows that both have, with other values.
    pub(super) changed: u64,
    /// Rows that only the restored database has.
    pub(super) gone: u64,
    /// Of the new rows of a table that is to be carried: the release's own, which stay out.
    #[serde(default)]
    pub(super) own: u64,
    /// Of the new rows: put into the restored database.
    pub(super) carried: u64,
    /// Of the new rows: should have been carried, and do not fit.
    pub(super) refused: u64,
    /// New and changed rows that are in the exported files.
    pub(super) exported: u64,
    /// New and changed rows beyond what is exported: only the displaced database has them.
    pub(super) kept: u64,
    /// Why the table's new rows are not carried, where they should be.
    pub(super) hindrance: Option<String>,
    /// Why rows were refused, and how many for that reason.
    pub(super) reasons: BTreeMap<String, u64>,
    /// When the first and the last new row came to be, where a column tells, and which column.
    pub(super) born: Option<(String, String, String)>,
    /// Columns that only the failed database has.
    pub(super) lost_columns: Vec<String>,
    /// Columns that only the restored database has: empty in carried rows, or a constant default.
    pub(super) empty_columns: Vec<String>,
    /// Whether new rows are to be carried over.
    pub(super) carries: bool,
    /// `Some(true)`: the table is new; `Some(false)`: the release dropped it.
    pub(super) came: Option<bool>,
    /// Of `new` and `gone` it is not known which belong together, as rows that were changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) mixed: bool,
    /// Rows have no key, so a changed row looks like one that is gone and one that is new.
    pub(super) keyless: bool,
}

impl Figures {
    /// Rows that were written to the failed database and are not in the restored one.
    pub(super) fn written(&self) -> u64 {
        self.new + self.changed
    }

    pub(super) fn note_birth(&mut self, moment: Option<String>, column: &str) {
        let Some(moment) = moment else { return };
        match &mut self.born {
            Some((first, last, _)) => {
                if moment < *first {
                    first.clone_from(&moment);
                }
                if moment > *last {
                    *last = moment;
                }
            }
            None => self.born = Some((moment.clone(), moment, column.to_owned())),
        }
    }

    /// `, from 14:10:02 to 14:14:59 by created_at`; the date only where it is not today's.
    fn times(&self, today: &str) -> String {
        let Some((first, last, column)) = &self.born else {
            return String::new();
        };
        let short = |moment: &str| {
            let rest = moment.strip_prefix(today).map(str::trim_start);
            rest.unwrap_or(moment).to_owned()
        };
        let column = sanitised(column);
        if first == last {
            format!(", of {} by {column}", short(first))
        } else {
            format!(", from {} to {} by {column}", short(first), short(last))
        }
    }

    /// What going back does to the table, each a sentence.
    pub(super) fn price(&self, since: &str, today: &str) -> Vec<String> {
        let shown = sanitised(&self.table);
        match self.came {
            Some(true) => return vec![format!("drops the new table {shown} with {}", plural(self.new, "row"))],
            Some(false) => {
                return vec![format!(
                    "brings back the table {shown} with {}",
                    plural(self.gone, "row")
                )];
            }
            None => {}
        }
        let mut sentences = Vec::new();
        if self.mixed && self.new > 0 && self.gone > 0 {
            let (written, before) = (plural(self.new, "row"), plural(self.gone, "row"));
            sentences.push(format!(
                "discards or undoes what was written to {written} in {shown} since {since}"
            ));
            sentences.push(format!("brings back {before} in {shown} as they were"));
        } else if self.new > 0 {
            let times = self.times(today);
            let rows = plural(self.new - self.own, "row");
            sentences.push(if !self.carries {
                format!("discards {rows} in {shown} since {since}{times}")
            } else if self.own == 0 {
                format!("takes {rows} of {shown} along{times}, where they fit")
            } else {
                let own = plural(self.own, "row");
                format!("takes {rows} of {shown} along where they fit, and leaves out {own} that {OWN}")
            });
        }
        if self.changed > 0 {
            let rows = plural(self.changed, "row");
            sentences.push(format!("undoes changes to {rows} in {shown} since {since}"));
        }
        if self.gone > 0 && !(self.mixed && self.new > 0) {
            sentences.push(format!("brings back {} in {shown}", plural(self.gone, "row")));
        }
        for column in &self.lost_columns {
            sentences.push(format!("drops the new column {} of {shown}", sanitised(column)));
        }
        sentences
    }
}

/// The whole account; kept as `account.json` beside the exported rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) tables: Vec<Figures>,
    /// Sequences that were advanced to where the failed database's were.
    pub(super) sequences: u64,
    /// What could not be done as it should, each a sentence.
    pub(super) remarks: Vec<String>,
    /// Files of the export, in the same directory.
    pub(super) files: Vec<String>,
    /// Why nothing was carried at all.
    pub(super) failure: Option<String>,
    /// What the restored database is like with the carried rows.
    pub(super) becomes: Option<Fingerprint>,
}

impl Account {
    /// What was done, for people.
    pub(super) fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        for figures in &self.tables {
            let shown = sanitised(&figures.table);
            if figures.carried > 0 {
                let but = |what: &str, columns: &[String]| match columns {
                    [] => String::new(),
                    columns => format!(", {what} {}", sanitised(&columns.join(", "))),
                };
                sentences.push(format!(
                    "carried {} over into {shown}{}{}",
                    plural(figures.carried, "row"),
                    but("without the release's", &figures.lost_columns),
                    but("with nothing known for", &figures.empty_columns)
                ));
            }
            if figures.own > 0 {
                let rows = plural(figures.own, "row");
                sentences.push(format!(
                    "{rows} of {shown} stayed out, and {} exported: {OWN}",
                    if figures.own == 1 { "is" } else { "are" }
                ));
            }
            for (reason, rows) in &figures.reasons {
                let (rows, reason) = (plural(*rows, "row"), sanitised(reason));
                sentences.push(format!("{rows} of {shown} could not be carried over: {reason}"));
            }
            if let Some(hindrance) = figures.hindrance.as_ref().filter(|_| figures.new > 0) {
                let rows = plural(figures.new, "row");
                sentences.push(format!(
                    "{rows} of {shown} could not be carried over: {}",
                    sanitised(hindrance)
                ));
            }
        }
        sentences.extend(self.remarks.iter().cloned());
        if let Some(failure) = &self.failure {
            sentences.push(format!("nothing was carried over: {}", sanitised(failure)));
        }
        let sum = |part: fn(&Figures) -> u64| self.tables.iter().map(part).sum::<u64>();
        let (written, carried, exported) = (sum(Figures::written), sum(|f| f.carried), sum(|f| f.exported));
        if written > 0 {
            let kept = match sum(|f| f.kept) {
                0 => String::new(),
                kept => format!(", {} kept in the displaced database only", count(kept)),
            };
            sentences.push(format!(
                "of {} written since the backup, {} carried over, {} exported{kept}",
                plural(written, "row"),
                count(carried),
                count(exported)
            ));
        }
        sentences
    }
}

impl Figures {
    pub(crate) fn of(pair: &Pair, intent: &Intent) -> Self {
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

    pub(crate) fn count(&mut self, change: Change, row: &Row) {
        match change {
            Change::New => {
                self.new += 1;
                self.own += u64::from(self.carries && row.is_own);
            }
            Change::Changed => self.changed += 1,
            Change::Gone => self.gone += 1,
        }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.new + self.changed + self.gone == 0 && self.came.is_none() && self.lost_columns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told() {
        let mut figures = Figures {
            table: "users".to_owned(),
            new: 2,
            changed: 1,
            gone: 1,
            ..Figures::default()
        };
        for moment in ["2025-10-22 14:10:00", "2025-10-22 14:12:00", "2025-10-21 09:00:00"] {
            figures.note_birth(Some(moment.to_owned()), "created_at");
        }
        figures.note_birth(None, "created_at");
        let expected = [
            "discards 2 rows in users since 14:00:00, from 2025-10-21 09:00:00 to 14:12:00 by created_at",
            "undoes changes to 1 row in users since 14:00:00",
            "brings back 1 row in users",
        ];
        assert_eq!(figures.price("14:00:00", "2025-10-22"), expected);
        figures.carries = true;
        assert!(figures.price("14:00:00", "2025-10-22")[0].starts_with("takes 2 rows of users along, from"));
        figures.came = Some(true);
        assert_eq!(figures.price("x", "y"), ["drops the new table users with 2 rows"]);
    }

    #[test]
    fn the_account_adds_up_in_words() {
        let account = Account {
            tables: vec![Figures {
                table: "users".to_owned(),
                new: 3,
                carried: 2,
                refused: 1,
                exported: 1,
                reasons: BTreeMap::from([("duplicate key".to_owned(), 1)]),
                ..Figures::default()
            }],
            ..Account::default()
        };
        let expected = [
            "carried 2 rows over into users",
            "1 row of users could not be carried over: duplicate key",
            "of 3 rows written since the backup, 2 carried over, 1 exported",
        ];
        assert_eq!(account.sentences(), expected);
    }
}
