//! The transaction that puts rows into the restored database: references obeyed, triggers silent, and nothing stored in
//! another form than the failed database had it.

use std::collections::BTreeSet;

use super::compare::Pair;
use super::order::Order;
use super::shape::{Column, Qualified, Reference, Shape, Table};
use crate::postgres::sql::{ident, literal};

/// Errors that are the server's trouble and not a row's: they end the whole transaction.
const SERVERS_OWN: &str = "^(40|53|57|58|XX)";

/// One table whose rows are being put in.
pub(super) struct Load<'a> {
    /// Its number among the tables, and in the name of its staging table.
    pub(super) number: usize,
    pub(super) pair: &'a Pair,
    pub(super) restored: &'a Table,
    /// Rows to put in; they are numbered from 1.
    pub(super) rows: u64,
    /// Why none of them can be put in: they are staged so that what belongs to them stays out as well.
    pub(super) barred: Option<&'a str>,
}

impl Load<'_> {
    fn stage(&self) -> String {
        format!("pg_temp.guard_{}", self.number)
    }

    /// Makes the table in which the rows wait, and begins to fill it.
    pub(super) fn staging(&self) -> String {
        let stage = self.stage();
        format!(
            "CREATE TEMP TABLE guard_{} (n bigint PRIMARY KEY, r text[], why text, out boolean) ON COMMIT DROP;\nCOPY {stage} (n, r) FROM STDIN;",
            self.number
        )
    }

    /// A staged value of a column, as its type.
    fn value(&self, column: &str) -> Option<String> {
        let failed = self.pair.failed.as_ref()?;
        let at = failed.columns.iter().position(|known| known.name == column)? + 1;
        let kind = &self.restored.column(column)?.kind;
        Some(format!("(s.r[{at}])::{kind}"))
    }

    fn text(&self, column: &str) -> String {
        let columns = self.pair.failed.iter().flat_map(|failed| &failed.columns);
        let at = columns
            .clone()
            .position(|known| known.name == column)
            .unwrap_or_default()
            + 1;
        format!("s.r[{at}]")
    }

    /// The columns that are written: those that both have, unless the restored table computes them.
    fn written(&self) -> Vec<&Column> {
        // Looked up once: a table may have 1,600 columns.
        let common: BTreeSet<&str> = self.pair.common().iter().map(|column| column.name.as_str()).collect();
        let columns = self.restored.columns.iter();
        let known = |column: &&Column| common.contains(column.name.as_str());
        columns.filter(|column| !column.generated).filter(known).collect()
    }

    /// Puts the rows in; where some do not fit, halves are tried until the ones that do not are found.
    pub(super) fn putting(&self) -> String {
        if let Some(why) = self.barred {
            return format!("UPDATE {} SET why = {};\n", self.stage(), literal(why));
        }
        let names: Vec<String> = self.written().iter().map(|column| ident(&column.name)).collect();
        let values: Vec<String> = self
            .written()
            .iter()
            .filter_map(|column| self.value(&column.name))
            .collect();
        let (at, stage) = (self.restored.at.sql(), self.stage());
        let body = format!(
            "DECLARE
  waiting bigint[] := ARRAY[1, {rows}]; low bigint; high bigint; detail text;
BEGIN
  WHILE pg_catalog.cardinality(waiting) > 0 LOOP
    low := waiting[pg_catalog.cardinality(waiting) - 1];
    high := waiting[pg_catalog.cardinality(waiting)];
    waiting := waiting[1:pg_catalog.cardinality(waiting) - 2];
    BEGIN
      INSERT INTO {at} ({names}) OVERRIDING SYSTEM VALUE
        SELECT {values} FROM {stage} s WHERE s.n BETWEEN low AND high ORDER BY s.n;
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE ~ '{SERVERS_OWN}' THEN RAISE; END IF;
      IF low = high THEN
        GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
        UPDATE {stage} s SET why = SQLERRM || CASE detail WHEN '' THEN '' ELSE ': ' || detail END WHERE s.n = low;
      ELSE
        waiting := waiting || ARRAY[(low + high) / 2 + 1, high, low, (low + high) / 2];
      END IF;
    END;
  END LOOP;
END",
            rows = self.rows,
            names = names.join(", "),
            values = values.join(", "),
        );
        format!(
            "DO {};\n{}",
            literal(&body),
            self.refusing(&self.differing(), "the restored table would store it in another form")
        )
    }

    /// Whether a staged row is in the table, as the failed database had it.
    fn is_there(&self) -> String {
        let same = |column: &&Column| {
            let (name, text) = (ident(&column.name), self.text(&column.name));
            let failed = self.pair.failed.as_ref().and_then(|failed| failed.column(&column.name));
            // 1.5 in a column with two decimals is 1.50: another text and the same number.
            if failed.is_some_and(|failed| failed.number && column.number && failed.full != column.full) {
                format!("t.{name}::numeric IS NOT DISTINCT FROM {text}::numeric")
            } else {
                format!("t.{name}::text IS NOT DISTINCT FROM {text}")
            }
        };
        let columns: Vec<String> = self.written().iter().map(same).collect();
        format!(
            "EXISTS (SELECT FROM {} t WHERE {} AND {})",
            self.restored.source(),
            self.by_key(),
            columns.join(" AND ")
        )
    }

    fn by_key(&self) -> String {
        let key = self.pair.key().unwrap_or_default();
        let equal = |name: &String| Some(format!("t.{} = {}", ident(name), self.value(name)?));
        key.iter().filter_map(equal).collect::<Vec<_>>().join(" AND ")
    }

    fn differing(&self) -> String {
        format!("NOT {}", self.is_there())
    }

    /// Takes rows out again that were put in, and says why.
    fn refusing(&self, condition: &str, why: &str) -> String {
        let (stage, why) = (self.stage(), literal(why));
        format!(
            "WITH out AS (UPDATE {stage} s SET why = {why} WHERE s.why IS NULL AND {condition} RETURNING s.r)
DELETE FROM {} t USING out s WHERE {};\n",
            self.restored.source(),
            self.by_key()
        )
    }

    /// Ends everything if a row is not there as it should be.
    fn proof(&self) -> String {
        let body = format!(
            "BEGIN IF EXISTS (SELECT FROM {} s WHERE s.why IS NULL AND {}) THEN
  RAISE EXCEPTION 'rows of % are not as they were staged', {}; END IF; END",
            self.stage(),
            self.differing(),
            literal(&self.restored.name)
        );
        format!("DO {};\n", literal(&body))
    }

    /// Tells the refused rows.
    fn verdicts(&self) -> String {
        format!(
            "SELECT jsonb_build_object('table', {}::int, 'row', to_jsonb(s.r), 'why', s.why) FROM {} s WHERE s.why IS NOT NULL ORDER BY s.n;\n",
            self.number,
            self.stage()
        )
    }
}

/// Makes triggers and rules silent, or as they were.
fn hush(loads: &[Load<'_>], silent: bool) -> String {
    let mut sql = Vec::new();
    for load in loads.iter().filter(|load| load.barred.is_none()) {
        let table = load.restored;
        let states = |at: &Qualified, kind: &str, name: &str, state: &str| {
            let state = match state {
                "D" => "DISABLE",
                _ if silent => "DISABLE",
                "R" => "ENABLE REPLICA",
                "A" => "ENABLE ALWAYS",
                _ => "ENABLE",
            };
            format!("ALTER TABLE {} {state} {kind} {};\n", at.sql(), ident(name))
        };
        // What is enabled for a table is enabled for its partitions, some of which may have been silent before.
        let is_on = |state: &str| state != "D" || (!silent && table.partitioned);
        for (at, name, state) in table.triggers.iter().filter(|(_, _, state)| is_on(state)) {
            sql.push(states(at, "TRIGGER", name, state));
        }
        for (name, state) in table.rules.iter().filter(|(_, state)| is_on(state)) {
            sql.push(states(&table.at, "RULE", name, state));
        }
    }
    sql.concat()
}

/// What has to be done before the first row: silence, and references in circles put off to the end.
pub(super) fn opening(loads: &[Load<'_>], order: &Order<'_>, shape: &Shape) -> String {
    let mut sql = vec![hush(loads, true)];
    for reference in &order.circular {
        sql.push(altered(reference, shape, "DEFERRABLE INITIALLY DEFERRED"));
    }
    let prompt = |schema: &str, name: &str| format!("SET CONSTRAINTS {}.{} IMMEDIATE;\n", ident(schema), ident(name));
    for reference in shape.references.iter().filter(|reference| reference.deferrable) {
        if !order.circular.iter().any(|circular| circular.name == reference.name) {
            sql.push(prompt(&reference.schema, &reference.name));
        }
    }
    sql.extend(shape.deferrable.iter().map(|at| prompt(&at.0, &at.1)));
    sql.concat()
}

fn altered(reference: &Reference, shape: &Shape, how: &str) -> String {
    let table = shape.tables.get(&reference.from).map(|table| table.at.sql());
    table.map_or_else(String::new, |table| {
        format!(
            "ALTER TABLE {table} ALTER CONSTRAINT {} {how};\n",
            ident(&reference.name)
        )
    })
}

/// What belongs together by a reference goes whole or not at all: a row whose counterpart is not there stays out, and so does
/// one to which a row belongs that stays out, until nothing more follows. Then these rows are taken out again, those that
/// refer first.
pub(super) fn closing(loads: &[Load<'_>], order: &Order<'_>, shape: &Shape) -> String {
    let find = |name: &String| loads.iter().find(|load| &load.restored.name == name);
    let mut steps = Vec::new();
    let mut mark = |load: &Load<'_>, condition: &str, why: &str| {
        steps.push(format!(
            "UPDATE {} s SET why = {}, out = true WHERE s.why IS NULL AND {condition};
GET DIAGNOSTICS lost = ROW_COUNT; total := total + lost;\n",
            load.stage(),
            literal(why)
        ));
    };
    for reference in &shape.references {
        let (Some(from), Some(table)) = (find(&reference.from), shape.tables.get(&reference.to)) else {
            continue;
        };
        let pairs: Vec<(String, &String)> = reference
            .pairs
            .iter()
            .filter_map(|(here, there)| Some((from.value(here)?, there)))
            .collect();
        if pairs.len() < reference.pairs.len() {
            continue;
        }
        let name = &reference.name;
        if from.barred.is_none() && order.circular.iter().any(|circular| circular.name == *name) {
            let set: Vec<String> = pairs.iter().map(|(value, _)| format!("{value} IS NOT NULL")).collect();
            let met: Vec<String> = pairs
                .iter()
                .map(|(value, there)| format!("p.{} = {value}", ident(there)))
                .collect();
            let condition = format!(
                "{} AND NOT EXISTS (SELECT FROM {} p WHERE {})",
                set.join(" AND "),
                table.at.sql(),
                met.join(" AND ")
            );
            let why = format!("it refers by {name} to a row of {} that is not there", reference.to);
            mark(from, &condition, &why);
        }
        let Some(to) = find(&reference.to) else { continue };
        // The counterpart among the staged rows, which is told as `o` where the row itself is `s`.
        let equal: Option<Vec<String>> = pairs
            .iter()
            .map(|(value, there)| Some(format!("{} = {value}", to.value(there)?.replacen("(s.", "(o.", 1))))
            .collect();
        let Some(equal) = equal else { continue };
        if from.barred.is_none() {
            let condition = format!(
                "EXISTS (SELECT FROM {} o WHERE o.why IS NOT NULL AND {})",
                to.stage(),
                equal.join(" AND ")
            );
            let why = format!("it refers by {name} to a row of {} that stays out", reference.to);
            mark(from, &condition, &why);
        }
        if to.barred.is_none() {
            let turned: Vec<String> = pairs
                .iter()
                .filter_map(|(value, there)| {
                    Some(format!("{} = {}", to.value(there)?, value.replacen("(s.", "(o.", 1)))
                })
                .collect();
            let condition = format!(
                "EXISTS (SELECT FROM {} o WHERE o.why IS NOT NULL AND {})",
                from.stage(),
                turned.join(" AND ")
            );
            let why = format!("a row of {} that belongs to it by {name} stays out", reference.from);
            mark(to, &condition, &why);
        }
    }
    if steps.is_empty() {
        return String::new();
    }
    let body = format!(
        "DECLARE lost bigint; total bigint; BEGIN LOOP total := 0;\n{}EXIT WHEN total = 0; END LOOP; END",
        steps.concat()
    );
    let back = order
        .groups
        .iter()
        .rev()
        .flatten()
        .filter_map(find)
        .filter(|load| load.barred.is_none());
    let out: Vec<String> = back
        .map(|load| {
            format!(
                "DELETE FROM {} t USING {} s WHERE s.out AND {};\n",
                load.restored.source(),
                load.stage(),
                load.by_key()
            )
        })
        .collect();
    format!("DO {};\n{}", literal(&body), out.concat())
}

/// After the last row: everything is checked, is as it was, and the refused rows are told.
pub(super) fn ending(loads: &[Load<'_>], order: &Order<'_>, shape: &Shape) -> String {
    let mut sql = vec!["SET CONSTRAINTS ALL IMMEDIATE;\n".to_owned()];
    let put = || loads.iter().filter(|load| load.barred.is_none());
    sql.extend(put().map(Load::proof));
    for reference in &order.circular {
        let how = match (reference.deferrable, reference.deferred) {
            (false, _) => "NOT DEFERRABLE",
            (true, false) => "DEFERRABLE INITIALLY IMMEDIATE",
            (true, true) => "DEFERRABLE INITIALLY DEFERRED",
        };
        sql.push(altered(reference, shape, how));
    }
    sql.push(hush(loads, false));
    sql.extend(put().map(Load::verdicts));
    sql.concat()
}
